"""The system's clock, which somebody may set: all rooms see that at once, the spool first."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from posthouse.spool.jumps import JUMP_MIN, follow
from posthouse.spool.spool import Spool
from posthouse.telemetry.events import LogEvent, Noted


def system_time() -> datetime:
    """Return the time as the system has it."""
    return datetime.now(UTC)


def seconds_since_start() -> float:
    """Return the seconds since the machine was started, those asleep included. Nobody sets it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_JUMP_SECONDS_MIN: Final = JUMP_MIN.total_seconds()


class SteadyClock:
    """Shows the system's time, but goes on as before when that jumps, until it may follow."""

    def __init__(
        self,
        wall: Callable[[], datetime] = system_time,
        steady: Callable[[], float] = seconds_since_start,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._seen = (wall(), steady())

    def __call__(self) -> datetime:
        """Return the time in UTC."""
        wall, ahead = self._look()
        return wall - timedelta(seconds=ahead) if ahead else wall

    def jump(self) -> timedelta:
        """How far the system's clock jumped; nothing if it did not."""
        return timedelta(seconds=self._look()[1])

    def follow(self) -> None:
        """Show what the system's clock shows."""
        self._seen = (self._wall(), self._steady())

    def _look(self) -> tuple[datetime, float]:
        """The system's time, and by how many seconds it jumped; 0 if it did not."""
        at, moment = self._seen
        wall, passed = self._wall(), self._steady() - moment
        ahead = (wall - at).total_seconds() - passed
        if abs(ahead) >= _JUMP_SECONDS_MIN:
            return wall, ahead
        if passed >= 1:  # it is adjusted little by little
            self._seen = (wall, moment + passed)
        return wall, 0.0


def mind_clock(clock: SteadyClock, spool: Spool, log: Callable[[LogEvent], None]) -> None:
    """Let the clock follow a jump once the times of all that waits were moved with it. Blocks."""
    by = clock.jump()
    if by:
        follow(spool, by, clock, clock.follow)
        way = "forward" if by > timedelta(0) else "back"
        seconds = timedelta(seconds=round(abs(by).total_seconds()))
        log(Noted(f"the clock was set {way} by {seconds}; what waits was moved with it"))
