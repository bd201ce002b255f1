"""One answer of several workers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from posthouse.server import requests
from posthouse.server.control import ControlSocket, RefusedRequestError
from posthouse.server.crew_asked import CrewAsked
from posthouse.server.requests import AnyWorkerRequest

Answer = Callable[[AnyWorkerRequest], Any]
JOURNEYS = {"1": {"messages": [{"id": "C"}, {"id": "A"}]}, "2": {"messages": [{"id": "B"}]}}


def refuse(words: str) -> Any:
    raise RefusedRequestError(words)


@asynccontextmanager
async def crew(directory: Path, *answers: Answer) -> AsyncIterator[CrewAsked]:
    """Workers that only answer."""
    sockets, told = [], []

    def performing(answer: Answer) -> Callable[[AnyWorkerRequest, str], Any]:
        async def perform(request: AnyWorkerRequest, by: str) -> Any:
            told.append(by)
            return answer(request)

        return perform

    for number, answer in enumerate(answers, start=1):
        socket = ControlSocket(
            directory, performing(answer), lambda _: None, name=f"{number}.sock", trusting=True
        )
        await socket.start()
        sockets.append(socket)

    async def reload(by: str) -> None:
        told.append(f"reload {by}")

    try:
        yield CrewAsked(
            lambda: [it.path for it in sockets],
            lambda: {"workers": len(answers)},
            reload,
            told.append,
        )
    finally:
        for socket in sockets:
            await socket.stop()
    assert set(told) <= {"ann", "reload ann"}, "who asked is passed on"


async def asked(directory: Path, request: AnyWorkerRequest, *answers: Answer) -> Any:
    async with crew(directory, *answers) as it:
        return await it.perform(request, "ann")


async def test_pages_are_merged_in_the_order_of_acceptance(tmp_path: Path) -> None:
    def page(*ids: str) -> Answer:
        return lambda _: [{"id": it} for it in ids]

    request = requests.QueueList(limit=3)
    answer = await asked(tmp_path, request, page("A", "D", "E"), page("B", "C"))
    assert [it["id"] for it in answer] == ["A", "B", "C"]


async def test_counts_are_added_by_destination(tmp_path: Path) -> None:
    def summary(messages: int, *destinations: dict[str, Any], paused: str = "") -> Answer:
        return lambda _: {
            "messages": messages,
            "held": 1,
            "octets": 100,
            "destinations": destinations,
            "paused": [{"destination": paused, "why": "x"}] if paused else [],
        }

    def at(name: str, waiting: int, oldest: str, reply: str = "") -> dict[str, Any]:
        return {
            "destination": name,
            "waiting": waiting,
            "held": 0,
            "oldest": oldest,
            "next_due": None,
            "last_reply": reply,
        }

    answer = await asked(
        tmp_path,
        requests.QueueSummary(),
        summary(3, at("a.example", 3, "2026-05-04T12:00:00Z"), paused="a.example"),
        summary(9, at("b.example", 7, "2026-05-04T12:00:00Z"),
                at("a.example", 2, "2026-05-04T11:00:00Z", "try later"), paused="a.example"),
    )  # fmt: skip
    assert (answer["messages"], answer["held"], answer["octets"]) == (12, 2, 200)
    assert [(it["destination"], it["waiting"]) for it in answer["destinations"]] == [
        ("b.example", 7),
        ("a.example", 5),
    ]
    merged = answer["destinations"][1]
    assert (merged["oldest"], merged["last_reply"]) == ("2026-05-04T11:00:00Z", "try later")
    assert [it["destination"] for it in answer["paused"]] == ["a.example"]


async def test_a_message_is_changed_where_it_is(tmp_path: Path) -> None:
    def not_here(_: AnyWorkerRequest) -> Any:
        return refuse("there is no message A in the queue")

    request = requests.QueueHold(id="A")
    assert await asked(tmp_path, request, not_here, lambda _: True) is True
    with pytest.raises(RefusedRequestError, match="there is no message A"):
        await asked(tmp_path, request, not_here, not_here)
    with pytest.raises(RefusedRequestError, match="A is held"):
        await asked(tmp_path, request, not_here, lambda _: refuse("message A is held"))


async def test_changes_of_many_are_added_and_one_refusal_is_told(tmp_path: Path) -> None:
    request = requests.QueueRetry(destination="a.example")
    assert await asked(tmp_path, request, lambda _: 2, lambda _: 3) == 5
    with pytest.raises(RefusedRequestError, match="disk"):
        await asked(tmp_path, request, lambda _: 2, lambda _: refuse("the disk is full"))


async def test_status_is_that_of_the_whole_server(tmp_path: Path) -> None:
    def status(sessions: int, *problems: str) -> Answer:
        return lambda _: {
            "version": "1",
            "sessions": sessions,
            "messages": 1,
            "held": 0,
            "workers": 1,
            "problems": problems,
        }

    answer = await asked(
        tmp_path, requests.Status(), status(2, "disk full"), status(3, "disk full", "no DNS")
    )
    assert (answer["sessions"], answer["messages"], answer["workers"]) == (5, 2, 2)
    assert answer["problems"] == ["disk full", "no DNS"]
    answer = await asked(tmp_path, requests.Status(), status(2), lambda _: refuse("no answer"))
    assert (answer["sessions"], answer["problems"]) == (2, ["no answer"])


async def test_journeys_and_windows_of_all_are_told(tmp_path: Path) -> None:
    answer = await asked(
        tmp_path, requests.Journey("x"), *(lambda _, it=it: it for it in JOURNEYS.values())
    )
    assert [it["id"] for it in answer["messages"]] == ["C", "B", "A"]

    def facts(at: str, lost: str) -> Answer:
        session = {"account": "ann@example.com", "last_command": at}
        return lambda _: {"pop_sessions": [session], "address_lost": lost, "watched_names": []}

    answer = await asked(
        tmp_path, requests.ClientFacts("192.0.2.7"), facts("12:00", ""), facts("12:05", "many")
    )
    assert [it["last_command"] for it in answer["pop_sessions"]] == ["12:05"]
    assert answer["address_lost"] == "many"


async def test_a_dead_worker_is_told_where_all_are_needed(tmp_path: Path) -> None:
    it = CrewAsked(lambda: [tmp_path / "nobody.sock"], dict, _no_reload, lambda _: None)
    with pytest.raises(RefusedRequestError, match="ask again") as refused:
        await it.perform(requests.QueueSummary(), "ann")
    assert refused.value.exit_code == 4


async def test_what_only_the_supervisor_asks_is_refused_from_outside(tmp_path: Path) -> None:
    for request in (
        requests.TakeOver(2),
        requests.StandIn(2, serves=True),
        requests.TakeNoMore(),
        requests.OnBehalfOf("root"),
    ):
        with pytest.raises(RefusedRequestError, match="only the supervisor"):
            await asked(tmp_path, request, lambda _: True)
    async with asyncio.timeout(10):
        outside = ControlSocket(tmp_path, _no_perform, lambda _: None)
        await outside.start()
        reader, writer = await asyncio.open_unix_connection(outside.path)
        writer.write(b'{"do": "on-behalf-of", "by": "root"}\n')
        assert b"this is no request" in await reader.readline()
        writer.close()
        await outside.stop()


async def _no_reload(_: str) -> None:
    raise AssertionError("not asked for")


async def _no_perform(_: AnyWorkerRequest, __: str) -> Any:
    raise AssertionError("not asked for")
