"""Asking a running server, from the command line: the other end of the control socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from posthouse.server.control import SOCKET_NAME
from posthouse.server.requests import Answered, AnyRequest
from posthouse.server.troubles import EXIT_NOT_PERMITTED, EXIT_UNAVAILABLE

WAIT_SECONDS: Final = 60.0


class AskError(Exception):
    """There is no answer, or it is no.

    Attributes:
        exit_code: For the command line.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def ask(directory: Path, request: AnyRequest, *, patient: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Return what the server with this storage directory answers.

    Args:
        directory: The storage directory.
        request: What is asked for.
        patient: It may take as long as it takes: a change of many messages.

    Raises:
        AskError: If no server runs there (4), it may not be asked (6), or it says no.
    """
    for answered in _lines(directory, request, None if patient else WAIT_SECONDS):
        return answered.result
    raise AskError("the server closed the control socket without an answer", EXIT_UNAVAILABLE)


def stream(directory: Path, request: AnyRequest) -> Iterator[Any]:
    """Yield the items of a stream until the server stops.

    Raises:
        AskError: As `ask`.
    """
    for answered in _lines(directory, request, None):
        yield answered.item


def _lines(directory: Path, request: AnyRequest, wait_seconds: float | None) -> Iterator[Answered]:
    with _connected(directory / SOCKET_NAME, wait_seconds) as opened:
        opened.sendall(msgspec.json.encode(request) + b"\n")
        with opened.makefile("rb") as lines:
            for line in lines:
                answered = msgspec.json.decode(line, type=Answered)
                if answered.error:
                    raise AskError(answered.error, answered.exit or 1)
                yield answered


@contextmanager
def _connected(path: Path, wait_seconds: float | None) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as opened:
        opened.settimeout(wait_seconds)
        try:
            opened.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            message = f"no server is running with {path.parent}: start it with `posthouse serve`"
            raise AskError(message, EXIT_UNAVAILABLE) from None
        except PermissionError:
            message = f"{path} may only be used by root and the server's own group"
            raise AskError(message, EXIT_NOT_PERMITTED) from None
        except OSError as problem:
            message = f"{path} cannot be used: {problem.strerror or problem}"
            raise AskError(message, EXIT_UNAVAILABLE) from None
        try:
            yield opened
        except TimeoutError:
            message = f"the server did not answer within {wait_seconds:.0f} s"
            raise AskError(message, EXIT_UNAVAILABLE) from None
