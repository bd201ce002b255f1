"""Who waits for an answer goes first: while mail pours in, delivery waits a while.

A client waits for its 250; nobody waits at the next hop. So a burst is accepted at the speed of
accepting and delivered behind it. Delivery waits only while clients queue up for the event loop,
and as long as what waits is neither old nor much: after that the two share the time.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from posthouse.spool.records import Backlog

STEP_SECONDS: Final = 0.02
TURN_SECONDS: Final = 0.0005  # of the event loop: then several clients wait for it at a time
SMOOTHING: Final = 0.3
ARRIVALS_EACH_SECOND: Final = 200.0  # fewer are no burst, whatever else keeps the loop busy
WAIT_SECONDS_MAX: Final = 5.0
MEMORY_SHARE_MAX: Final = 0.75


class Precedence:
    """Tells when delivery may take more. Of one event loop, asked on it."""

    def __init__(
        self, backlog: Callable[[], Backlog], clock: Callable[[], float] = monotonic
    ) -> None:
        """Begin.

        Args:
            backlog: What was accepted a moment ago and waits.
            clock: Tells seconds, from whenever.
        """
        self._backlog = backlog
        self._clock = clock
        self._turn_seconds = self._arrivals_each_second = 0.0
        self._looked = clock()
        self._arrived = 0  # until then

    async def give_way(self) -> None:
        """Return when delivery may go on: at once, unless mail pours in."""
        while True:
            begun = self._clock()
            await asyncio.sleep(0)  # others have their turn, however much there is to do
            if not self.is_pouring(self._clock() - begun):
                return
            await asyncio.sleep(STEP_SECONDS)

    def is_pouring(self, turn_seconds: float) -> bool:
        """Whether delivery is to wait, after a turn of the loop that took so long."""
        self._turn_seconds += SMOOTHING * (turn_seconds - self._turn_seconds)
        backlog, at = self._backlog(), self._clock()
        if (passed := at - self._looked) >= STEP_SECONDS:
            self._arrivals_each_second = (backlog.arrived - self._arrived) / passed
            self._looked, self._arrived = at, backlog.arrived
        if backlog.seconds > WAIT_SECONDS_MAX or backlog.memory_share > MEMORY_SHARE_MAX:
            return False
        is_burst = self._arrivals_each_second >= ARRIVALS_EACH_SECOND
        return is_burst and self._turn_seconds >= TURN_SECONDS
