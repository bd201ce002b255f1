"""The control socket meets any lines: each gets one line of JSON, and no bug is met."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from posthouse.server.control import LINE_OCTETS_MAX, ControlSocket
from posthouse.server.requests import AnyWorkerRequest
from posthouse.telemetry.events import BugMet, LogEvent
from tests.fuzz.fuzzing import fuzz, octets_of

LINES = octets_of(
    b'{"do": "status"}\n', b'{"do": "queue-list", "limit": ', b'{"do": "queue-show", "id": "', b"1",
    b'"}\n', b"}\n", b"\n", b'{"do": "reload"}\n', b'"accepted_before": "', b"2026-01-01T00:00:00Z",
    b'{"do": ', b'"journey"', b', "what": ', b"null", b"[" * 200, b"-1e999", b"\\u0000", b"\\ud800",
    b"\0", b"\xff", b'{"do": "queue-hold", "id": "A", "because": "\\u001b[2J\\n"}\n', b"\r\n",
    b'{"do": "status", "do": "stop"}\n',
)  # fmt: skip


async def perform(request: AnyWorkerRequest, by: str) -> Any:
    return {"asked": type(request).__name__, "by": by}


async def asked(octets: bytes) -> tuple[list[bytes], list[LogEvent]]:
    events: list[LogEvent] = []
    with tempfile.TemporaryDirectory() as directory:
        control = ControlSocket(Path(directory), perform, events.append)
        await control.start()
        reader, writer = await asyncio.open_unix_connection(control.path)
        writer.write(octets)
        writer.write_eof()
        answers = (await asyncio.wait_for(reader.read(), 10)).splitlines()
        writer.close()
        await control.stop()
    return answers, events


@fuzz(LINES)
def test_control_socket(octets: bytes) -> None:
    answers, events = asyncio.run(asked(octets))
    assert not [event for event in events if isinstance(event, BugMet)]
    for answer in answers:
        json.loads(answer)
    if len(octets) < LINE_OCTETS_MAX:
        assert len(answers) == len(octets.split(b"\n")) - (octets[-1:] in (b"\n", b""))
