"""The system's clock, which somebody may set: all rooms see that at once, the spool first."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from posthouse.spool.jumps import JUMP_MIN, Follower
from posthouse.spool.spool import Spool
from posthouse.telemetry.events import LogEvent, Noted

# Asked many times for each message: no function of Python's is in between.
SYSTEM_TIME: Final[Callable[[], datetime]] = partial(datetime.now, UTC)
SECONDS_SINCE_START: Final[Callable[[], float]] = partial(
    time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""Those asleep included, where the system counts them; nobody sets it."""

_JUMP_SECONDS_MIN: Final = JUMP_MIN.total_seconds()


class SteadyClock:
    """Shows the system's time, but goes on as before when that jumps, until it may follow."""

    def __init__(
        self,
        wall: Callable[[], datetime] = SYSTEM_TIME,
        steady: Callable[[], float] = SECONDS_SINCE_START,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._seen = (wall(), steady())

    def __call__(self) -> datetime:
        """Return the time in UTC."""
        at, moment = self._seen
        wall = self._wall()
        passed = self._steady() - moment
        ahead = (wall - at).total_seconds() - passed
        if not -_JUMP_SECONDS_MIN < ahead < _JUMP_SECONDS_MIN:
            return wall - timedelta(seconds=ahead)
        if passed >= 1:  # it is adjusted little by little
            self._seen = (wall, moment + passed)
        return wall

    def jump(self) -> timedelta:
        """How far the system's clock jumped; nothing if it did not."""
        at, moment = self._seen
        ahead = (self._wall() - at).total_seconds() - (self._steady() - moment)
        return timedelta(seconds=ahead if abs(ahead) >= _JUMP_SECONDS_MIN else 0)

    def follow(self) -> None:
        """Show what the system's clock shows."""
        self._seen = (self._wall(), self._steady())


class ClockGuard:
    """Lets the clock follow a jump once the times of all that waits were moved with it."""

    def __init__(self, clock: SteadyClock, spool: Spool, log: Callable[[LogEvent], None]) -> None:
        self._clock = clock
        self._log = log
        self._follower = Follower(spool, clock, clock.follow)

    def look(self) -> None:
        """Look whether the system's clock was set. Blocks."""
        if by := self._follower.look(self._clock.jump()):
            way = "forward" if by > timedelta(0) else "back"
            seconds = timedelta(seconds=round(abs(by).total_seconds()))
            self._log(Noted(f"the clock was set {way} by {seconds}; what waits was moved with it"))
