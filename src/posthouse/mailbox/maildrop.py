"""The numbered view of a mailbox on which one POP3 session works (RFC 1939 sections 3 to 6)."""

import fcntl
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from posthouse.mailbox import maildir
from posthouse.mailbox.maildir import Entry, MaildirError

LOCK_NAME: Final = "posthouse-pop3.lock"
UID_OCTETS_MAX: Final = 70  # RFC 1939 section 7
AHEAD_OCTETS_MAX: Final = 64 * 1024  # of messages that were read before they are asked for
_UID: Final = re.compile(r"[\x21-\x7e]{1,70}")


class MaildropInUseError(MaildirError):
    """Another POP3 session works on this maildrop (RFC 2449 section 8.1.2)."""


class Maildrop:
    """Messages numbered from 1 at the moment of opening, with marks for deletion.

    Numbers, sizes and unique ids stay as they were, whatever other programs do to the mailbox.
    Nothing is removed before `remove_marked`. `open_maildrop`, `read`, `read_ahead` and
    `remove_marked` block and belong into a thread; the rest is memory only.
    """

    def __init__(self, directory: Path, entries: Sequence[Entry], lock: int) -> None:
        self._directory = directory
        self._entries = entries
        self._uids = unique_ids(entries)
        self._lock = lock
        self._marked: set[int] = set()
        self._octets = sum(entry.octets for entry in entries)
        self._ready: dict[int, bytes] = {}

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
        """Return the message, with CRLF, if it was read ahead; not twice."""
        return self._ready.pop(number, None)

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


def open_maildrop(directory: Path) -> Maildrop:
    """Lock the maildrop for one session and number its messages. Blocks.

    Raises:
        MaildropInUseError: If another session has it.
        MaildirError: If it cannot be read.
    """
    maildir.create(directory)
    lock = _locked(directory)
    try:
        return Maildrop(directory, maildir.entries(directory), lock)
    except BaseException:
        os.close(lock)
        raise


def unique_ids(entries: Sequence[Entry]) -> list[str]:
    """Return a unique id for each entry: the unique part of its name where that may stand there.

    A name that is too long, has other characters or occurs twice is hashed, so that the id is
    the same in every session without anything being kept.
    """
    names = [entry.unique for entry in entries]
    seen = Counter(names)
    return [
        name if seen[name] == 1 and _UID.fullmatch(name) else _hashed(entry.key)
        for name, entry in zip(names, entries, strict=True)
    ]


def _hashed(key: str) -> str:
    return hashlib.sha256(os.fsencode(key)).hexdigest()[:48]


def _locked(directory: Path) -> int:
    """Return the descriptor that holds the lock; the system frees it if we are killed."""
    path = directory / LOCK_NAME
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
