"""The append-only files that make accepted mail safe, and the group commit that makes it cheap.

Guarantee: once `durable` was called for a record that was not lazy, it survives a power cut. A
record for which it was not called may or may not be found after a restart, but never in part.
Records that arrive during a flush share the next one. There is no timer for them: an idle lane
flushes at once, which is when the turn of who appends is over; a busy one gathers groups by itself.
"""

import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from msgspec import Struct

from posthouse.spool.database import is_no_room
from posthouse.spool.disk import Disk
from posthouse.spool.records import StorageError

MAGIC: Final = b"PHspool1"
SEGMENT_OCTETS: Final = 8 * 1024 * 1024  # then another is begun
TIDY_OCTETS: Final = (
    256 * 1024
)  # a smaller segment is not worth replacing while nothing lives in it
GROUP_RECORDS_MAX: Final = 1000
GROUP_OCTETS_MAX: Final = 4 * 1024 * 1024
LAZY_SECONDS: Final = 0.03
LAZY_RECORDS_MAX: Final = 500
REST_SECONDS: Final = 0.5  # before outcomes are tried again on a full disk
LOOK_SECONDS: Final = 1.0  # between two looks at what gets old


def frame(record: bytes) -> bytes:
    """Return `record` behind its length and CRC-32, 4 octets each, big-endian."""
    return _before(record) + record


def _before(record: bytes) -> bytes:
    length = len(record).to_bytes(4, "big")
    return length + zlib.crc32(record, zlib.crc32(length)).to_bytes(4, "big")


class Segment:
    """One file of a lane.

    Attributes:
        lane: Whose it is.
        path: Where it is.
        octets: Written, and whole.
        living: Messages in it that are nowhere else.
    """

    def __init__(self, lane: "Lane", path: Path) -> None:
        self.lane = lane
        self.path = path
        self.octets = len(MAGIC)
        self.living = 0


Told = Callable[[Segment | None, StorageError | None], None]
Turn = Callable[[Callable[[], None]], bool]
"""Has something called when the caller's thread is done with what it has begun; False if it cannot.

An event loop deals with many clients in a turn: their messages share a flush.
"""


def no_turn(_: Callable[[], None]) -> bool:
    """Stand for the turn of a thread that has none."""
    return False


class Record(Struct, frozen=True, eq=False):
    """What is to be appended.

    Attributes:
        octets: Makes its octets; called in the writer thread.
        done: Told once, from the writer thread: the segment, or why not.
        size: About so many octets.
        lazy: It may wait for company, needs no flush, and is kept while the disk is full.
        lives: It is a message, not a word about one.
    """

    octets: Callable[[], bytes]
    done: Told
    size: int = 0
    lazy: bool = False
    lives: bool = False


class Lane:
    """The segments of one directory and the thread that writes them.

    Attributes:
        trouble: Why nothing can be promised any more.
        flush_seconds: How long a flush takes.
        turn: Of those who append.
    """

    def __init__(
        self,
        directory: Path,
        disk: Disk,
        *,
        begin_at: int,
        look: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        """Begin with an empty segment.

        Args:
            directory: It exists and holds no segment of a number from `begin_at` on.
            disk: What may fail.
            begin_at: Number of the first segment.
            look: Called after a quiet second while something lives here, from the thread.
            ended: Called behind each group, after all `done`.

        Raises:
            OSError: If no file can be made.
        """
        self.turn: Turn = no_turn
        self.trouble: StorageError | None = None
        self.flush_seconds = 0.0  # the least lately: a busy processor is no slow disk
        self._directory = directory
        self._disk = disk
        self._look = look
        self._ended = ended
        self._number = begin_at
        self._waiting: list[Record] = []
        self._eager = self._writing = 0  # records that are waited for; that are being written
        self._called = self._calling = False  # for the eager ones; it is seen to
        self._resting = False
        self._closed = False
        self._changed = threading.Lock()
        # A condition would cost three changes of thread for a message that comes alone.
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._listening = self._dozing = False
        self._living = 0
        self._worked = False  # since the last look
        self._handle = -1
        self._segments: list[Segment] = []
        self._begin_segment()
        self._thread = threading.Thread(target=self._run, name="spool-journal", daemon=True)
        self._thread.start()

    def append(self, record: Record, *, at_once: bool = False) -> None:
        """Queue a record. Never blocks on the disk.

        What is not lazy is written when the caller's turn is over, with all else of that turn;
        `at_once`: without waiting for its end.
        """
        with self._changed:
            refused = self.trouble or (StorageError("broken", "closed") if self._closed else None)
            if refused is None:
                self._waiting.append(record)
                if record.lazy:
                    if self._dozing and self._listening:
                        self._ring()
                    return
                self._eager += 1
                if self._calling and not at_once:
                    return
                if not at_once and self.turn(self._call):
                    self._calling = True
                else:
                    self._called = True
                    if self._listening:
                        self._ring()
                return
        record.done(None, refused)

    def _call(self) -> None:
        """The turn is over: have what was queued in it written."""
        with self._changed:
            self._calling = False
            if self._eager:
                self._called = True
                if self._listening:
                    self._ring()

    @property
    def is_busy(self) -> bool:
        """Whether a record would have to wait for another group."""
        return self._writing > 0 or self._eager > 0

    @property
    def load(self) -> int:
        """Records that wait or are being written."""
        return self._writing + len(self._waiting)

    def release(self, segment: Segment) -> None:
        """A message in `segment` is settled, or safe elsewhere."""
        with self._changed:
            segment.living -= 1
            self._living -= 1

    def close(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._closed = True
            self._ring()
        self._thread.join()
        os.close(self._handle)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            try:
                self._deal_with(group)
            except Exception as error:  # noqa: BLE001 - nobody must wait for a thread that is gone
                self.trouble = StorageError(
                    "broken", f"{self._directory}: {error!r}. No more mail is taken until a restart"
                )
            del group  # an idle lane holds no contents

    def _deal_with(self, group: list[Record]) -> None:
        if group:
            self._commit(group)
        else:
            self._look()
        self._worked = bool(group)
        self._writing = 0
        self._tidy()

    def _next_group(self) -> list[Record] | None:
        """Return what goes together; empty when it is time to look; None at the end.

        For a moment lazy records are waited for without being called; after it the thread dozes,
        and the first of them wakes it.
        """
        patience: float | None = REST_SECONDS if self._resting else LAZY_SECONDS
        dozing = False
        while True:
            with self._changed:
                if self._is_urgent():
                    return self._taken()
                if self._closed:
                    return None
                self._listening, self._dozing = True, dozing
            rang = self._hear(patience)
            with self._changed:
                self._listening = False
                if not rang and self._waiting:
                    return self._taken()
                if not rang and dozing:
                    return []
                dozing = not (rang and self._waiting)
                lives = self._living or self._worked
                patience = LAZY_SECONDS if not dozing else LOOK_SECONDS if lives else None

    def _taken(self) -> list[Record]:
        size = _group_size(self._waiting)
        group = self._waiting[:size]
        del self._waiting[:size]
        self._eager -= sum(not record.lazy for record in group)
        self._called = self._called and self._eager > 0
        self._writing = len(group)
        return group

    def _is_urgent(self) -> bool:
        crowded = len(self._waiting) >= LAZY_RECORDS_MAX and not self._resting
        return self._called or crowded or (self._closed and bool(self._waiting))

    def _ring(self) -> None:
        self._listening = False
        self._bell.put(None)

    def _hear(self, seconds: float | None) -> bool:
        try:
            self._bell.get(timeout=seconds)
        except Empty:
            return False
        return True

    def _commit(self, group: list[Record]) -> None:
        if self.trouble is not None:
            _tell(group, None, self.trouble)
            return
        segment = self._segments[-1]
        octets, group = _framed(group)
        if not group:
            return
        try:
            self._write(segment, octets, flush=any(not record.lazy for record in group))
        except OSError as error:
            self._failed(group, self._told(error))
            return
        segment.octets += len(octets)
        self._resting = False
        living = sum(record.lives for record in group)
        with self._changed:
            segment.living += living
            self._living += living
        _tell(group, segment, None)
        self._ended()

    def _write(self, segment: Segment, octets: bytes, *, flush: bool) -> None:
        """Append a whole group, or nothing.

        Raises:
            OSError: With `trouble` set if the disk failed; without if there is no room.
        """
        try:
            self._disk.write(self._handle, octets)
        except OSError as error:
            if is_no_room(error) and self._cut_back(segment):
                raise
            self.trouble = self._told(error, broken=True)
            raise
        if flush:
            began = time.monotonic()
            try:
                self._disk.flush_journal(self._handle)
                self._note_flush(time.monotonic() - began)
            except OSError as error:  # whatever it says: what was written may be lost
                self.trouble = self._told(error, broken=True)
                raise

    def _cut_back(self, segment: Segment) -> bool:
        """Take away what was written of a group that did not fit: a torn record ends a journal."""
        try:
            os.ftruncate(self._handle, segment.octets)
        except OSError:
            return False
        return True

    def _note_flush(self, seconds: float) -> None:
        risen = self.flush_seconds + (seconds - self.flush_seconds) / 8
        self.flush_seconds = min(seconds, risen)

    def _failed(self, group: list[Record], error: StorageError) -> None:
        told = self.trouble or error
        kept = [record for record in group if record.lazy and self.trouble is None]
        with self._changed:
            self._resting = self.trouble is None
            if not self._closed:
                self._waiting[:0] = kept
        _tell([record for record in group if not record.lazy], None, told)
        if self.trouble is not None:
            _tell([record for record in group if record.lazy], None, told)
        self._ended()

    def _told(self, error: OSError, *, broken: bool = False) -> StorageError:
        if is_no_room(error) and not broken:
            return StorageError(
                "full", f"{self._directory}: the disk is full. Make room; no restart needed"
            )
        return StorageError(
            "broken",
            f"{self._segments[-1].path} could not be written ({error.strerror}). No more mail is"
            " taken until a restart: look at the disk first. Nothing that was accepted is lost.",
        )

    # ------------------------------------------------------------ segments

    def _begin_segment(self) -> None:
        """Make the next file, with its name stable before anything is promised in it.

        The one before is flushed first: only the last may end in a torn record.
        """
        if self._handle >= 0:
            try:
                self._disk.flush_journal(self._handle)
            except OSError as error:  # also for want of room: a second flush would prove nothing
                self.trouble = self._told(error, broken=True)
                raise
        path = self._directory / segment_name(self._number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        handle = os.open(path, flags, 0o600)
        try:
            self._disk.write(handle, MAGIC)  # flushed with the first group
            self._disk.flush_directory(self._directory)
        except OSError:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = handle
        self._number += 1
        self._segments.append(Segment(self, path))

    def _tidy(self) -> None:
        """Begin another segment where that is due; remove those in which nothing lives.

        Always from the front: a later segment says what became of the messages in an earlier one.
        """
        if self.trouble is not None:
            return
        last = self._segments[-1]
        emptied = not (last.living or self._waiting) and last.octets >= TIDY_OCTETS
        try:
            if emptied or last.octets >= SEGMENT_OCTETS:
                self._begin_segment()
            while len(self._segments) > 1 and not self._segments[0].living:
                self._segments[0].path.unlink(missing_ok=True)
                self._disk.flush_directory(self._directory)
                del self._segments[0]
        except OSError as error:
            if not is_no_room(error):
                self.trouble = self._told(error, broken=True)


def segment_name(number: int) -> str:
    """Return the name of the segment with this number."""
    return f"{number:012d}.journal"


def segment_paths(directory: Path) -> list[Path]:
    """Return all segments, the oldest first."""
    return sorted(directory.glob("*.journal"))


def _group_size(waiting: list[Record]) -> int:
    octets = 0
    for number, record in enumerate(waiting[:GROUP_RECORDS_MAX], start=1):
        octets += record.size
        if octets >= GROUP_OCTETS_MAX:
            return number
    return min(len(waiting), GROUP_RECORDS_MAX)


def _framed(group: list[Record]) -> tuple[bytes, list[Record]]:
    """Return the octets of a group, without records that have none (a bug of who made them)."""
    frames: list[bytes] = []
    good: list[Record] = []
    for record in group:
        try:
            octets = record.octets()
            frames += (_before(octets), octets)
        except Exception as error:  # noqa: BLE001 - the others need not suffer
            _tell([record], None, StorageError("refused", f"the journal cannot say it: {error!r}"))
        else:
            good.append(record)
    return b"".join(frames), good


def _tell(group: list[Record], segment: Segment | None, error: StorageError | None) -> None:
    for record in group:
        try:
            record.done(segment, error)
        except RuntimeError:  # the loop that the caller wanted to wake is closed
            continue
