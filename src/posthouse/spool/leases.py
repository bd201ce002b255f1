"""What the dispatcher has in its hands. Kept in memory: a lease ends with the process."""

import sqlite3
import threading
from collections.abc import Collection, Iterable
from datetime import datetime

from posthouse.spool import reading
from posthouse.spool.identifiers import id_of
from posthouse.spool.records import Work


class Leases:
    """Recipients, as (message id, place), that were taken and not yet settled."""

    def __init__(self) -> None:
        self._taken: dict[str, set[int]] = {}
        self._at: dict[str, int] = {}  # destination -> how many
        self._where: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def take(self, message_id: str, places: Iterable[int], destination: str) -> bool:
        """Take all of `places`, or none if one of them is taken already."""
        wanted = set(places)
        with self._lock:
            taken = self._taken.setdefault(message_id, set())
            if taken & wanted:
                return False
            taken |= wanted
            self._at[destination] = self._at.get(destination, 0) + len(wanted)
            for place in wanted:
                self._where[message_id, place] = destination
            return True

    def end(self, message_id: str, places: Iterable[int]) -> None:
        """Give them back; places that were not taken are ignored."""
        with self._lock:
            taken = self._taken.get(message_id, set())
            for place in set(places) & taken:
                taken.discard(place)
                destination = self._where.pop((message_id, place))
                self._at[destination] -= 1
                if not self._at[destination]:
                    del self._at[destination]
            if not taken:
                self._taken.pop(message_id, None)

    def count(self, destination: str) -> int:
        """How many recipients at `destination` are taken."""
        return self._at.get(destination, 0)

    def take_due(
        self,
        sql: sqlite3.Connection,
        now: datetime,
        limit: int,
        exclude: Collection[str],
        each: int,
    ) -> list[Work]:
        """Take what is due: see `Spool.take_due`."""
        works: list[Work] = []
        enough = limit + len(self._at)  # what is taken already still stands there as due
        for destination in reading.due_destinations(sql, now, exclude, enough):
            room = min(each, limit - len(works))
            if room <= 0:
                break
            works += self._take_at(sql, destination, now, room)
        return works

    def _take_at(
        self, sql: sqlite3.Connection, destination: str, now: datetime, room: int
    ) -> list[Work]:
        works: list[Work] = []
        # What is taken still stands in the table as due, so look beyond it.
        rows = reading.due_messages(sql, destination, now, room + self.count(destination))
        places: dict[int, list[int]] = {}
        for number, place in rows:
            places.setdefault(number, []).append(place)
        for number, wanted in places.items():
            if len(works) == room:
                break
            if self.take(id_of(number), wanted, destination):
                # Read only now: had a lease ended after an earlier look, its outcome was missed.
                works += self._read_work(sql, number, destination, now, wanted)
        return works

    def _read_work(
        self,
        sql: sqlite3.Connection,
        number: int,
        destination: str,
        now: datetime,
        wanted: list[int],
    ) -> list[Work]:
        message_id = id_of(number)
        row = reading.work_row(sql, number)
        due = reading.recipients_due(sql, number, destination, now) if row else []
        due = [recipient for recipient in due if recipient.index in wanted]
        self.end(message_id, set(wanted) - {recipient.index for recipient in due})
        if row is None or not due:
            return []
        envelope, octets, bounce = row
        return [Work(message_id, destination, envelope, octets, tuple(due), bounce)]
