"""Reading a journal after a restart."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import DecodeError, Struct

from posthouse.spool.entries import Delivered, Entry, Gone, Kept, decode
from posthouse.spool.identifiers import number_of
from posthouse.spool.lane import MAGIC, segment_paths
from posthouse.spool.records import StorageError

HEAD_OCTETS: Final = 8  # length and CRC-32, 4 octets each, big-endian


class Recovered(Struct):
    """A message that the journal answers for, and what is known of it.

    Attributes:
        kept: The message.
        delivered: What became of some of its recipients.
    """

    kept: Kept
    delivered: list[Delivered]


def records_in(octets: bytes) -> Iterator[bytes]:
    """Yield the records of a journal up to the first that is torn.

    A torn record ends the journal: it belongs to a group whose flush never returned, so nobody
    was told that it was safe, and nothing after it can have been promised either.
    """
    at = 0
    while len(octets) - at >= HEAD_OCTETS:
        length = int.from_bytes(octets[at : at + 4], "big")
        record = octets[at + HEAD_OCTETS : at + HEAD_OCTETS + length]
        promised = int.from_bytes(octets[at + 4 : at + HEAD_OCTETS], "big")
        if len(record) < length or zlib.crc32(record, zlib.crc32(octets[at : at + 4])) != promised:
            return
        yield record
        at += HEAD_OCTETS + length


def unsettled(directory: Path) -> dict[str, Recovered]:
    """Return what the journal answers for, by id, in the order of acceptance.

    Raises:
        StorageError: `corrupt` if a segment is not what a crash can leave; `newer`; `unreadable`.
    """
    found: dict[str, Recovered] = {}
    paths = segment_paths(directory)
    for path in paths:
        for entry in _entries(path, is_last=path == paths[-1]):
            match entry:
                case Kept():
                    found[entry.id] = Recovered(entry, [])
                case Delivered() if entry.id in found:
                    found[entry.id].delivered.append(entry)
                case Gone():
                    found.pop(entry.id, None)
                case _:
                    pass  # about a message whose segment is gone
    return found


def last_number(directory: Path) -> int:
    """Return the highest number of a message that the journal mentions, -1 if none.

    Of a message that was delivered at once nothing else may tell that its id was given.
    """
    paths = segment_paths(directory)
    entries = (entry for path in paths for entry in _entries(path, is_last=path == paths[-1]))
    return max((number_of(entry.id) for entry in entries), default=-1)


def _entries(path: Path, *, is_last: bool) -> Iterator[Entry]:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise StorageError("unreadable", f"{path} cannot be read ({error.strerror})") from error
    if octets[: len(MAGIC)] != MAGIC:
        if is_last and len(octets) <= len(MAGIC):  # cut off while it was begun
            return
        if octets.startswith(MAGIC[:-1]):
            raise StorageError("newer", f"{path} was written by a newer Posthouse: use that one.")
        raise _damaged(path)
    read = len(MAGIC)
    for record in records_in(octets[read:]):
        try:
            yield decode(record)
        except DecodeError as error:
            raise _damaged(path) from error
        read += HEAD_OCTETS + len(record)
    if read < len(octets) and not is_last:
        raise _damaged(path)


def _damaged(path: Path) -> StorageError:
    return StorageError(
        "corrupt",
        f"{path} is damaged. Nothing was changed in it. Stop the server, copy the directory"
        " somewhere, and move this file away to begin without the messages in it.",
    )
