"""One lane for each next hop: how many attempts it may have at a time, and what waits for it.

A lane begins narrow, widens with each success and narrows when no host of the next hop can be
talked to. It is then closed for a while, and what comes for it meanwhile is deferred without a
try, so that a dead next hop costs the others nothing. A next hop that says it is busy gets less
at a time, and in the end less often.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from msgspec import Struct

from posthouse.delivery.outcomes import Deferred, Delivered, Outcome
from posthouse.delivery.routes import Pace
from posthouse.spool.records import Work

BEGIN_WITH: Final = 2
FIRST_CLOSURE: Final = timedelta(minutes=1)
LONGEST_CLOSURE: Final = timedelta(minutes=15)
WAITING_MAX: Final = 1000
"""Works that wait in all lanes before one that is full gives back what comes on top."""
IDLE_LANES_MAX: Final = 10_000
FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 60.0
UNPROVEN_SHARE: Final = 0.5
"""Of all sessions, for next hops that gave no answer the last time or were never tried."""
AS_USUAL: Final = Pace()
_ALL_WELL: Final = frozenset({Delivered})


class Width(Struct, frozen=True):
    """Limits of concurrency.

    Attributes:
        sessions: Attempts at the same time, all next hops together.
        each_hop: Attempts at the same time at one next hop.
        at_home: The same for our own mailboxes, where nobody is to be spared.
        seconds_each: At least so long from one message to the next at one next hop.
        workers: That share what a route allows; all of the above is this one's own.
    """

    sessions: int = 100
    each_hop: int = 20
    at_home: int = 16
    seconds_each: float = 0.0
    workers: int = 1

    def pace_of(self, pace: Pace) -> tuple[int, float]:
        """Return attempts at the same time, and the distance of messages, where `pace` holds."""
        ours = max(1, pace.sessions // self.workers) if pace.sessions else self.each_hop
        return ours, pace.seconds_each * self.workers or self.seconds_each


class Lane:
    """The way to one next hop.

    Attributes:
        waiting: Works that were taken and not begun.
        domains: Domains of works that had to be given back, until there is room again.
        running: Attempts under way.
        running_unproven: Of these, those begun before the next hop had proved to answer.
        allowed: Attempts that may be under way.
        words: Why it was closed last.
        proven: The next hop answered the last time, whatever it said.
        delay: Seconds from one attempt to the next, because it is busy.
        kept_out: More may be in the spool, which was not taken because it was full.
    """

    def __init__(self, begin_with: int, allowed_max: int, seconds_each: float = 0.0) -> None:
        self.waiting: deque[Work] = deque()
        self.domains: set[str] = set()
        self.running = 0
        self.allowed = min(begin_with, allowed_max)
        self.words: Deferred | None = None
        self.proven = False
        self.running_unproven = 0
        self.delay = 0.0
        self.kept_out = False
        self._seconds_each = seconds_each
        self._next = 0.0  # not before this moment, on the clock of `Lanes`
        self._allowed_max = allowed_max
        self._failures = 0
        self._closed_until: datetime | None = None

    @property
    def is_full(self) -> bool:
        """Whether enough waits here; more is left in the spool."""
        return len(self.waiting) >= 2 * self.allowed

    @property
    def wants_more(self) -> bool:
        """Whether it is time to take what was kept out: some at a time, not one by one."""
        return self.kept_out and len(self.waiting) <= self.allowed

    @property
    def is_open(self) -> bool:
        """Whether it was not closed since an attempt went well."""
        return self._closed_until is None

    @property
    def is_new(self) -> bool:
        """Whether nothing would be forgotten with it."""
        return not (self.waiting or self.running or self._failures or self.delay)

    def may_begin(self, at: float) -> bool:
        """Whether another attempt may begin."""
        return self.has_room and at >= self._next

    @property
    def has_room(self) -> bool:
        """Whether only time may keep the next attempt from beginning."""
        return bool(self.waiting) and self.running < self.allowed

    def seconds_to_wait(self, at: float) -> float:
        """Return how long until the next attempt may begin."""
        return self._next - at if self._next > at else 0.0

    def begun(self, at: float) -> None:
        """An attempt begins: the next one follows at its distance."""
        if distance := max(self._seconds_each, self.delay):
            self._next = max(at, self._next) + distance

    def closed(self, now: datetime) -> Deferred | None:
        """Return why nothing is tried here now; None if the lane is open."""
        return None if self.closed_until(now) is None else self.words

    def closed_until(self, now: datetime) -> datetime | None:
        """Return when it opens again; None if it is open."""
        until = self._closed_until
        if until is None or until - now > LONGEST_CLOSURE:  # else the clock was set back meanwhile
            return None
        return until if now < until else None

    def note(self, outcomes: list[Outcome], now: datetime) -> None:
        """Widen or narrow by how an attempt ended."""
        if self.proven and not self._failures and set(map(type, outcomes)) <= _ALL_WELL:
            self._widen()
            return
        silent = [it for it in outcomes if isinstance(it, Deferred) and it.unreachable]
        if outcomes and len(silent) == len(outcomes):
            closure = min(FIRST_CLOSURE * (1 << min(self._failures, 10)), LONGEST_CLOSURE)
            self._failures += 1
            self.allowed = max(1, self.allowed // 2)
            self.words, self._closed_until = silent[0], now + closure
            self.proven = False
            return
        self._failures, self._closed_until = 0, None
        self.proven = self.proven or bool(outcomes)
        if any(isinstance(it, Deferred) and it.slow_down for it in outcomes):
            self._slow_down()
        else:
            self._widen()

    def _widen(self) -> None:
        if self.allowed < self._allowed_max:
            self.allowed += 1
        if self.delay:
            self.delay = self.delay / 2 if self.delay > FIRST_DELAY_SECONDS else 0.0

    def _slow_down(self) -> None:
        """Half as many at a time; where that is one already, half as often."""
        if self.allowed == 1:
            self.delay = min(max(FIRST_DELAY_SECONDS, 2 * self.delay), LONGEST_DELAY_SECONDS)
        self.allowed = max(1, self.allowed // 2)


class Lanes:
    """All lanes, by the name of the next hop. Those with work get their turns one after another.

    Lanes that gave no answer the last time, or were never tried, wait in a queue of their own and
    have half of the sessions at most: however many next hops are dead, there is room for others.
    """

    def __init__(self, width: Width, clock: Callable[[], float] = monotonic) -> None:
        self._width = width
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._proven: OrderedDict[Lane, None] = OrderedDict()  # with work, the next one first
        self._unproven: OrderedDict[Lane, None] = OrderedDict()
        self._running = self._running_unproven = 0
        self._unproven_max = max(1, int(width.sessions * UNPROVEN_SHARE))
        self._turn = False
        self._waiting = 0

    def lane(self, hop: str, pace: Pace = AS_USUAL) -> Lane:
        """Return the lane to a next hop."""
        if hop not in self._lanes:
            if len(self._lanes) >= IDLE_LANES_MAX:
                self._lanes = {name: it for name, it in self._lanes.items() if not it.is_new}
            home = hop in {"local", "capture"}
            limit, distance = (self._width.at_home, 0.0) if home else self._width.pace_of(pace)
            self._lanes[hop] = Lane(limit if home else BEGIN_WITH, limit, distance)
            self._lanes[hop].proven = home
        return self._lanes[hop]

    def add(self, lane: Lane, work: Work) -> None:
        """Let a work wait in its lane."""
        lane.waiting.append(work)
        self._waiting += 1
        self._queue_of(lane).setdefault(lane)

    def is_full(self, lane: Lane) -> bool:
        """Whether nothing more is to wait in a lane: enough does there, and enough in all."""
        return lane.is_full and self._waiting >= WAITING_MAX

    def begin(self) -> tuple[Lane, Work] | None:
        """Return the next work to begin and count it as running; None if there is none or no room.

        Each is followed by one `end`.
        """
        if self._running >= self._width.sessions:
            return None
        lane = self._next_lane()
        return None if lane is None else (lane, self._take(lane, self._clock()))

    def go_on(self, lane: Lane) -> Work | None:
        """Return another work for a session in use, unless its lane or another needs the room.

        It is counted as running instead of the one before.
        """
        if not lane.waiting or lane.running > lane.allowed:
            return None
        at = self._clock()
        if lane.seconds_to_wait(at):
            return None
        if self._running >= self._width.sessions and self._next_lane(but=lane) is not None:
            return None
        self.end(lane)
        return self._take(lane, at)

    def note(self, lane: Lane, outcomes: list[Outcome], now: datetime) -> None:
        """Widen or narrow a lane by how an attempt ended."""
        was_proven, before = lane.proven, self._queue_of(lane)
        lane.note(outcomes, now)
        if lane.proven is not was_proven and lane in before:
            del before[lane]
            self._queue_of(lane).setdefault(lane)

    def end(self, lane: Lane) -> None:
        """An attempt is over."""
        lane.running -= 1
        self._running -= 1
        if lane.running_unproven:
            lane.running_unproven -= 1
            self._running_unproven -= 1

    def next_begin(self) -> float | None:
        """Return in how many seconds a lane that is slowed down may go on; None: none is."""
        at = self._clock()
        waits = [it.seconds_to_wait(at) for it in self._proven if it.has_room]
        return min((seconds for seconds in waits if seconds > 0), default=None)

    def full_domains(self) -> set[str]:
        """Domains of which nothing more is to be taken now."""
        domains: set[str] = set()
        for lane in (*self._proven, *self._unproven):
            if lane.is_full:
                lane.kept_out = True
                domains |= lane.domains | {work.destination for work in lane.waiting}
        return domains

    def take_all(self) -> list[Work]:
        """Return and forget all that waits."""
        every = (*self._proven, *self._unproven)
        works = [work for lane in every for work in lane.waiting]
        for lane in every:
            lane.waiting.clear()
        self._waiting = 0
        self._proven.clear()
        self._unproven.clear()
        return works

    def _next_lane(self, but: Lane | None = None) -> Lane | None:
        """The lane whose turn it is; the two queues take turns too."""
        at = self._clock()
        leaving = 1 if but is not None and but.running_unproven else 0
        crowded = self._running_unproven - leaving >= self._unproven_max
        unproven = () if crowded else self._unproven
        self._turn = not self._turn
        for queue in (self._proven, unproven) if self._turn else (unproven, self._proven):
            for lane in queue:
                if lane is not but and lane.may_begin(at):
                    return lane
        return None

    def _queue_of(self, lane: Lane) -> OrderedDict[Lane, None]:
        return self._proven if lane.proven else self._unproven

    def _take(self, lane: Lane, at: float) -> Work:
        work, queue = lane.waiting.popleft(), self._queue_of(lane)
        self._waiting -= 1
        lane.running += 1
        lane.begun(at)
        self._running += 1
        if not lane.proven:
            lane.running_unproven += 1
            self._running_unproven += 1
        queue.move_to_end(lane)
        if not lane.waiting:
            del queue[lane]
        if lane.domains and not lane.is_full:
            lane.domains.clear()
        return work
