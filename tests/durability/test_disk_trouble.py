"""A server on a disk that is full, turns read-only, or fails a flush: what its clients hear."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from posthouse.lab.hosts import LabError, wait_for
from posthouse.server.requests import QueueList, QueueRetry, Status
from posthouse.spool.journal import ALLOWED_SECONDS
from tests.durability.disks import MIB, failing_flushes, small_disk
from tests.end_to_end.server import BOB, Server, configuration, door, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Answer, Talk

pytestmark = pytest.mark.slow
NOT_NOW = {"RCPT": "451 4.3.0 not now"}
SHORT, MIDDLE, LARGE = 100, 200_000, 400_000


class ReservedSink(Sink):
    """Says nothing to who connects until it is told to."""

    greets = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not self.greets:
            await asyncio.sleep(0.02)
        await super()._serve(reader, writer)


class Post:
    """A server that relays to a sink, and all that it promised."""

    def __init__(self, server: Server, sink: ReservedSink) -> None:
        self.server = server
        self.sink = sink
        self.promised: set[str] = set()
        self._count = 0

    def send(self, octets: int = SHORT) -> Answer:
        """Bring one mail."""
        self._count += 1
        token = f"token-{self._count}."
        body = b"x" * 70 + b"\r\n"
        content = f"From: x@proseware.com\r\nSubject: {token}\r\n\r\n".encode()
        with Talk(self.server.place("mx")) as talk:
            talk.say("EHLO laptop.example")
            answer = talk.mail(
                "x@proseware.com", "carol@adatum.com", content=content + body * (octets // 72 + 1)
            )
        if answer.code == 250:
            self.promised.add(token)
        return answer

    def arrived(self) -> list[str]:
        heads = [mail.content[:2000].decode("latin-1") for mail in tuple(self.sink.mails)]
        return [head.partition("Subject: ")[2].partition("\r\n")[0] for head in heads]

    def problems(self) -> str:
        return " ".join(self.server.ask(Status())["problems"])

    def expect_all(self) -> None:
        """Everything that was promised arrives, and nothing waits any more."""
        self.sink.script = {}
        self.server.ask(QueueRetry())
        wait_for(lambda: self.promised <= set(self.arrived()), 40)
        assert self.promised - set(self.arrived()) == set()
        assert wait_for(lambda: not self.server.ask(QueueList()), 40)


def relay_to(sink: Sink) -> str:
    networks = door("network", networks='["127.0.0.1"]', sends_as='["*"]')
    return configuration(networks, via=f"smtp://127.0.0.1:{sink.port}")


@contextmanager
def relaying(directory: Path) -> Iterator[Post]:
    sink = ReservedSink()
    with sinking(sink), running(directory, relay_to(sink), BOB) as server:
        yield Post(server, sink)


def test_a_full_disk_gets_452_loses_nothing_and_mail_flows_again_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "storage", 100) as disk, relaying(tmp_path) as post:
        post.sink.script = NOT_NOW
        assert post.send().code == 250
        disk.fill(free=40 * MIB)
        codes = [post.send(MIDDLE).code for _ in range(40)]
        assert set(codes) == {250, 452}, "as much as fits is taken, and then no more"
        disk.fill(free=10 * MIB)
        time.sleep(ALLOWED_SECONDS)  # until then a worker may take what it saw room for
        assert [post.send(size).code for size in (SHORT, MIDDLE, LARGE)] == [452] * 3
        disk.fill(free=0)  # somebody else takes the reserve as well
        assert post.send().code == 452
        disk.empty()
        assert wait_for(lambda: post.send().code == 250, 30), "no restart is needed"
        assert post.send(LARGE).code == 250
        post.expect_all()


def test_on_a_disk_without_an_octet_of_room_outcomes_wait_and_nothing_is_tried_again(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "storage", 100) as disk, relaying(tmp_path) as post:
        post.sink.greets = False
        assert [post.send(size).code for size in (SHORT, MIDDLE, LARGE)] == [250] * 3
        disk.fill(free=0)
        post.sink.greets = True
        assert wait_for(lambda: len(set(post.arrived())) == 3, 10)
        assert post.send().code == 452
        post.server.wait_for_events("disk-full")
        assert "Make room" in post.problems()
        disk.empty()
        assert wait_for(lambda: post.send().code == 250, 10)
        assert wait_for(lambda: not post.server.ask(QueueList()), 10)
        assert len(post.arrived()) == 4, "nothing came twice"


def test_a_disk_that_turns_read_only_gets_451_and_the_operator_hears_of_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "storage", 100) as disk, sinking(ReservedSink(NOT_NOW)) as sink:
        assert isinstance(sink, ReservedSink)
        server = Server(tmp_path, relay_to(sink))
        server.start()
        post = Post(server, sink)
        try:
            assert [post.send(size).code for size in (SHORT, LARGE)] == [250, 250]
            disk.turn_read_only()
            assert [post.send(size).code for size in (SHORT, LARGE, SHORT)] == [451] * 3
            assert "restart" in post.problems()
            server.wait_for_events("store-failed", store="spool")
        finally:
            server.stop()
        disk.repair()
        server.start()
        try:
            assert post.send().code == 250
            post.expect_all()
        finally:
            server.stop()


@pytest.mark.parametrize("octets", [SHORT, LARGE], ids=["short", "large"])
def test_after_a_flush_that_failed_nothing_is_promised_until_a_restart(
    octets: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in failing_flushes(tmp_path).items():
        monkeypatch.setenv(name, value)
    dying = tmp_path / "dying"
    with relaying(tmp_path) as post:
        post.sink.script = NOT_NOW
        assert post.send(octets).code == 250
        dying.touch()
        assert post.send(octets).code == 451
        dying.unlink()  # the next flush would succeed, and prove nothing
        assert [post.send(size).code for size in (SHORT, LARGE, MIDDLE)] == [451] * 3
        assert "restart" in post.problems()
        post.server.wait_for_events("store-failed", store="spool")
        post.sink.script = {}
        with suppress(LabError):  # the shelf may or may not be whole
            post.server.ask(QueueRetry())
        assert post.sink.mails == [], "what cannot be recorded is not delivered"
        post.server.stop()
        post.server.start()
        assert post.send(octets).code == 250
        post.expect_all()
