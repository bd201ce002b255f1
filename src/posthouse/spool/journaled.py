"""The spool with a journal before its shelf.

What is accepted goes into the journal: one write and one flush for a group of messages. Most of
it is delivered within seconds, from memory, and never sees the database. What has to wait, is
looked at, or is changed by a person moves to the shelf first (`Spool`), and stays there.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from posthouse.spool import reading
from posthouse.spool.database import is_no_room
from posthouse.spool.disk import Disk
from posthouse.spool.entries import Kept, encode
from posthouse.spool.fresh import Fresh, fresh
from posthouse.spool.identifiers import IdSource
from posthouse.spool.journal import (
    ALLOWED_OCTETS,
    Allowance,
    Journal,
    Past,
    delivered_word,
    message_of,
    nobody,
    quick_results,
    shelve_fresh,
    shelve_recovered,
)
from posthouse.spool.lane import LOOK_SECONDS, Record, Segment, Turn
from posthouse.spool.lanes import Lanes
from posthouse.spool.records import (
    Backlog,
    Filters,
    JourneyEvent,
    Message,
    Offspring,
    Result,
    Settled,
    StorageError,
    Summary,
    Trouble,
    Work,
)
from posthouse.spool.shelf import Arrival
from posthouse.spool.spool import (
    EACH_DESTINATION,
    EVERYTHING,
    RESERVE_OCTETS,
    Answer,
    Look,
    Spool,
)
from posthouse.spool.writer import Change, Done, ignore

MEMORY_OCTETS: Final = 64 * 1024 * 1024
PAST: Final = datetime(1971, 1, 1, tzinfo=UTC)
FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)
FRESH_SECONDS: Final = 10.0  # then a message moves to the shelf
PAST_MAX: Final = 500  # journeys that wait to be written together
RECOVERED_AT_ONCE: Final = 200


class JournaledSpool(Spool):
    """A spool whose newest messages are in the journal and in memory."""

    def __init__(
        self,
        directory: Path,
        *,
        now: Callable[[], datetime],
        disk: Disk | None = None,
        reserve_octets: int = RESERVE_OCTETS,
        memory_octets: int = MEMORY_OCTETS,
        place: int | None = None,
    ) -> None:
        self._journal = Journal(memory_octets)
        self._allowance = Allowance()
        self._shelf_changed = True
        self._shelf_quiet_until: datetime | None = None  # nothing there is due before
        super().__init__(
            directory,
            now=now,
            disk=disk,
            reserve_octets=reserve_octets,
            memory_octets=0,
            place=place,
        )

    @property
    def trouble(self) -> StorageError | None:
        """Why no mail can be taken any more (until a restart); None while all is well."""
        lanes = self._journal.lanes
        return self._writer.trouble or (lanes.trouble if lanes is not None else None)

    # ------------------------------------------------------------ mail comes in

    def backlog(self) -> Backlog:
        """Return what waits in memory."""
        return self._journal.fresh.backlog(time.monotonic())

    def has_room(self, octets: int) -> bool:
        """Whether a message of this size would find room now; the disk is asked now and then."""
        if self._allowance.covers(octets):
            return True
        owed = self._journal.owed_octets  # else the journal could not be emptied any more
        if super().has_room(3 * ALLOWED_OCTETS + owed):
            self._allowance.renew()
            return True
        return super().has_room(3 * octets + owed)

    def shelve(self, arrival: Arrival, done: Done) -> None:
        """Queue a complete message: for the journal, if it is to be delivered at once."""
        if self.trouble is not None:
            done(self.trouble)
            return
        later = arrival.envelope.due > self._now()
        if arrival.file or arrival.hold or later or not self.has_room(arrival.octets):
            super().shelve(arrival, done)
            return
        assert arrival.envelope.recipients, "a message without recipients would never be settled"
        kept = Kept(arrival.id, arrival.envelope, arrival.content)

        def told(segment: Segment | None, error: StorageError | None) -> None:
            if segment is not None:
                self._journal.fresh.add((fresh(kept, segment, time.monotonic()),))
            done(error)

        octets = len(arrival.content)
        self._journal.append(Record(partial(encode, kept), told, size=octets, lives=True))

    def use_turn(self, turn: Turn) -> None:
        """Let what is accepted in one turn of an event loop share a flush."""
        assert self._journal.lanes is not None, "opened"
        self._journal.lanes.use_turn(turn)

    def _group_ended(self) -> None:
        """Behind a group of the journal, in its thread."""
        for callback in self._arrived:
            callback()
        over = self._journal.fresh.is_over_budget()
        if over or time.monotonic() - self._journal.looked >= LOOK_SECONDS:
            self._look()

    def _look(self) -> None:
        """Shelve what gets old or takes too much memory."""
        self._journal.looked = time.monotonic()
        old = self._journal.fresh.older_than(self._journal.looked - FRESH_SECONDS)
        self._move(old)
        self._write_past()

    # ------------------------------------------------------------ mail goes out

    def take_due(
        self,
        now: datetime,
        limit: int,
        exclude: Collection[str] = frozenset(),
        *,
        each: int = EACH_DESTINATION,
    ) -> list[Work]:
        """Take messages whose time has come: half from the shelf, if it has as many."""
        if self.trouble is not None:  # what cannot be recorded would be delivered again
            return []
        half = max(1, limit // 2)
        works = self._take_shelved(now, half, exclude, each)
        shelf_has_more = len(works) == half
        works += self._journal.fresh.take(limit - len(works), exclude, each)
        if shelf_has_more and len(works) < limit:
            works += super().take_due(now, limit - len(works), exclude, each=each)
        return works

    def take_fresh(self, now: datetime, limit: int, exclude: Collection[str], *, each: int) -> Look:
        """Take what is due here, while nothing is on the shelf."""
        quiet = self._quiet_until(now)
        if quiet is None or self.trouble is not None:
            return None
        works = self._journal.fresh.take(limit, exclude, each)
        if works:
            return works, None
        return works, min(quiet, self._journal.fresh.next_due(now) or quiet)

    def _quiet_until(self, now: datetime) -> datetime | None:
        """When the shelf has to be asked again; None if that is now."""
        quiet = self._shelf_quiet_until
        return quiet if not self._shelf_changed and quiet is not None and now < quiet else None

    def _take_shelved(
        self, now: datetime, limit: int, exclude: Collection[str], each: int
    ) -> list[Work]:
        """Ask the shelf, unless it is known that nothing there is due."""
        if self._quiet_until(now) is not None:
            return []
        self._shelf_changed = False
        works = super().take_due(now, limit, exclude, each=each)
        if not works:
            with self._readers.one() as sql:  # what is excluded or leased is due as well
                self._shelf_quiet_until = reading.next_due(sql, PAST) or FAR
        self._shelf_changed = self._shelf_changed or bool(works)
        return works

    def next_due(self, after: datetime) -> datetime | None:
        """Return the earliest time behind `after` at which something becomes due."""
        dues = (self._journal.fresh.next_due(after), super().next_due(after))
        return min((due for due in dues if due is not None), default=None)

    def settle(
        self,
        message_id: str,
        results: Mapping[int, Result],
        *,
        offspring: Sequence[Offspring] = (),
        done: Done = ignore,
    ) -> None:
        """Record how an attempt ended; a delivery from the journal costs one more record there."""
        with self._journal.lock:
            if self.trouble is not None:
                self._leases.end(message_id, results)
                done(self.trouble)
                return
            if self._journal.fresh.find(message_id) is not None:
                quick = quick_results(results)
                if quick and not offspring:
                    self._settle_fresh(message_id, quick, done)
                    return
                self._move([message_id])
            super().settle(message_id, results, offspring=offspring, done=done)

    def _settle_fresh(self, message_id: str, results: Mapping[int, Settled], done: Done) -> None:
        journal, at = self._journal, self._now()

        def tell(_: Segment | None, error: StorageError | None) -> None:
            done(error)

        told = nobody if done is ignore else tell
        it = journal.fresh.settle(message_id, results, at)
        assert it is not None, "found under the same lock"
        if it.is_settled:
            journal.forget(it, told)
            kept = it.kept
            journal.past.append(Past(kept.id, kept.envelope, len(kept.content), it.settled))
            if len(journal.past) >= PAST_MAX:
                self._write_past()
            return
        words = [delivered_word(message_id, place, result, at) for place, result in results.items()]
        lane = it.segment.lane
        for word in words[:-1]:
            lane.append(Record(partial(encode, word), nobody, lazy=True))
        lane.append(Record(partial(encode, words[-1]), told, lazy=True))

    def give_back(self, work: Work) -> None:
        """Return a work that was not tried: it is due as before and counts no attempt."""
        with self._journal.lock:
            self._journal.fresh.give_back(work.id, work.destination)
            self._shelf_changed = True
            super().give_back(work)

    def content(self, message_id: str) -> Iterator[bytes]:
        """Yield the content in parts of at most 64 KiB, or in one part if it is in memory."""
        it = self._journal.find(message_id)
        return super().content(message_id) if it is None else iter((it.kept.content,))

    # ------------------------------------------------------------ looking

    def message(self, message_id: str) -> Message | None:
        """Return a message with the state of its recipients; None if it is gone."""
        it = self._journal.find(message_id)
        if it is not None and it.kept.id in self._journal.moving:
            self._gather()
            it = self._journal.find(message_id)
        return super().message(message_id) if it is None else message_of(it)

    def list_messages(
        self, filters: Filters = EVERYTHING, *, after: str = "", limit: int = 100
    ) -> tuple[Message, ...]:
        """Return a page of messages, oldest first; ask on with `after` = the last id."""
        self._gather()
        return super().list_messages(filters, after=after, limit=limit)

    def summary(self, filters: Filters = EVERYTHING, *, limit: int = 100) -> Summary:
        """Return the totals of what matches and the `limit` busiest destinations."""
        self._gather()
        return super().summary(filters, limit=limit)

    def journey(self, message_id: str) -> tuple[JourneyEvent, ...]:
        """Return what happened to a message, also some time after it is gone."""
        self._gather()
        return super().journey(message_id)

    def mentioning(self, text: str, *, limit: int = 100) -> tuple[str, ...]:
        """Return the ids of messages whose journey mentions a text, the newest first."""
        self._gather()
        return super().mentioning(text, limit=limit)

    def flush(self) -> None:
        """Return when all that was asked for until now is committed.

        Raises:
            StorageError: If it cannot be.
        """
        self.files.wait()
        if self._journal.lanes is not None:
            self._journal.lanes.flush()
        self._write_past()
        super()._do(lambda: None)

    def close(self) -> None:
        """Put everything on the shelf, and let go of the directory."""
        self.files.close()
        journal = self._journal
        journal.close()
        self._move(journal.fresh.ids())
        self._write_past()
        super().close()
        if journal.lanes is not None and self.trouble is None and journal.is_empty:
            with suppress(OSError):  # they say nothing new: the next start removes them
                journal.lanes.remove()

    # ------------------------------------------------------------ from the journal to the shelf

    def _do(self, action: Callable[[], Answer]) -> Answer:
        """Have the shelf's writer do it, behind what the journal still has."""
        if len(self._journal.fresh):
            self._move(self._journal.fresh.ids())
        return self._on_shelf(action)

    def _gather(self) -> None:
        """Bring to the shelf what is not there, for somebody who looks.

        If the disk has trouble, they see what is on the shelf.
        """
        if not self._journal.is_empty:
            with suppress(StorageError):
                self._move(self._journal.fresh.ids())
                self._write_past()
                super()._do(lambda: None)

    def _move(self, ids: Sequence[str]) -> None:
        """Queue messages for the shelf; they keep their leases."""
        for message_id in ids:
            with self._journal.lock:
                it = self._journal.fresh.find(message_id)
                if it is None:
                    continue
                self._journal.moving[message_id] = it
                self._journal.moving_octets += it.size
                self._journal.fresh.surrender(message_id)
                for destination in it.leased:
                    work = it.work_for(destination)
                    self._leases.adopt(message_id, destination, work.indices if work else ())
                apply = partial(shelve_fresh, self._shelf, it)
                told = partial(self._moved, it)
                octets = len(it.kept.content)
                self._writer.submit(Change(apply, told, lazy=True, octets=octets))

    def _moved(self, it: Fresh, error: StorageError | None) -> None:
        if error is not None:  # it stays in the journal: the next start shelves it
            return
        with self._journal.lock:
            self._journal.moving.pop(it.kept.id, None)
            self._journal.moving_octets -= it.size
            self._journal.forget(it)
        self._wake(None)

    def _write_past(self) -> None:
        """Write the journeys of what was delivered from the journal."""
        with self._journal.lock:
            past, self._journal.past = self._journal.past, []
        if past:

            def apply() -> None:
                self._shelf.note_journeys([note for it in past for note in it.notes()])

            self._writer.submit(Change(apply, ignore, lazy=True))

    def _wake(self, error: StorageError | None) -> None:
        self._shelf_changed = True
        super()._wake(error)

    # ------------------------------------------------------------ start

    def _begin(self) -> IdSource:
        """Put on the shelf what the journal still holds, then begin a new one."""
        super()._begin()
        directory = self.path.parent / "journal"
        try:
            lanes = Lanes(directory, self.files.disk, look=self._look, ended=self._group_ended)
            found = lanes.held()
            for start in range(0, len(found), RECOVERED_AT_ONCE):
                some = found[start : start + RECOVERED_AT_ONCE]
                super()._do(partial(shelve_recovered, self._shelf, some))
            newest = lanes.last_number()
            lanes.open()
        except OSError as error:
            kind: Trouble = "full" if is_no_room(error) else "unreadable"
            raise StorageError(kind, f"{directory} cannot be used ({error.strerror})") from error
        self._journal.lanes = lanes
        with self._readers.one() as sql:
            return IdSource(self._now, max(newest, reading.last_number(sql)), self._place)
