"""The spool: the only door between mail that comes in and mail that goes out.

Guarantees (docs/spool.md; each has a test that bears its name):

* No `done` before the flush.
* No outcome is lost while the process lives; after a crash one may be repeated.
* A message is gone only when every recipient is settled.
"""

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from posthouse.spool import bulk, counting, jumps, reading
from posthouse.spool.bulk import Verb
from posthouse.spool.database import open_for_writing
from posthouse.spool.disk import Disk
from posthouse.spool.identifiers import IdSource
from posthouse.spool.intake import MEMORY_OCTETS_MAX, Intake, prepared
from posthouse.spool.jumps import Jump
from posthouse.spool.lane import Turn
from posthouse.spool.large import SideFiles
from posthouse.spool.leases import Leases
from posthouse.spool.lock import lock_directory
from posthouse.spool.moved import Moved, Row
from posthouse.spool.reading import Readers
from posthouse.spool.recent import BUDGET_OCTETS, RecentContents
from posthouse.spool.records import (
    Backlog,
    Filters,
    JourneyEvent,
    Message,
    Offspring,
    Paused,
    Postponed,
    Result,
    StorageError,
    Summary,
    Work,
)
from posthouse.spool.shelf import Arrival, Shelf
from posthouse.spool.writer import Change, Done, Writer, ignore

EVERYTHING: Final = Filters()
RESERVE_OCTETS: Final = 32 * 1024 * 1024
EACH_DESTINATION: Final = 20  # messages for one destination in one `take_due`
Answer = TypeVar("Answer")
Look = tuple[list[Work], datetime | None] | None


class Spool:
    """What was accepted and is not yet settled.

    Made by the process that owns the directory; others are kept out by a lock. All methods may be
    called from any thread. Those that ask for a change by an administrator return after its
    commit; `settle` and `Intake.commit` return at once.
    """

    def __init__(
        self,
        directory: Path,
        *,
        now: Callable[[], datetime],
        disk: Disk | None = None,
        reserve_octets: int = RESERVE_OCTETS,
        memory_octets: int = BUDGET_OCTETS,
        place: int | None = None,
    ) -> None:
        """Open the spool in `directory`, or make it.

        Args:
            directory: Its own; made if missing.
            now: The clock; what it gives carries a zone.
            disk: Another than the real one, for tests.
            reserve_octets: Room only for recording outcomes, which is what makes room again.
            memory_octets: Contents just accepted that are kept in memory for their delivery.
            place: Sign of the worker in all ids given here; None: there is one worker.

        Raises:
            StorageError: `corrupt`, `newer`, `locked`, `unreadable` or `full`; nothing changed.
        """
        self.path = directory / "spool.db"
        self.files = SideFiles(directory / "large", disk or Disk())
        self._now, self._place = now, place
        self._reserve = reserve_octets
        self._arrived: list[Callable[[], None]] = []
        self._lock = lock_directory(directory, self.files.directory)
        try:
            connection = open_for_writing(self.path)
        except BaseException:
            os.close(self._lock)
            raise
        self._shelf = Shelf(connection, self._removed)
        self._writer = Writer(connection, self.path, self.files.disk, self._shelf)
        self._readers = Readers(self.path)
        self._leases = Leases()
        self._recent = RecentContents(memory_octets)
        try:
            self._ids = self._begin()
            jumps.mend(self._readers, self._do, self._shelf, now())
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ mail comes in

    def backlog(self) -> Backlog:
        """Return what waits in memory: nothing, all of it is on the shelf."""
        return Backlog()

    @property
    def trouble(self) -> StorageError | None:
        """Why no mail can be taken any more (until a restart); None while all is well."""
        return self._writer.trouble

    def new_id(self) -> str:
        """Return a queue id: 11 letters and digits, rising with time, never given twice."""
        return self._ids.new()

    def has_room(self, octets: int) -> bool:
        """Whether a message of this size would find room now; else answer 452 at once."""
        try:
            return self.files.disk.free_octets(self.files.directory) - octets > self._reserve
        except OSError:  # the directory was taken away: what is put there would be lost
            return False

    @property
    def shortage(self) -> StorageError | None:
        """Why mail finds no room at the moment; that ends by itself."""
        return None if self.has_room(0) else self._no_room()

    def open_intake(self) -> Intake:
        """Begin to receive a message."""
        return Intake(self)

    def use_turn(self, turn: Turn) -> None:
        """Let what is accepted in one turn of an event loop share a flush, where that helps."""

    def on_arrival(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, from the writer thread, when something may have become due."""
        self._arrived.append(callback)

    def shelve(self, arrival: Arrival, done: Done) -> None:
        """Queue a complete message for the next commit."""
        if not self.has_room(0 if arrival.file else arrival.octets):
            self._writer.save_room(Change(self._shelf.give_room_back, ignore))
            done(self._no_room())
            return

        def tell(error: StorageError | None) -> None:
            if error is None and not arrival.file:
                self._recent.keep(arrival.id, arrival.content)
            done(error)
            self._wake(error)

        octets = len(arrival.content)
        self._writer.submit(Change(lambda: self._shelf.accept(arrival), tell, octets=octets))

    def _no_room(self) -> StorageError:
        directory = self.path.parent
        if not self.files.directory.is_dir():
            return StorageError("unreadable", f"{directory} is not there any more. Put it back")
        return StorageError("full", f"{directory}: the disk is nearly full. Make room")

    def fail(self, error: StorageError) -> None:
        """Take no mail any more: a flush failed outside the writer."""
        self._writer.trouble = self._writer.trouble or error

    # ------------------------------------------------------------ mail goes out

    def take_due(
        self,
        now: datetime,
        limit: int,
        exclude: Collection[str] = frozenset(),
        *,
        each: int = EACH_DESTINATION,
    ) -> list[Work]:
        """Take messages whose time has come, one `Work` for a message and destination.

        What was taken is not given again until it is settled, given back, or the process ends.

        Args:
            now: The time.
            limit: Works at most.
            exclude: Destinations (domains) that are at their limit.
            each: Works at most for one destination, so that all get their turn.
        """
        if self.trouble is not None:  # what cannot be recorded would be delivered again
            return []
        with self._readers.one() as sql:
            return self._leases.take_due(sql, now, limit, exclude, each)

    def take_fresh(
        self,
        now: datetime,  # noqa: ARG002 - for a spool that has a memory
        limit: int,  # noqa: ARG002 - the same
        exclude: Collection[str],  # noqa: ARG002 - the same
        *,
        each: int,  # noqa: ARG002 - the same
    ) -> Look:
        """Do so and tell the next due time, without asking the disk; None if that has to be."""
        return None

    def next_due(self, after: datetime) -> datetime | None:
        """Return the earliest time behind `after` at which something becomes due."""
        with self._readers.one() as sql:
            return reading.next_due(sql, after)

    def settle(
        self,
        message_id: str,
        results: Mapping[int, Result],
        *,
        offspring: Sequence[Offspring] = (),
        done: Done = ignore,
    ) -> None:
        """Record how an attempt ended, by place in the envelope. Committed lazily.

        Args:
            message_id: The message; if it is gone already, nothing happens.
            results: For each recipient that was tried.
            offspring: Reports or forwarded copies, accepted in the same commit.
            done: Called after the commit, from the writer thread.
        """
        at, fixed = self._now(), dict(results)

        def tell(error: StorageError | None) -> None:
            self._leases.end(message_id, fixed, settled=True)
            done(error)
            self._wake(error)

        def submit() -> None:
            children = [prepared(child, self.files, self._ids.new) for child in offspring]
            record = partial(self._shelf.settle, message_id, fixed, children, at)
            self._writer.submit(Change(record, tell, lazy=True))

        if any(len(child.content) > MEMORY_OCTETS_MAX for child in offspring):
            self.files.aside(submit)
        else:
            submit()

    def give_back(self, work: Work) -> None:
        """Return a work that was not tried: it is due as before and counts no attempt."""
        if work.bounce:
            self._leases.refused(work.destination)
        self._leases.end(work.id, work.indices)

    def content(self, message_id: str) -> Iterator[bytes]:
        """Yield the content in parts of at most 64 KiB, or in one part if it is in memory.

        Raises:
            StorageError: `missing` if the message is gone.
        """
        recent = self._recent.find(message_id)
        if recent is not None:
            yield recent
            return
        with self._readers.one() as sql:
            octets, file = reading.content_parts(sql, message_id)
        if octets:
            yield octets
        if file:
            yield from self.files.read(file)

    def content_octets(self, message_id: str) -> bytes:
        """Return the whole content; `content` is for large ones.

        Raises:
            StorageError: `missing` if the message is gone.
        """
        return b"".join(self.content(message_id))

    # ------------------------------------------------------------ looking

    def message(self, message_id: str) -> Message | None:
        """Return a message with the state of its recipients; None if it is gone."""
        with self._readers.one() as sql:
            return reading.message(sql, message_id)

    def list_messages(
        self, filters: Filters = EVERYTHING, *, after: str = "", limit: int = 100
    ) -> tuple[Message, ...]:
        """Return a page of messages, oldest first; ask on with `after` = the last id."""
        with self._readers.one() as sql:
            return reading.listing(sql, filters, after, limit)

    def summary(self, filters: Filters = EVERYTHING, *, limit: int = 100) -> Summary:
        """Return the totals of what matches and the `limit` busiest destinations."""
        with self._readers.one() as sql:
            if filters == EVERYTHING:
                return reading.summary(sql, limit)
            return counting.summary_of(sql, filters, limit)

    def journey(self, message_id: str) -> tuple[JourneyEvent, ...]:
        """Return what happened to a message, also some time after it is gone."""
        with self._readers.one() as sql:
            return reading.journey(sql, message_id)

    def mentioning(self, text: str, *, limit: int = 100) -> tuple[str, ...]:
        """Return the ids of messages whose journey mentions a text, the newest first."""
        with self._readers.one() as sql:
            return reading.mentioning(sql, text, limit)

    # ------------------------------------------------------------ in an administrator's hands

    def hold(self, message_id: str, why: str, *, case: str = "") -> bool:
        """Keep a message for a person to look at. False if there is no such message."""
        return self._do(lambda: self._shelf.hold(message_id, why, case, self._now()))

    def release(self, message_id: str) -> bool:
        """Let a held message go. False if there is no such message."""
        return self._do(lambda: self._shelf.release(message_id, self._now()))

    def bounce(self, message_id: str, why: str) -> bool:
        """Mark a message for its return to the sender (`Work.bounce`)."""
        return self._do(lambda: self._shelf.release(message_id, self._now(), bounce=why))

    def retry(self, message_id: str) -> bool:
        """Make a waiting message due now. False if it is gone or held."""
        return self._do(lambda: self._shelf.retry(message_id, self._now()))

    def retry_all(self, destination: str = "") -> int:
        """Make all that waits, or waits for one destination, due now; how many recipients."""
        self._do(lambda: None)
        return bulk.retry_all(self._on_shelf, self._shelf, destination, self._now)

    def move(self, message_id: str, via: str) -> bool:
        """Send a message by another way than its route's; "" gives it back. False if it is gone."""
        return self._do(lambda: self._shelf.move(message_id, via, self._now()))

    def change_all(self, filters: Filters, verb: Verb) -> int:
        """Do one thing (of `bulk`) to all messages that match, in slices; how many."""
        self._do(lambda: None)  # what is still in a journal is on the shelf then
        do = self._on_shelf
        return bulk.change_all(self._readers, do, self._shelf, filters, verb, self._now)

    def postpone(self, what: Postponed) -> int:
        """Put off what is due at a destination that cannot be reached; how many recipients."""
        # What is still in a journal was never tried: it stays, and so does all for others.
        return self._on_shelf(lambda: self._shelf.postpone(what, self._now()))

    def pause(self, destination: str, why: str) -> None:
        """Record that nothing goes to a destination: who takes leaves it out by `exclude`."""
        self._do(lambda: self._shelf.pause(destination, why, self._now()))

    def resume(self, destination: str) -> bool:
        """End that. False if it was not paused."""
        return self._do(lambda: self._shelf.resume(destination))

    def paused(self) -> tuple[Paused, ...]:
        """Return the destinations that are paused, also after a restart."""
        with self._readers.one() as sql:
            return reading.paused(sql)

    def drop(self, message_id: str, why: str) -> bool:
        """Remove a message for good. False if there is no such message."""
        return self._do(lambda: self._shelf.drop(message_id, why, self._now()))

    def prune(self, keep: timedelta) -> None:
        """Forget the journeys of messages that are gone and older than `keep`."""
        bulk.prune(self._do, self._shelf, self._now() - keep)

    def take_over(self, batch: Sequence[Moved]) -> list[Moved]:
        """Take messages from the shelf of another spool (`adoption`); those that are here now."""
        return self._on_shelf(lambda: self._shelf.adopt(batch))

    def take_over_rest(self, table: str, rows: Sequence[Row]) -> None:
        """Take what belongs to none of its messages."""
        self._on_shelf(lambda: self._shelf.adopt_rest(table, rows))

    def move_times(self, jump: Jump) -> int:
        """Move the times of a slice with a clock that was set: see `jumps.Follower`. Blocks."""
        return self._do(lambda: self._shelf.move_times(jump))

    def flush(self) -> None:
        """Return when all that was asked for until now is committed.

        Raises:
            StorageError: If it cannot be.
        """
        self.files.wait()
        self._do(lambda: None)

    def close(self) -> None:
        """Commit what waits and let go of the directory."""
        self.files.close()
        self._readers.close()
        self._writer.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _removed(self, message_id: str, file: str) -> None:
        self._recent.forget(message_id)
        if file:
            self.files.remove(file)

    def _wake(self, error: StorageError | None) -> None:
        if error is None:
            for callback in self._arrived:
                callback()

    def _do(self, action: Callable[[], Answer]) -> Answer:
        """Have the writer do it behind all that was accepted, and wait for the commit."""
        return self._on_shelf(action)

    def _on_shelf(self, action: Callable[[], Answer]) -> Answer:
        """Have the writer do it, and wait for the commit."""
        answer: list[Answer] = []
        errors: list[StorageError | None] = []
        ended = threading.Event()

        def apply() -> None:
            answer[:] = [action()]

        def done(error: StorageError | None) -> None:
            errors.append(error)
            ended.set()
            self._wake(error)

        self._writer.submit(Change(apply, done))
        ended.wait()
        if errors[0] is not None:
            raise errors[0]
        return answer[0]

    def _begin(self) -> IdSource:
        """Put the side files in order and start to write."""
        with self._readers.one() as sql:
            last, needed = reading.last_number(sql), reading.side_files(sql)
        missing = self.files.clean(needed)
        self._writer.start()
        for name in missing:
            self.hold(needed[name], f"its content {self.files.directory / name} is missing")
        return IdSource(self._now, last, self._place)
