"""The clock was set: what waits keeps its distance to now, so nothing is lost, late or in a storm.

All times in the tables are the system's. When that clock jumps by an hour or a year, ages and due
times are moved with it: else all that waits would be tried at once and given back as too old, or
nobody would try it for a year.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from posthouse.spool.identifiers import number_of
from posthouse.spool.reading import Readers
from posthouse.spool.times import to_number

SLICE: Final = 1000
JUMP_MIN: Final = timedelta(seconds=30)
PUT_OFF_MAX: Final = timedelta(hours=2)  # what is due later without an attempt has a release
LAST_NUMBER: Final = 2**63 - 1
JOURNEYS_READ: Final = 100
_MICROSECOND: Final = timedelta(microseconds=1)
Answer = TypeVar("Answer")
Do = Callable[[Callable[[], Answer]], Answer]


class Jump(Struct, frozen=True):
    """What is to be moved, and how far.

    Attributes:
        by: How far the clock went; negative: back.
        at: What it showed before.
        after: Only messages behind this number,
        last: up to this one,
        since: accepted at this time or later,
        until: or earlier; by the clock as it was.
    """

    by: timedelta
    at: datetime
    after: int = -1
    last: int = LAST_NUMBER
    since: int = 0
    until: int = LAST_NUMBER


def move_times(sql: sqlite3.Connection, jump: Jump) -> tuple[int, set[str]]:
    """Move the times of a slice of messages with the clock.

    A release (RFC 4865) stays where it is: it was not computed from our clock.

    Returns:
        Behind which message the next slice begins, 0 if this was the last; the destinations.
    """
    row = sql.execute(
        "SELECT number FROM message WHERE number > ? AND number <= ? ORDER BY number"
        " LIMIT 1 OFFSET ?",
        (jump.after, jump.last, SLICE - 1),
    ).fetchone()
    last = row[0] if row else jump.last
    by, released = jump.by // _MICROSECOND, to_number(jump.at + PUT_OFF_MAX)
    chosen = "number > ?2 AND number <= ?3 AND accepted >= ?4 AND accepted <= ?5"
    which = (by, jump.after, last, jump.since, jump.until)
    moved = sql.execute(
        "UPDATE recipient SET last_attempt = last_attempt + ?1, due = CASE WHEN attempts = 0"  # noqa: S608 - constants
        f" AND due > ?6 THEN due ELSE due + ?1 END WHERE number IN (SELECT number FROM message"
        f" WHERE {chosen}) AND state = 'waiting' RETURNING destination",
        (*which, released),
    ).fetchall()
    sql.execute(
        f"UPDATE message SET accepted = accepted + ?1, held = held + ?1 WHERE {chosen}",  # noqa: S608 - the same
        which,
    )
    return (last if row else 0), {destination for (destination,) in moved}


def is_ahead(sql: sqlite3.Connection, now: datetime) -> bool:
    """Whether what was recorded last lies in the future: the clock went back meanwhile."""
    (at,) = sql.execute(
        "SELECT max(at) FROM (SELECT at FROM journey ORDER BY entry DESC LIMIT ?)", (JOURNEYS_READ,)
    ).fetchone()
    return at is not None and at > to_number(now + JUMP_MIN)


def mend_future(sql: sqlite3.Connection, now: datetime) -> set[str]:
    """Date what lies in the future as if it happened now; the destinations of what was mended."""
    at = to_number(now)
    base = "coalesce(last_attempt, (SELECT accepted FROM message AS m WHERE m.number = r.number))"
    mended = sql.execute(
        f"UPDATE recipient AS r SET due = due - {base} + ?1,"  # noqa: S608 - constants
        " last_attempt = CASE WHEN last_attempt IS NULL THEN NULL ELSE ?1 END"
        f" WHERE state = 'waiting' AND {base} > ?1 RETURNING destination",
        (at,),
    ).fetchall()
    sql.execute("UPDATE message SET held = ?1 WHERE held > ?1", (at,))
    sql.execute("UPDATE message SET accepted = ?1 WHERE accepted > ?1", (at,))
    return {destination for (destination,) in mended}


class Movable(Protocol):
    """The part of a spool that follows a clock."""

    def new_id(self) -> str:
        """Return an id that is never given twice."""

    def move_times(self, jump: Jump) -> int:
        """Move the times of a slice; behind which message the next begins, 0 if none is left."""

    def flush(self) -> None:
        """Return when all that was asked for until now is committed."""


class Mending(Protocol):
    """The part of a shelf that dates anew."""

    def mend_future(self, now: datetime) -> None:
        """Date what lies in the future as if it happened now."""


class Follower:
    """Moves everything with a clock that was set; what a full disk interrupts goes on later.

    What is accepted while all that waits is being moved still has the old time, and follows.
    """

    def __init__(
        self, spool: Movable, now: Callable[[], datetime], switch: Callable[[], None]
    ) -> None:
        """Take the clock of all rooms, and what lets it show the new time."""
        self._spool = spool
        self._now = now
        self._switch = switch
        self._switching: Jump | None = None
        self._jumps: list[Jump] = []

    def look(self, by: timedelta) -> timedelta:
        """Follow a jump; how far, if everybody sees the new time since now. Blocks.

        Raises:
            StorageError: If something could not be moved now; the next look goes on there.
        """
        self._work_off()
        if self._switching is None:
            if not by:
                return by
            newest = number_of(self._spool.new_id())
            self._switching = Jump(by, self._now(), last=newest)
            self._jumps.append(self._switching)
            self._work_off()
        jump, self._switching = self._switching, None
        self._switch()
        since, until = to_number(jump.at), to_number(self._now() - jump.by)
        self._jumps.append(Jump(jump.by, jump.at, after=jump.last, since=since, until=until))
        self._spool.flush()
        self._work_off()
        return jump.by

    def _work_off(self) -> None:
        while self._jumps:
            if after := self._spool.move_times(self._jumps[0]):
                self._jumps[0] = replace(self._jumps[0], after=after)
            else:
                del self._jumps[0]


def mend(readers: Readers, do: Do[None], shelf: Mending, now: datetime) -> None:
    """The clock was set back while nobody ran: nothing may wait until it is there again."""
    with readers.one() as sql:
        ahead = is_ahead(sql, now)
    if ahead:
        do(lambda: shelf.mend_future(now))
