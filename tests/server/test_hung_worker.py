"""A worker that lives and does nothing: it is noticed, killed, and started again."""

import asyncio
import os
import signal
import smtplib
from pathlib import Path

from posthouse.server import requests
from posthouse.server.asking import ask
from posthouse.server.crew_asked import turns
from tests.server.serving import CONFIGURATION, PROGRAM, Served


class Impatient(Served):
    """A server that notices soon."""

    program = PROGRAM.replace(
        "try:",
        "from posthouse.server import workers\n"
        "workers.LOOK_SECONDS, workers.HUNG_SECONDS = 0.1, 3.0\n"
        "try:",
        1,
    )


async def test_a_loop_turns_while_it_ends_sessions(tmp_path: Path) -> None:
    place = tmp_path / "control"
    assert await turns(place, 5), "nobody is there: that is noticed otherwise"
    may_end, ended = asyncio.Event(), asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await may_end.wait()
        writer.close()
        await writer.wait_closed()
        ended.release()

    async with await asyncio.start_unix_server(serve, place):
        assert not await turns(place, 0.05)
        may_end.set()
        assert await turns(place, 5)
        for _ in range(2):
            await ended.acquire()


def test_a_worker_that_does_nothing_is_replaced(tmp_path: Path) -> None:
    with Impatient(tmp_path, "workers = 2\n" + CONFIGURATION) as server:
        server.wait_ready()
        victim = int(str(server.wait_for_event("worker-started", 2)["process"]))
        os.kill(victim, signal.SIGSTOP)
        ended = server.wait_for_event("worker-ended")
        assert (ended["process"], ended["how"]) == (victim, "SIGKILL")
        server.wait_for_event("worker-started", 3)
        assert len(ask(server.storage, requests.Status())["worker_processes"]) == 2
        for _ in range(8):
            with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=10) as client:
                assert client.ehlo()[0] == 250
        assert server.stop() == 0
        assert len(server.events("worker-ended")) == 1, "those that work are left alone"
