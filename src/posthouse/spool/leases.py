"""What the dispatcher has in its hands. Kept in memory: a lease ends with the process."""

import sqlite3
import threading
from collections.abc import Collection, Iterable
from datetime import datetime
from time import monotonic
from typing import Final

from posthouse.spool import reading
from posthouse.spool.identifiers import id_of
from posthouse.spool.records import Work

REFUSED_SECONDS: Final = 1.0


class Leases:
    """Messages that were taken for a destination and are not yet settled there."""

    def __init__(self) -> None:
        self._taken: dict[str, dict[str, set[int]]] = {}  # id -> destination -> places
        self._at: dict[str, int] = {}  # destination -> leases
        self._refused: dict[str, float] = {}  # destination -> when, on the monotonic clock
        self._lock = threading.Lock()

    def take_due(
        self,
        sql: sqlite3.Connection,
        now: datetime,
        limit: int,
        exclude: Collection[str],
        each: int,
    ) -> list[Work]:
        """Take what is due: see `Spool.take_due`."""
        works = self._returned(sql, now, limit, each)
        enough = limit + len(self._at)  # what is taken already still stands there as due
        for destination in reading.due_destinations(sql, now, exclude, enough):
            room = min(each, limit - len(works))
            if room <= 0:
                break
            works += self._take_at(sql, destination, now, room)
        return works

    def adopt(self, message_id: str, destination: str, places: Iterable[int]) -> None:
        """Take over a lease that was given before the message came to the shelf."""
        if self._begin(message_id, destination):
            with self._lock:
                self._taken[message_id][destination] = set(places)

    def refused(self, destination: str) -> None:
        """A return there had to wait: it is not offered again for a moment."""
        self._refused[destination] = monotonic()

    def end(self, message_id: str, places: Iterable[int], *, settled: bool = False) -> None:
        """End the lease of these recipients; what was not taken is ignored."""
        with self._lock:
            leases = self._taken.get(message_id, {})
            for destination in list(leases):
                if settled:
                    self._refused.pop(destination, None)
                leases[destination].difference_update(places)
                if not leases[destination]:
                    self._forget(message_id, destination)

    def __len__(self) -> int:
        return sum(self._at.values())

    def _returned(
        self, sql: sqlite3.Connection, now: datetime, limit: int, each: int
    ) -> list[Work]:
        """Take what an administrator returns, although its destination is paused."""
        works: list[Work] = []
        room = min(limit, each)
        for number, destination in reading.returned_though_paused(sql, now, room + len(self)):
            refused = self._refused.get(destination)
            if refused is not None and monotonic() - refused < REFUSED_SECONDS:
                continue
            if len(works) < room:
                works += self._take(sql, number, destination, now)
        return works

    def _take_at(
        self, sql: sqlite3.Connection, destination: str, now: datetime, room: int
    ) -> list[Work]:
        def is_taken(number: int) -> bool:
            return destination in self._taken.get(id_of(number), {})

        works: list[Work] = []
        for number in reading.due_messages(sql, destination, now, room, is_taken):
            works += self._take(sql, number, destination, now)
        return works

    def _take(
        self, sql: sqlite3.Connection, number: int, destination: str, now: datetime
    ) -> list[Work]:
        if not self._begin(id_of(number), destination):
            return []
        # Read only now: had a lease just ended, an earlier look missed its outcome.
        work = _read_work(sql, number, destination, now)
        self._fix(id_of(number), destination, work)
        return [work] if work else []

    def _begin(self, message_id: str, destination: str) -> bool:
        with self._lock:
            leases = self._taken.setdefault(message_id, {})
            if destination in leases:
                return False
            leases[destination] = {-1}  # no place yet, but not empty either
            self._at[destination] = self._at.get(destination, 0) + 1
            return True

    def _fix(self, message_id: str, destination: str, work: Work | None) -> None:
        with self._lock:
            if work is None:
                self._forget(message_id, destination)
            else:
                self._taken[message_id][destination] = set(work.indices)

    def _forget(self, message_id: str, destination: str) -> None:
        del self._taken[message_id][destination]
        if not self._taken[message_id]:
            del self._taken[message_id]
        self._at[destination] -= 1
        if not self._at[destination]:
            del self._at[destination]


def _read_work(
    sql: sqlite3.Connection, number: int, destination: str, now: datetime
) -> Work | None:
    row = reading.work_row(sql, number)
    due = reading.recipients_due(sql, number, destination, now) if row else []
    if row is None or not due:
        return None
    envelope, octets, bounce, via = row
    return Work(id_of(number), destination, envelope, octets, tuple(due), bounce, via)
