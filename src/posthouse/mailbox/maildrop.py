"""The numbered view of a mailbox on which one POP3 session works (RFC 1939 sections 3 to 6)."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from posthouse.mailbox import maildir
from posthouse.mailbox.listing import Listing, Listings, listed
from posthouse.mailbox.maildir import MaildirError

LOCK_NAME: Final = "posthouse-pop3.lock"
AHEAD_OCTETS_MAX: Final = 64 * 1024  # of messages that were read before they are asked for
AT_ONCE_OCTETS_MAX: Final = 64 * 1024  # of a message that is read without a thread


class MaildropInUseError(MaildirError):
    """Another POP3 session works on this maildrop (RFC 2449 section 8.1.2)."""


class Maildrop:
    """Messages numbered from 1 at the moment of opening, with marks for deletion.

    Numbers, sizes and unique ids stay as they were, whatever other programs do to the mailbox.
    Nothing is removed before `remove_marked`. `open_maildrop`, `read`, `read_ahead` and
    `remove_marked` block and belong into a thread; the rest waits for no disk.
    """

    def __init__(self, directory: Path, listing: Listing, lock: int) -> None:
        self._directory = directory
        self._entries = listing.entries
        self._uids = listing.uids
        self._lock = lock
        self._marked: set[int] = set()
        self._octets = listing.octets
        self._ready: dict[int, bytes] = {}
        self._at_once = maildir.answers_from_memory(lock)

    @property
    def highest(self) -> int:
        """The highest message number, marked messages included."""
        return len(self._entries)

    @property
    def count(self) -> int:
        """Messages not marked."""
        return len(self._entries) - len(self._marked)

    @property
    def octets(self) -> int:
        """Their size, lines ended by CRLF."""
        return self._octets

    def is_marked(self, number: int) -> bool:
        """Whether the message is marked for deletion."""
        return number in self._marked

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the messages not marked."""
        return (n for n in range(1, len(self._entries) + 1) if n not in self._marked)

    def size(self, number: int) -> int:
        """Octets of the message, lines ended by CRLF."""
        return self._entries[number - 1].octets

    def uid(self, number: int) -> str:
        """What identifies the message in this and all later sessions (RFC 1939 section 7)."""
        return self._uids[number - 1]

    def mark(self, number: int) -> None:
        """Mark the message: it is removed when the session ends cleanly."""
        if number not in self._marked:
            self._marked.add(number)
            self._octets -= self.size(number)

    def unmark_all(self) -> None:
        """Forget all marks (RSET)."""
        self._octets += sum(self.size(number) for number in self._marked)
        self._marked.clear()

    def read(self, number: int) -> Iterator[bytes]:
        """Yield the message in blocks with CRLF. Blocks.

        Raises:
            MaildirError: If it cannot be read, or is gone (`MessageGoneError`).
        """
        return maildir.read(self._directory, self._entries[number - 1])

    def ready(self, number: int) -> bytes | None:
        """Return the message if that needs no thread: it was read ahead, or is in memory.

        Its lines end with CRLF or with LF. What was read ahead is given once.
        """
        ahead = self._ready.pop(number, None)
        if ahead is None and self._at_once and self.size(number) <= AT_ONCE_OCTETS_MAX:
            return maildir.read_from_memory(self._directory, self._entries[number - 1])
        return ahead

    def read_ahead(self, number: int) -> None:
        """Read short messages behind this one: most programs fetch all of them in turn. Blocks."""
        self._ready.clear()
        room = AHEAD_OCTETS_MAX
        for behind in range(number + 1, self.highest + 1):
            room -= self.size(behind)
            if room < 0:
                break
            if not self.is_marked(behind):
                try:
                    self._ready[behind] = b"".join(self.read(behind))
                except MaildirError:  # told when it is asked for
                    break

    @property
    def ends_at_once(self) -> bool:
        """Whether `remove_marked` and `close` need no thread: nothing is to be removed."""
        return self._at_once and not self._marked

    def remove_marked(self) -> int:
        """Remove the marked messages and return how many could not be removed. Blocks."""
        marked = [self._entries[number - 1] for number in sorted(self._marked)]
        return len(maildir.remove(self._directory, marked)) if marked else 0

    def close(self) -> None:
        """Let the next session in. May be repeated."""
        self._ready.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def open_maildrop(directory: Path, listings: Listings | None = None) -> Maildrop:
    """Lock the maildrop for one session and number its messages. Blocks.

    Args:
        directory: Its Maildir.
        listings: Where it is remembered what it held, for `open_listed`.

    Raises:
        MaildropInUseError: If another session has it.
        MaildirError: If it cannot be read.
    """
    maildir.create(directory)
    lock = _locked(directory)
    try:
        if listings is None or not maildir.answers_from_memory(lock):
            return Maildrop(directory, listed(directory), lock)
        return Maildrop(directory, listings.read(directory), lock)
    except BaseException:
        os.close(lock)
        raise


def open_listed(directory: Path, listings: Listings) -> Maildrop | None:
    """Open the maildrop without a thread if it was listed lately and did not change.

    Raises:
        MaildropInUseError: If another session has it.
    """
    if directory not in listings:
        return None
    try:
        lock = _locked(directory)
    except MaildropInUseError:
        raise
    except MaildirError:  # `open_maildrop` mends it, or says what is wrong
        return None
    listing = listings.unchanged(directory)
    if listing is None:
        os.close(lock)
        return None
    return Maildrop(directory, listing, lock)


def _locked(directory: Path) -> int:
    """Return the descriptor that holds the lock; the system frees it if we are killed."""
    path = f"{directory}/{LOCK_NAME}"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MaildirError(f"cannot lock the mailbox {directory}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise MaildropInUseError("another session is fetching this mail now") from None
    except OSError as error:
        os.close(lock)
        raise MaildirError(f"cannot lock the mailbox {directory}: {error.strerror}") from error
    return lock
