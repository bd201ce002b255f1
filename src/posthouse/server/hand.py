"""A worker as the supervisor sees it: a process, from its start to its end."""

import asyncio
import math
import signal
import time
from contextlib import suppress
from typing import Final

import msgspec

from posthouse.server.assignment import Beginning
from posthouse.server.child import Child
from posthouse.server.troubles import EXIT_UNAVAILABLE, StartError

START_SECONDS: Final = 120.0  # a spool of a million messages is opened first


class Hand:
    """One worker, again and again.

    Attributes:
        number: Which, from 1 on.
        is_ready: It takes connections.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_ready = False
        self._child: Child | None = None
        self._started = 0.0
        self._quick_ends = 0

    @property
    def process_id(self) -> int:
        """Of the present or last process; 0 before the first."""
        return self._child.process_id if self._child else 0

    def count_end(self, quick_seconds: float) -> int:
        """Return how many times in a row it ended within so many seconds of its start.

        One that could not even be started has ended at once.
        """
        quick = time.monotonic() - self._started < quick_seconds
        self._started = math.inf  # until it begins again
        self._quick_ends = self._quick_ends + 1 if quick else 0
        return self._quick_ends

    async def begin(self, child: Child) -> None:
        """Wait until a process that was just started takes connections.

        Raises:
            StartError: If it says that it cannot, ends, or says nothing.
        """
        self._started = time.monotonic()
        self._child = child
        beginning = await _beginning(child)
        if beginning.problem:
            await self.end(0)
            raise StartError(beginning.problem, beginning.exit_code)
        self.is_ready = True

    async def wait(self) -> str:
        """Return how it ended, when it has."""
        assert self._child is not None, "it was started"
        code = await self._child.wait()
        self.is_ready = False
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"

    def send(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._child is not None:
            self._child.send(number)

    async def end(self, seconds: float) -> None:
        """Return when it has ended; it is killed when that takes longer."""
        if self._child is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._child.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._child.wait()


async def _beginning(child: Child) -> Beginning:
    line = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            line = await child.first_line()
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(line, type=Beginning)
    return Beginning("a worker ended before it served: see the lines above", EXIT_UNAVAILABLE)
