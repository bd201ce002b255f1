"""Requests to a server of several workers: all are asked, and their answers become one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from posthouse.server import requests
from posthouse.server.control import RefusedRequestError
from posthouse.server.requests import Answered, AnyRequest, AnyWorkerRequest, OnBehalfOf
from posthouse.server.troubles import EXIT_CONFIGURATION, EXIT_UNAVAILABLE, StartError

ANSWER_OCTETS_MAX: Final = 256 * 1024 * 1024
WAIT_SECONDS: Final = 55.0  # shorter than the command line waits


async def ask(path: Path, request: AnyWorkerRequest, by: str) -> Any:  # noqa: ANN401 - JSON
    """Return what the worker at a control socket answers.

    Raises:
        RefusedRequestError: If it says no, or says nothing.
    """
    async with _connected(path, request, by) as (reader, _):
        try:
            async with asyncio.timeout(None if _changes_many(request) else WAIT_SECONDS):
                line = await reader.readline()
        except (TimeoutError, OSError, ValueError):
            line = b""
    if not line:
        raise RefusedRequestError("a worker did not answer", EXIT_UNAVAILABLE)
    answered = msgspec.json.decode(line, type=Answered)
    if answered.error:
        raise RefusedRequestError(answered.error, answered.exit or 1)
    return answered.result


def _changes_many(request: AnyWorkerRequest) -> bool:
    """Whether it takes as long as it takes."""
    return isinstance(request, requests.Chosen) and not request.id


async def stream(path: Path, request: AnyWorkerRequest, by: str) -> AsyncIterator[Any]:
    """Yield the items that the worker at a control socket streams."""
    async with _connected(path, request, by) as (reader, _):
        while line := await reader.readline():
            answered = msgspec.json.decode(line, type=Answered)
            if answered.error:
                raise RefusedRequestError(answered.error, answered.exit or 1)
            yield answered.item


async def turns(path: Path, seconds: float) -> bool:
    """Whether the loop of the worker at a control socket turns: it ends a session that we end."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write_eof()
                await reader.read()
            finally:
                writer.close()
    except TimeoutError:
        return False
    except OSError:  # it is not there: its end is noticed otherwise
        return True
    return True


@asynccontextmanager
async def _connected(
    path: Path, request: AnyWorkerRequest, by: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_OCTETS_MAX)
    except OSError:
        raise RefusedRequestError(
            "a worker is not there now: ask again", EXIT_UNAVAILABLE
        ) from None
    try:
        for line in (OnBehalfOf(by), request):
            writer.write(msgspec.json.encode(line) + b"\n")
        yield reader, writer
    finally:
        writer.close()


class CrewAsked:
    """Performs requests on several workers.

    Args:
        living: The control sockets of those that run, the first worker's first.
        status: What the supervisor knows, for `status`.
        reload: Has all of them take the configuration as it is now; raises StartError.
        stop: Begins to stop.
    """

    def __init__(
        self,
        living: Callable[[], Sequence[Path]],
        status: Callable[[], dict[str, Any]],
        reload: Callable[[str], Any],
        stop: Callable[[str], None],
    ) -> None:
        self._living = living
        self._status = status
        self._reload = reload
        self._stop = stop

    async def perform(self, request: AnyWorkerRequest, by: str) -> Any:  # noqa: ANN401 - JSON
        """Do what is asked.

        Raises:
            RefusedRequestError: If it cannot be done.
        """
        match request:
            case requests.Stop():
                self._stop(f"asked by {by}")
                return "stopping"
            case requests.Reload():
                try:
                    await self._reload(by)
                except StartError as problem:
                    raise RefusedRequestError(str(problem), EXIT_CONFIGURATION) from None
                return "reloaded"
            case requests.DecisionsTail():
                return stream(self._some_sockets()[0], request, by)
            case requests.Status():
                return {**await self._whole_status(request, by), **self._status()}
            case (
                requests.OnBehalfOf()
                | requests.StandIn()
                | requests.TakeOver()
                | requests.TakeNoMore()
            ):
                raise RefusedRequestError("only the supervisor asks that", 2)
            case _:
                return await self._of_all(request, by)

    async def _of_all(self, request: AnyRequest, by: str) -> Any:  # noqa: ANN401 - JSON
        """Ask all; a message is where it is found."""
        found, refusals = await self._ask_each(request, by)
        must_all = not (getattr(request, "id", "") or isinstance(request, _FOUND_SOMEWHERE))
        if refusals and (must_all or not found):
            raise next((it for it in refusals if "there is no message" not in str(it)), refusals[0])
        return _merged(request, found)

    async def _whole_status(self, request: AnyRequest, by: str) -> dict[str, Any]:
        """Say how those are that answer: one may have died just now."""
        found, refusals = await self._ask_each(request, by)
        if not found:
            raise refusals[0]
        status = _status_of(found)
        status["problems"] = [*status["problems"], *{str(it) for it in refusals}]
        return status

    async def _ask_each(
        self, request: AnyRequest, by: str
    ) -> tuple[list[Any], list[BaseException]]:
        """Return answers, and why there is none of others."""
        answers = await asyncio.gather(
            *(ask(it, request, by) for it in self._some_sockets()), return_exceptions=True
        )
        refusals = [it for it in answers if isinstance(it, BaseException)]
        return [it for it in answers if not isinstance(it, BaseException)], refusals

    def _some_sockets(self) -> Sequence[Path]:
        living = self._living()
        if not living:
            raise RefusedRequestError("no worker runs now: ask again", EXIT_UNAVAILABLE)
        return living


_FOUND_SOMEWHERE: Final = (requests.QueueShow, requests.Journey, requests.QueueResume)


def _merged(request: AnyRequest, answers: list[Any]) -> Any:  # noqa: ANN401 - JSON
    match request:
        case requests.QueueList():
            return sorted(chain(*answers), key=lambda it: it["id"])[: request.limit]
        case requests.QueueSummary():
            return _summary_of(answers, request.limit)
        case requests.Journey():
            ways = chain(*(it["messages"] for it in answers))
            newest_first = sorted(ways, key=lambda it: it["id"], reverse=True)
            return {"messages": newest_first[: request.limit]}
        case requests.ClientFacts():
            return _facts_of(answers)
        case _ if isinstance(answers[0], bool):
            return any(answers)
        case _ if isinstance(answers[0], int):
            return sum(answers)
        case _:
            return answers[0]


def _summary_of(answers: list[Any], limit: int) -> dict[str, Any]:
    """Add counts; of times the earliest, of replies the one that waits longest."""
    destinations: dict[str, dict[str, Any]] = {}
    for it in chain(*(answer["destinations"] for answer in answers)):
        name = it["destination"]
        known = destinations.get(name)
        destinations[name] = it if known is None else _added(known, it)
    by_count = sorted(destinations.values(), key=lambda it: -_waiting(it))
    paused = {it["destination"]: it for answer in answers for it in answer.get("paused", ())}
    return {
        **answers[0],
        **{name: sum(it[name] for it in answers) for name in ("messages", "held", "octets")},
        "destinations": by_count[:limit],
        "paused": list(paused.values()),
    }


def _waiting(destination: dict[str, Any]) -> int:
    return sum(it for it in destination.values() if isinstance(it, int))


def _added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    added = dict(one)
    for name, value in other.items():
        mine = one.get(name)
        if isinstance(value, int) and isinstance(mine, int):
            added[name] = mine + value
        elif name in _TIMES and value and mine:
            added[name] = min(mine, value)
        else:
            added[name] = mine or value
    return added


_TIMES: Final = ("oldest", "next_due")


def _facts_of(answers: list[Any]) -> dict[str, Any]:
    """Return what is known of a client by anyone."""
    sessions: dict[str, Any] = {}
    for it in chain(*(answer["pop_sessions"] for answer in answers)):
        known = sessions.get(it["account"])
        if known is None or known["last_command"] < it["last_command"]:
            sessions[it["account"]] = it
    return {
        **answers[0],
        "pop_sessions": sorted(
            sessions.values(), key=lambda it: str(it["last_command"]), reverse=True
        ),
        "address_lost": next((it["address_lost"] for it in answers if it["address_lost"]), ""),
    }


def _status_of(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Add counts, join lists; what is the same everywhere is told once."""
    merged = dict(answers[0])
    for other in answers[1:]:
        for name, value in other.items():
            mine = merged.get(name)
            if name in ("sessions", "messages", "held"):
                merged[name] = mine + value if isinstance(mine, int) else value
            elif name == "shadow" and mine != value:
                merged[name] = f"{mine}; {value}"
            elif isinstance(value, list) and isinstance(mine, list):
                merged[name] = [*mine, *(it for it in value if it not in mine)]
    return merged
