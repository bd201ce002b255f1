"""The control socket on its own: what it says to nonsense, bugs and crowds."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from posthouse.server.control import ControlSocket, RefusedRequestError
from posthouse.server.requests import AnyWorkerRequest, DecisionsTail, QueueShow, Reload, Status
from posthouse.server.troubles import StartError
from posthouse.telemetry.events import BugMet, LogEvent, Noted


async def perform(request: AnyWorkerRequest, by: str) -> Any:
    match request:
        case Status():
            return {"asked by": by}
        case QueueShow():
            raise RefusedRequestError(f"there is no message {request.id}", 1)
        case Reload():
            raise KeyError("bug")
        case DecisionsTail():
            return numbers()
        case _:
            return None


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        yield number


async def asked(directory: Path, *lines: bytes) -> tuple[list[dict[str, Any]], list[LogEvent]]:
    events: list[LogEvent] = []
    control = ControlSocket(directory, perform, events.append)
    await control.start()
    reader, writer = await asyncio.open_unix_connection(control.path)
    writer.write(b"".join(lines))
    writer.write_eof()
    answers = (await asyncio.wait_for(reader.read(), 10)).splitlines()
    writer.close()
    await control.stop()
    assert not control.path.exists()
    return [json.loads(line) for line in answers], events


async def test_a_request_is_answered_with_who_asked(tmp_path: Path) -> None:
    (answer,), events = await asked(tmp_path, b'{"do": "status"}\n')
    assert "uid" in answer["result"]["asked by"]
    assert events == []


async def test_nonsense_is_told_and_the_next_request_still_answered(tmp_path: Path) -> None:
    answers, _ = await asked(
        tmp_path,
        b"nonsense\n",
        b'{"do": "fly"}\n',
        b'{"do": "queue-show"}\n',
        b'{"do": "queue-list", "heldd": true}\n',
        b'{"do": "queue-show", "id": "\xff"}\n',
        b'{"do": "status"}\n',
    )
    assert [answer.get("exit") for answer in answers] == [2, 2, 2, 2, 2, None]
    assert "heldd" in answers[3]["error"]


async def test_what_cannot_be_done_says_why(tmp_path: Path) -> None:
    (answer,), events = await asked(tmp_path, b'{"do": "queue-show", "id": "X"}\n')
    assert answer == {"error": "there is no message X", "exit": 1}
    assert events == []


async def test_what_changes_something_is_in_the_log_and_a_bug_too(tmp_path: Path) -> None:
    (answer,), events = await asked(tmp_path, b'{"do": "reload"}\n')
    assert answer["exit"] == 70
    assert isinstance(events[0], Noted)
    assert "reload" in events[0].text
    assert "uid" in events[0].text
    assert isinstance(events[1], BugMet)


async def test_a_stream_is_one_line_an_item(tmp_path: Path) -> None:
    answers, _ = await asked(tmp_path, b'{"do": "decisions-tail"}\n')
    assert [answer["item"] for answer in answers] == [0, 1, 2]


async def test_a_line_without_end_is_cut_off(tmp_path: Path) -> None:
    answers, _ = await asked(tmp_path, b"x" * 200_000)
    assert answers == []


async def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    control = ControlSocket(tmp_path / ("x" * 120), perform, lambda _: None)
    with pytest.raises(StartError, match="too long for a socket"):
        await control.start()


async def test_it_ends_also_where_nothing_can_be_removed_any_more(tmp_path: Path) -> None:
    control = ControlSocket(tmp_path, perform, list[LogEvent]().append)
    await control.start()
    control.path.unlink()
    control.path.mkdir()  # cannot be unlinked, like all on a disk that turned read-only
    await control.stop()
