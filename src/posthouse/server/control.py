"""The control socket: a Unix socket for the server's own group, spoken to by the command line.

Whoever may open it may do all of it; who it was stands in the log.
"""

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from posthouse.server.requests import (
    DECODER,
    WORKER_DECODER,
    Answered,
    AnyWorkerRequest,
    OnBehalfOf,
)
from posthouse.server.troubles import StartError
from posthouse.telemetry.events import BugMet, LogEvent, Noted

SOCKET_NAME: Final = "control.sock"
SOCKET_MODE: Final = 0o660
WORKER_MODE: Final = 0o600
LINE_OCTETS_MAX: Final = 64 * 1024
SESSIONS_MAX: Final = 50
PATH_OCTETS_MAX: Final = 107  # sun_path of Linux, without its NUL

Perform = Callable[[AnyWorkerRequest, str], Awaitable[Any]]
READ_ONLY: Final = frozenset(
    {
        "status",
        "queue-summary",
        "queue-list",
        "queue-show",
        "journey",
        "decisions-tail",
        "client-facts",
    }
)


class RefusedRequestError(Exception):
    """What was asked cannot be done; the message is for the person who asked.

    Attributes:
        exit_code: For the command line.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ControlSocket:
    """Takes requests and answers them.

    Args:
        directory: Where the socket is made.
        perform: Does what is asked; an async iterator as result is streamed.
        log: Takes events.
        name: Of the socket.
        trusting: It is a worker's, for the supervisor only, who says on whose behalf he asks.
    """

    def __init__(
        self,
        directory: Path,
        perform: Perform,
        log: Callable[[LogEvent], None],
        *,
        name: str = SOCKET_NAME,
        trusting: bool = False,
    ) -> None:
        self.path = directory / name
        self._trusting = trusting
        self._perform = perform
        self._mode = WORKER_MODE if trusting else SOCKET_MODE
        self._log = log
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the socket; one that a dead server left behind is replaced.

        Raises:
            StartError: If it cannot be made.
        """
        if len(os.fsencode(self.path)) > PATH_OCTETS_MAX:
            raise StartError(
                f"the path {self.path} is too long for a socket ({PATH_OCTETS_MAX} octets):"
                " give [storage] a shorter directory"
            )
        try:
            self.path.unlink(missing_ok=True)
            previous = os.umask(0o777 & ~self._mode)
            try:
                self._server = await asyncio.start_unix_server(
                    self._serve, self.path, limit=LINE_OCTETS_MAX
                )
            finally:
                os.umask(previous)
        except OSError as problem:
            why = problem.strerror or str(problem)
            raise StartError(f"the control socket {self.path} cannot be made: {why}") from None

    async def stop(self) -> None:
        """Close it; streams end."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(OSError):  # the disk turned read-only: the next start replaces it
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) > SESSIONS_MAX:
                return
            by = _who(writer)
            while line := await reader.readline():
                by = await self._answer(line, by, writer)
        except (OSError, ValueError, asyncio.CancelledError):  # gone, or a line without end
            return
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, line: bytes, by: str, writer: asyncio.StreamWriter) -> str:
        """Answer a request; return on whose behalf the next one is."""
        try:
            request = (WORKER_DECODER if self._trusting else DECODER).decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            await _send(writer, Answered(error=f"this is no request: {problem}", exit=2))
            return by
        if isinstance(request, OnBehalfOf):
            return request.by
        await self._do(request, line, by, writer)
        return by

    async def _do(
        self, request: AnyWorkerRequest, line: bytes, by: str, writer: asyncio.StreamWriter
    ) -> None:
        name = request.__struct_config__.tag
        if name not in READ_ONLY and not self._trusting:
            self._log(Noted(f"control socket: {line.decode('utf-8', 'replace').strip()} by {by}"))
        try:
            result = await self._perform(request, by)
            if isinstance(result, AsyncIterator):
                async for item in result:
                    await _send(writer, Answered(item=item))
            else:
                await _send(writer, Answered(result=result))
        except RefusedRequestError as refused:
            await _send(writer, Answered(error=str(refused), exit=refused.exit_code))
        except OSError:
            raise
        except Exception as problem:  # noqa: BLE001 - the asker is told, the server goes on
            self._log(BugMet(f"control request {name}", repr(problem)))
            await _send(writer, Answered(error=f"a bug in Posthouse: {problem!r}", exit=70))


async def _send(writer: asyncio.StreamWriter, answered: Answered) -> None:
    writer.write(msgspec.json.encode(answered) + b"\n")
    await writer.drain()


def _who(writer: asyncio.StreamWriter) -> str:
    """Return the user at the other end, as the kernel knows it: ``root (uid 0)``."""
    handle = writer.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(handle)) as copy:
        found = copy.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", found)
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
