"""Time-outs of thousands of streams by few timers: one for all that are due in the same moment.

A timer of the event loop takes some 600 octets, and most streams just wait to be closed.
"""

import asyncio
import threading
from typing import Final, Protocol

MOMENTS_PER_SECOND: Final = 4  # a time-out may come so much later


class Waiting(Protocol):
    """Who has to be told when its time is up."""

    def time_is_up(self) -> None:
        """The time that was waited for has passed."""


class Moment:
    """Who is due at the same moment.

    Attributes:
        number: Counts from the loop's time 0.
    """

    __slots__ = ("_rounds", "_timer", "_waiting", "number")

    def __init__(self, number: int, rounds: "Rounds") -> None:
        self.number = number
        self._rounds = rounds
        self._waiting: set[Waiting] = set()
        self._timer: asyncio.Handle = rounds.loop.call_at(number / MOMENTS_PER_SECOND, self._come)

    def add(self, who: Waiting) -> None:
        """Have `who` told when this moment has come."""
        self._waiting.add(who)

    def discard(self, who: Waiting) -> None:
        """Do not tell `who`."""
        self._waiting.discard(who)
        if not self._waiting:
            self._timer.cancel()
            self._rounds.forget(self)

    def _come(self) -> None:
        try:
            while self._waiting:
                self._waiting.pop().time_is_up()
        finally:
            if self._waiting:  # one that breaks must not keep the others waiting
                self._timer = self._rounds.loop.call_soon(self._come)
            else:
                self._rounds.forget(self)


class Rounds:
    """All moments that somebody waits for on one loop.

    Attributes:
        loop: The loop.
        time: Its clock, in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.time = loop.time
        self._moments: dict[int, Moment] = {}

    def in_(self, seconds: float) -> Moment:
        """Return the moment in so many seconds, or a little later."""
        number = self.number_at(self.time() + seconds)
        moment = self._moments.get(number)
        if moment is None:
            moment = self._moments[number] = Moment(number, self)
        return moment

    @staticmethod
    def number_at(when: float) -> int:
        """Return the number of the first moment after a time of the loop."""
        return int(when * MOMENTS_PER_SECOND) + 1

    def forget(self, moment: Moment) -> None:
        """Nobody waits for it any more."""
        if self._moments.get(moment.number) is moment:
            del self._moments[moment.number]


class _OfThread(threading.local):
    rounds: Rounds | None = None


_OF_THREAD: Final = _OfThread()


def rounds_of_this_loop() -> Rounds:
    """Return those of the loop that runs this code."""
    loop = asyncio.get_running_loop()
    rounds = _OF_THREAD.rounds
    if rounds is None or rounds.loop is not loop:
        rounds = _OF_THREAD.rounds = Rounds(loop)
    return rounds
