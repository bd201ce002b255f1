"""One lane for each next hop: how many attempts it may have at a time, and what waits for it.

A lane begins narrow, widens with each success and narrows when no host of the next hop can be
talked to. It is then closed for a while, and what comes for it meanwhile is deferred without a
try, so that a dead next hop costs the others nothing.
"""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from posthouse.delivery.outcomes import Deferred, Outcome
from posthouse.spool.records import Work

BEGIN_WITH: Final = 2
FIRST_CLOSURE: Final = timedelta(minutes=1)
LONGEST_CLOSURE: Final = timedelta(minutes=15)
IDLE_LANES_MAX: Final = 10_000


class Width(Struct, frozen=True):
    """Limits of concurrency.

    Attributes:
        sessions: Attempts at the same time, all next hops together.
        each_hop: Attempts at the same time at one next hop.
        at_home: The same for our own mailboxes, where nobody is to be spared.
    """

    sessions: int = 100
    each_hop: int = 20
    at_home: int = 16


class Lane:
    """The way to one next hop.

    Attributes:
        waiting: Works that were taken and not begun.
        domains: Domains of works that had to be given back, until there is room again.
        running: Attempts under way.
        allowed: Attempts that may be under way.
        words: Why it was closed last.
    """

    def __init__(self, begin_with: int, allowed_max: int) -> None:
        self.waiting: deque[Work] = deque()
        self.domains: set[str] = set()
        self.running = 0
        self.allowed = min(begin_with, allowed_max)
        self.words: Deferred | None = None
        self._allowed_max = allowed_max
        self._failures = 0
        self._closed_until: datetime | None = None

    @property
    def is_full(self) -> bool:
        """Whether enough waits here; more is left in the spool."""
        return len(self.waiting) >= 2 * self.allowed

    @property
    def is_new(self) -> bool:
        """Whether nothing would be forgotten with it."""
        return not (self.waiting or self.running or self._failures)

    @property
    def may_begin(self) -> bool:
        """Whether another attempt may begin."""
        return bool(self.waiting) and self.running < self.allowed

    def closed(self, now: datetime) -> Deferred | None:
        """Return why nothing is tried here now; None if the lane is open."""
        if self._closed_until is None or now >= self._closed_until:
            return None
        return self.words

    def note(self, outcomes: list[Outcome], now: datetime) -> None:
        """Widen or narrow by how an attempt ended."""
        silent = [it for it in outcomes if isinstance(it, Deferred) and it.unreachable]
        if outcomes and len(silent) == len(outcomes):
            closure = min(FIRST_CLOSURE * (1 << min(self._failures, 10)), LONGEST_CLOSURE)
            self._failures += 1
            self.allowed = max(1, self.allowed // 2)
            self.words, self._closed_until = silent[0], now + closure
        else:
            self._failures, self._closed_until = 0, None
            self.allowed = min(self._allowed_max, self.allowed + 1)


class Lanes:
    """All lanes, by the name of the next hop."""

    def __init__(self, width: Width) -> None:
        self._width = width
        self._lanes: dict[str, Lane] = {}

    def lane(self, hop: str) -> Lane:
        """Return the lane to a next hop."""
        if hop not in self._lanes:
            if len(self._lanes) >= IDLE_LANES_MAX:
                self._lanes = {name: it for name, it in self._lanes.items() if not it.is_new}
            home = hop in {"local", "capture"}
            limit = self._width.at_home if home else self._width.each_hop
            self._lanes[hop] = Lane(limit if home else BEGIN_WITH, limit)
        return self._lanes[hop]

    @property
    def running(self) -> int:
        """Attempts under way."""
        return sum(lane.running for lane in self._lanes.values())

    def full_domains(self) -> set[str]:
        """Domains of which nothing more is to be taken now."""
        domains: set[str] = set()
        for lane in self._lanes.values():
            if lane.is_full:
                domains |= lane.domains | {work.destination for work in lane.waiting}
            else:
                lane.domains.clear()
        return domains

    @property
    def is_crowded(self) -> bool:
        """Whether all attempts are under way and another lane waits for one of them to end."""
        if self.running < self._width.sessions:
            return False
        return any(lane.may_begin for lane in self._lanes.values())

    def to_begin(self) -> Iterator[Lane]:
        """Yield lanes that may begin an attempt, those with the fewest first, while there is room.

        The caller takes a work from the lane and counts it as running before it asks on.
        """
        while self.running < self._width.sessions:
            ready = [lane for lane in self._lanes.values() if lane.may_begin]
            if not ready:
                return
            fewest = min(lane.running for lane in ready)
            yield from (lane for lane in ready if lane.running == fewest)

    def take_all(self) -> list[Work]:
        """Return and forget all that waits."""
        works = [work for lane in self._lanes.values() for work in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
        return works
