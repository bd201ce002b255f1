"""A worker as the supervisor sees it: a process, from its start to its end."""

import asyncio
import signal
import sys
import time
from contextlib import suppress
from typing import Final

import msgspec

from posthouse.server.assignment import Assignment, Beginning
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
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0
        self._quick_ends = 0

    @property
    def process_id(self) -> int:
        """Of the present or last process; 0 before the first."""
        return self._process.pid if self._process else 0

    def count_end(self, quick_seconds: float) -> int:
        """Return how many times in a row it ended within so many seconds of its start."""
        quick = time.monotonic() - self._started < quick_seconds
        self._quick_ends = self._quick_ends + 1 if quick else 0
        return self._quick_ends

    async def start(self, assignment: Assignment, handles: tuple[int, ...]) -> None:
        """Start it anew: a fresh interpreter, no copy of ours; wait until it takes connections.

        Raises:
            StartError: If it says that it cannot, ends, or says nothing.
        """
        self._started = time.monotonic()
        self._process = await _begun(assignment, handles)
        beginning = await self._beginning(self._process)
        if beginning.problem:
            await self.end(0)
            raise StartError(beginning.problem, beginning.exit_code)
        self.is_ready = True

    async def wait(self) -> str:
        """Return how it ended, when it has."""
        assert self._process is not None, "it was started"
        code = await self._process.wait()
        self.is_ready = False
        if code >= 0:
            return f"exit code {code}"
        with suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"

    def send(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def end(self, seconds: float) -> None:
        """Return when it has ended; it is killed when that takes longer."""
        if self._process is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self._process.wait()

    async def _beginning(self, process: asyncio.subprocess.Process) -> Beginning:
        assert process.stdout is not None, "asked for"
        line = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(line, type=Beginning)
        return Beginning("a worker ended before it served: see the lines above", EXIT_UNAVAILABLE)


async def _begun(assignment: Assignment, handles: tuple[int, ...]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # nothing is imported from where we happen to be
            "-m",
            "posthouse.server.worker",
            msgspec.json.encode(assignment).decode(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=handles,
        )
    except OSError as problem:
        raise StartError(
            f"no worker can be started: {sys.executable}: {problem.strerror or problem};"
            " the user that the server runs as must be able to run it"
        ) from None
