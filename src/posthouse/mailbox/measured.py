"""Sizes of messages that other programs delivered: counted once, remembered while we run."""

import os
from typing import Final

BLOCK_OCTETS: Final = 64 * 1024
SIZES_MAX: Final = 200_000
_OPENING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Sizes:
    """Octets of files, were every line ended by CRLF.

    What is remembered of a file is no more than a hash of its name, place, size and time, and one
    number: a maildrop of 100,000 messages costs some 10 MB. Threads may share it.
    """

    def __init__(self) -> None:
        self._octets: dict[int, int] = {}

    def of(self, item: os.DirEntry[str]) -> int:
        """Count a file, or remember it; an unreadable one by its size. Blocks.

        Raises:
            OSError: If it cannot be looked at.
        """
        found = item.stat(follow_symlinks=False)
        name = item.name.partition(":")[0]
        mark = hash((name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
        octets = self._octets.get(mark)
        if octets is None:
            try:
                octets = counted(item.path)
            except PermissionError:
                return found.st_size
            if len(self._octets) >= SIZES_MAX:
                self._octets.clear()
            self._octets[mark] = octets
        return octets


def counted(path: str) -> int:
    """Return the octets of a file, were every line ended by CRLF. Blocks."""
    octets = 0
    last = b""
    descriptor = os.open(path, _OPENING)
    try:
        while block := os.read(descriptor, BLOCK_OCTETS):
            octets += len(block) + block.count(b"\n") - block.count(b"\r\n")
            octets -= last == b"\r" and block.startswith(b"\n")
            last = block[-1:]
    finally:
        os.close(descriptor)
    return octets
