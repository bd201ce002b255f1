"""One lane for each next hop: how many attempts it may have at a time, and what waits for it.

A lane begins narrow, widens with each success and narrows when no host of the next hop can be
talked to. It is then closed for a while, and what comes for it meanwhile is deferred without a
try, so that a dead next hop costs the others nothing.
"""

from collections import OrderedDict, deque
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
    """All lanes, by the name of the next hop. Those with work get their turns one after another."""

    def __init__(self, width: Width) -> None:
        self._width = width
        self._lanes: dict[str, Lane] = {}
        self._queue: OrderedDict[Lane, None] = OrderedDict()  # lanes with work, the next one first
        self._running = 0

    def lane(self, hop: str) -> Lane:
        """Return the lane to a next hop."""
        if hop not in self._lanes:
            if len(self._lanes) >= IDLE_LANES_MAX:
                self._lanes = {name: it for name, it in self._lanes.items() if not it.is_new}
            home = hop in {"local", "capture"}
            limit = self._width.at_home if home else self._width.each_hop
            self._lanes[hop] = Lane(limit if home else BEGIN_WITH, limit)
        return self._lanes[hop]

    def add(self, lane: Lane, work: Work) -> None:
        """Let a work wait in its lane."""
        lane.waiting.append(work)
        self._queue.setdefault(lane)

    def begin(self) -> tuple[Lane, Work] | None:
        """Return the next work to begin and count it as running; None if there is none or no room.

        Each is followed by one `end`.
        """
        if self._running >= self._width.sessions:
            return None
        lane = next((it for it in self._queue if it.may_begin), None)
        return None if lane is None else (lane, self._take(lane))

    def go_on(self, lane: Lane) -> Work | None:
        """Return another work for a session in use, unless its lane or another needs the room.

        It is counted as running instead of the one before.
        """
        others = any(it.may_begin for it in self._queue if it is not lane)
        crowded = self._running >= self._width.sessions and others
        if crowded or not lane.waiting or lane.running > lane.allowed:
            return None
        self.end(lane)
        return self._take(lane)

    def end(self, lane: Lane) -> None:
        """An attempt is over."""
        lane.running -= 1
        self._running -= 1

    def full_domains(self) -> set[str]:
        """Domains of which nothing more is to be taken now."""
        domains: set[str] = set()
        for lane in self._queue:
            if lane.is_full:
                domains |= lane.domains | {work.destination for work in lane.waiting}
        return domains

    def take_all(self) -> list[Work]:
        """Return and forget all that waits."""
        works = [work for lane in self._queue for work in lane.waiting]
        for lane in self._queue:
            lane.waiting.clear()
        self._queue.clear()
        return works

    def _take(self, lane: Lane) -> Work:
        work = lane.waiting.popleft()
        lane.running += 1
        self._running += 1
        self._queue.move_to_end(lane)
        if not lane.waiting:
            del self._queue[lane]
        if not lane.is_full:
            lane.domains.clear()
        return work
