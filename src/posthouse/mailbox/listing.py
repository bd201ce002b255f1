"""What a Maildir holds; listed again only when it changed."""

import hashlib
import os
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from posthouse.mailbox import maildir
from posthouse.mailbox.maildir import Entry

UID_OCTETS_MAX: Final = 70  # RFC 1939 section 7
REMEMBERED_MAX: Final = 50_000  # messages of all Maildirs, some 300 octets each
_SECOND: Final = 1_000_000_000
_UID: Final = re.compile(r"[\x21-\x7e]{1,70}")

_Mark = tuple[int, int, int]


class Listing(Struct, frozen=True, eq=False):
    """The messages of a Maildir, the oldest first.

    Attributes:
        entries: Where they are.
        uids: What identifies each of them in this and all later sessions (RFC 1939 section 7).
        octets: Of all of them, lines ended by CRLF.
    """

    entries: Sequence[Entry]
    uids: Sequence[str]
    octets: int


def listed(directory: Path) -> Listing:
    """List a Maildir. Blocks.

    Raises:
        MaildirError: If it cannot be read.
    """
    return listing_of(maildir.entries(directory))


def listing_of(entries: Sequence[Entry]) -> Listing:
    """Return the listing that holds these messages."""
    return Listing(entries, unique_ids(entries), sum(entry.octets for entry in entries))


class Listings:
    """Listings of Maildirs that did not change since. Threads may share them.

    A listing holds as long as the directories tell the same time of change. It is not remembered
    if they changed only moments before: another change might have got the same time.
    """

    def __init__(
        self,
        remembered_max: int = REMEMBERED_MAX,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._remembered_max = remembered_max
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, tuple[list[_Mark], Listing]] = OrderedDict()
        self._messages = 0

    def __contains__(self, directory: Path) -> bool:
        """Whether the Maildir was listed, changed or not."""
        return directory in self._known

    def unchanged(self, directory: Path) -> Listing | None:
        """Return the listing if it still holds; looks at two directories."""
        with self._lock:
            marks, listing = self._known.get(directory, (None, None))
            if listing is None or marks != _marks(directory):
                return None
            self._known.move_to_end(directory)
            return listing

    def read(self, directory: Path) -> Listing:
        """List a Maildir, and remember the listing if it can be told whether it holds. Blocks.

        Raises:
            MaildirError: If it cannot be read.
        """
        marks, now = _marks(directory), self._clock()
        listing = listed(directory)
        settled = len(marks) == 2 and all(_is_past(changed, now) for _, _, changed in marks)
        holds = settled and _is_written(directory, listing, now - 2 * _SECOND)
        self._remember(directory, marks, listing if holds else None)
        return listing

    def _remember(self, directory: Path, marks: list[_Mark], listing: Listing | None) -> None:
        with self._lock:
            _, before = self._known.pop(directory, (None, None))
            self._messages -= len(before.entries) if before else 0
            if listing is None or len(listing.entries) > self._remembered_max:
                return
            self._known[directory] = (marks, listing)
            self._messages += len(listing.entries)
            while self._messages > self._remembered_max or len(self._known) > self._remembered_max:
                _, (_, oldest) = self._known.popitem(last=False)
                self._messages -= len(oldest.entries)


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


def _marks(directory: Path) -> list[_Mark]:
    """What changes with the directories of a Maildir; empty if they cannot be looked at."""
    try:
        found = [os.stat(f"{directory}/{folder}") for folder in ("new", "cur")]
    except OSError:
        return []
    return [(it.st_dev, it.st_ino, it.st_ctime_ns) for it in found]


def _is_past(changed: int, now: int) -> bool:
    """Whether no later change can get the same time: clocks of file systems are coarse.

    Some tell whole seconds; those that tell more go by the kernel's ticks, 10 ms at most.
    """
    return changed + (_SECOND // 10 if changed % _SECOND else 2 * _SECOND) <= now


def _is_written(directory: Path, listing: Listing, before: int) -> bool:
    """Whether no program is still writing a message of which no name tells the size."""
    counted = (it for it in listing.entries if maildir.named_octets(it.name) is None)
    try:
        return all(
            os.stat(f"{directory}/{it.folder}/{it.name}").st_mtime_ns <= before for it in counted
        )
    except OSError:
        return False
