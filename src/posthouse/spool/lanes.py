"""The lanes of a journal: one, and up to four while the disk is slow.

One flush in flight at a time is best where a flush takes less than a millisecond: groups are
large, and the thread changes are few. Where it takes 5 ms, few clients would wait for two flushes
in turn, their own and the one before: with more lanes the disk flushes side by side.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from posthouse.spool.database import flush_directory
from posthouse.spool.disk import Disk
from posthouse.spool.entries import Gone, encode
from posthouse.spool.lane import Lane, Record, Segment, Turn, no_turn, segment_paths
from posthouse.spool.records import StorageError
from posthouse.spool.recovery import Recovered, last_number, unsettled

LANES_MAX: Final = 4
SLOW_SECONDS: Final = 0.004
CROWD: Final = 16  # so many share one flush: it costs less than several with a few each


class Lanes:
    """All lanes of one directory; a message and what becomes of it are in the same lane."""

    def __init__(
        self,
        directory: Path,
        disk: Disk,
        *,
        look: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        """Make the directory; `look` and `ended` are as for `Lane`.

        Raises:
            OSError: If that cannot be done.
        """
        self._directory = directory
        self._disk = disk
        self._look = look
        self._ended = ended
        self._turn: Turn = no_turn
        self._lanes: list[Lane] = []
        self._opening = threading.Lock()
        directory.mkdir(mode=0o700, exist_ok=True)
        disk.flush_directory(directory.parent)

    def held(self) -> list[Recovered]:
        """Return what earlier runs answer for, the oldest first.

        Raises:
            StorageError: As `unsettled`.
        """
        found = [it for place in self._places() for it in unsettled(place).values()]
        return sorted(found, key=lambda it: it.kept.id)

    def last_number(self) -> int:
        """Return the highest number of a message that earlier runs mention, -1 if none."""
        return max(last_number(place) for place in self._places())

    def open(self) -> None:
        """Forget what earlier runs wrote, and begin anew.

        Raises:
            OSError: If that cannot be done.
        """
        begin_at = 1 + max((int(path.stem) for path in self._segments()), default=0)
        self.remove()
        self._open_lane(begin_at)

    @property
    def are_open(self) -> bool:
        """Whether `open` was called."""
        return bool(self._lanes)

    @property
    def trouble(self) -> StorageError | None:
        """Why nothing can be promised any more."""
        for lane in self._lanes:
            if lane.trouble is not None:
                return lane.trouble
        return None

    def use_turn(self, turn: Turn) -> None:
        """Let what is appended in one turn share a flush."""
        self._turn = turn
        for lane in self._lanes:
            lane.turn = turn

    def append(self, record: Record) -> None:
        """Queue a new message where it is safe soonest."""
        lane = self._lanes[0]
        if lane.is_busy and lane.flush_seconds >= SLOW_SECONDS and lane.load < CROWD:
            lane = self._least_busy()
        lane.append(record)

    def flush(self) -> None:
        """Return when all that was queued is on stable storage.

        Raises:
            StorageError: If that cannot be.
        """
        errors: list[StorageError | None] = []
        for lane in tuple(self._lanes):
            ended = threading.Event()

            def told(
                _: Segment | None, error: StorageError | None, ended: threading.Event = ended
            ) -> None:
                errors.append(error)
                ended.set()

            lane.append(Record(partial(encode, Gone("")), told), at_once=True)
            ended.wait()
        for error in errors:
            if error is not None:
                raise error

    def close(self) -> None:
        """Write what waits, then end all threads."""
        for lane in self._lanes:
            lane.close()

    def remove(self) -> None:
        """Remove all segments: what they say is said elsewhere.

        Raises:
            OSError: If that cannot be done.
        """
        for place in self._places():
            for path in segment_paths(place):
                path.unlink(missing_ok=True)
            flush_directory(place)

    def _least_busy(self) -> Lane:
        for lane in self._lanes:
            if not lane.is_busy:
                return lane
        with self._opening:
            if len(self._lanes) < LANES_MAX:
                try:
                    return self._open_lane(1)
                except OSError:  # one more would be a help, not a need
                    return self._lanes[0]
        return min(self._lanes, key=lambda lane: lane.load)

    def _open_lane(self, begin_at: int) -> Lane:
        number = len(self._lanes) + 1
        place = self._directory if number == 1 else self._directory / f"lane-{number}"
        if number > 1:
            place.mkdir(mode=0o700, exist_ok=True)
            self._disk.flush_directory(self._directory)
        lane = Lane(place, self._disk, begin_at=begin_at, look=self._look, ended=self._ended)
        lane.turn = self._turn
        self._lanes.append(lane)
        return lane

    def _places(self) -> Iterator[Path]:
        yield self._directory
        yield from sorted(self._directory.glob("lane-*"))

    def _segments(self) -> Iterator[Path]:
        for place in self._places():
            yield from segment_paths(place)
