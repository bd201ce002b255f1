"""How long an answer is waited for, at the cost of one look at the clock for each."""

import asyncio
from collections.abc import Callable


class AnswerClock:
    """One timer for all that a session waits for.

    It goes off at the shortest wait there is and then looks whether the last one is over; so a new
    wait needs no new timer.
    """

    def __init__(self, shortest_seconds: float, expired: Callable[[], None]) -> None:
        """Begin at rest; `expired` is called when a wait is over, and the clock then rests."""
        self._shortest = shortest_seconds
        self._expired = expired
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0  # 0: nothing is waited for
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether something is waited for."""
        return self._deadline > 0

    def wait(self, seconds: float) -> None:
        """Wait so long from now on, instead of what was waited for."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None:
            self._arm(seconds)

    def rest(self) -> None:
        """Wait for nothing."""
        self._deadline = 0.0

    def stop(self) -> None:
        """Wait for nothing, and let go of the loop."""
        self._deadline = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float) -> None:
        self._timer = self._loop.call_later(min(seconds, self._shortest), self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._deadline:
            return
        left = self._deadline - self._loop.time()
        if left > 0:
            self._arm(left)
        else:
            self._deadline = 0.0
            self._expired()
