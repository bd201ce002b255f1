"""Asking the server that runs on an installation, by its control socket."""

from collections.abc import Iterator
from typing import Any

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation
from posthouse.server.asking import AskError, ask, stream
from posthouse.server.requests import AnyRequest


def ask_server(installation: Installation, request: AnyRequest, *, patient: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Return the server's answer; `patient` waits for it without an end.

    Raises:
        Failure: If no server runs, it may not be asked, or it says no.
    """
    try:
        return ask(installation.directory, request, patient=patient)
    except AskError as problem:
        raise Failure(str(problem), Exit(problem.exit_code)) from None


def stream_from_server(installation: Installation, request: AnyRequest) -> Iterator[Any]:
    """Yield the items of a stream; failures as `ask_server`."""
    try:
        yield from stream(installation.directory, request)
    except AskError as problem:
        raise Failure(str(problem), Exit(problem.exit_code)) from None


def tell_server(installation: Installation, request: AnyRequest) -> bool:
    """Tell the server something it would find out by itself; whether one runs."""
    try:
        ask(installation.directory, request)
    except AskError:
        return False
    return True
