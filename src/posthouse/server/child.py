"""A process of ours, from its start to its end: a copy of this one, or a fresh interpreter."""

import asyncio
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import IO, Final

from posthouse.server.troubles import StartError

CODE_OF_BUGS: Final = 1


class Child:
    """A process; what it prints on its standard output comes to us.

    Args:
        process_id: Its number.
        output: The other end of its standard output.
        reap: Returns its exit code, or minus the number of the signal that ended it. Blocks.
    """

    def __init__(self, process_id: int, output: IO[bytes], reap: Callable[[], int]) -> None:
        self.process_id = process_id
        self._output = output
        self._reap = reap
        self._handle = os.pidfd_open(process_id)
        self._ended: asyncio.Future[int] | None = None

    async def first_line(self) -> bytes:
        """Return the first line that it prints; it may print no other. Empty if it ended."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._output
        )
        try:
            return await reader.readline()
        finally:
            transport.close()

    async def wait(self) -> int:
        """Return how it ended, when it has: its exit code, or minus the number of a signal."""
        if self._ended is None:
            loop = asyncio.get_running_loop()
            self._ended = loop.create_future()
            loop.add_reader(self._handle, self._has_ended, loop, self._ended)
        return await asyncio.shield(self._ended)

    def send(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._ended is None or not self._ended.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def _has_ended(self, loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[int]") -> None:
        loop.remove_reader(self._handle)
        ended.set_result(self._reap())
        os.close(self._handle)


def copied(work: Callable[[], int]) -> Child:
    """Start a copy of this process that does `work` and ends with the code that this returns.

    Only while this process has one thread, no loop and no open database: nobody would let go of
    a lock in the copy, and both would believe that a file's locks are theirs.

    Raises:
        StartError: If the system has no room for it.
    """
    hears, says = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else it would be written twice
    try:
        process_id = os.fork()
    except OSError as problem:
        raise StartError(f"no worker can be started: {problem.strerror or problem}") from None
    if process_id == 0:
        os._exit(perform(work, says))  # our callers' frames are in it as well: nothing of them runs
    os.close(says)
    return Child(process_id, os.fdopen(hears, "rb", 0), partial(ended_how, process_id))


def started(command: Sequence[str], handles: Sequence[int]) -> Child:
    """Start a program that inherits `handles`.

    Raises:
        StartError: If it cannot be started.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program, with our own arguments
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=handles
        )
    except OSError as problem:
        raise StartError(
            f"no worker can be started: {command[0]}: {problem.strerror or problem};"
            " the user that the server runs as must be able to run it"
        ) from None
    assert process.stdout is not None, "asked for"
    return Child(process.pid, process.stdout, process.wait)


def perform(work: Callable[[], int], says: int) -> int:
    """Do it in a copy, as a program does: nothing to read, its output to whoever started it."""
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(says, 1)
        for handle in (nothing, says):
            os.close(handle)
        return work()
    except BaseException:  # noqa: BLE001 - the last place where it can be told
        traceback.print_exc()
        return CODE_OF_BUGS
    finally:
        sys.stderr.flush()


def ended_how(process_id: int) -> int:
    """Wait for a child; return its exit code, or minus the number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])
