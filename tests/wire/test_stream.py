"""The stream that sessions derive from, played with on a loopback port."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address

import pytest
import trustme

from posthouse.wire.stream import WRITE_OCTETS_HIGH, StreamProtocol
from posthouse.wire.tls import TlsError

LONG = timedelta(minutes=1)
AUTHORITY = trustme.CA()
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


class Noted(StreamProtocol):
    """Notes what the stream tells it; greets; ``big`` asks for much, ``bye`` ends it."""

    def __init__(self, idle_time: timedelta = LONG, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(idle_time=idle_time, tls=tls)
        self.notes: list[str] = []
        self.octets = b""

    def stream_opened(self) -> None:
        self.notes.append("opened")

    def stream_started(self) -> None:
        self.notes.append("started")
        self.write(b"hello\n")

    def octets_received(self, octets: bytes) -> None:
        self.octets += octets
        self.restart_idle_timer()
        if octets.endswith(b"tls\n"):
            self.write(b"go\n")
            self.start_tls(server_context())
        if octets.endswith(b"big\n"):
            self.write(b"x" * 8_000_000)
        if b"bye\n" in octets:
            self.write(b"farewell\n")
            self.close()
            self.write(b"never seen")

    def tls_started(self) -> None:
        self.notes.append("tls")

    def tls_failed(self, error: TlsError) -> None:
        self.notes.append("tls failed")

    def writing_resumed(self) -> None:
        self.notes.append("resumed")

    def stream_ended(self) -> None:
        self.notes.append("ended")

    async def end(self) -> None:
        await until(lambda: "ended" in self.notes)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(it: Noted, tls: ssl.SSLContext | None = None) -> AsyncIterator[Streams]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: it, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        server.close()
        await server.wait_closed()
        await it.end()
        await asyncio.sleep(0)


async def read(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readline(), 5)


async def test_octets_go_both_ways_and_addresses_are_known() -> None:
    it = Noted()
    async with connected(it) as (reader, writer):
        assert await read(reader) == b"hello\n"
        assert it.peer_address == ip_address("127.0.0.1")
        assert it.local_address[0] == "127.0.0.1"
        assert not it.is_encrypted
        writer.write(b"bye\n")
        assert await asyncio.wait_for(reader.read(), 5) == b"farewell\n"
    assert it.notes == ["opened", "started", "ended"]


async def test_tls_from_the_start_greets_after_the_handshake() -> None:
    it = Noted(tls=server_context())
    async with connected(it, client_context()) as (reader, writer):
        assert await read(reader) == b"hello\n"
        assert it.is_encrypted
        writer.write(b"bye\n")
        assert await asyncio.wait_for(reader.read(), 5) == b"farewell\n"
    assert it.notes == ["opened", "started", "ended"]


async def test_tls_can_begin_later() -> None:
    it = Noted()
    async with connected(it) as (reader, writer):
        await read(reader)
        writer.write(b"tls\n")
        assert await read(reader) == b"go\n"
        await writer.start_tls(client_context(), server_hostname="localhost")
        writer.write(b"bye\n")
        assert await asyncio.wait_for(reader.read(), 5) == b"farewell\n"
    assert it.octets == b"tls\nbye\n"
    assert it.notes == ["opened", "started", "tls", "ended"]


async def test_no_tls_where_tls_is_awaited_ends_the_stream() -> None:
    it = Noted(tls=server_context())
    async with connected(it) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.wait_for(reader.read(), 5)
    assert it.notes == ["opened", "tls failed", "ended"]


async def test_a_handshake_that_is_not_finished_is_given_up() -> None:
    it = Noted(idle_time=timedelta(seconds=0.05), tls=server_context())
    async with connected(it) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert it.notes == ["opened", "ended"]


async def test_an_idle_peer_is_left() -> None:
    it = Noted(idle_time=timedelta(seconds=0.05))
    async with connected(it) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 5) == b"hello\n"


async def test_activity_puts_the_end_off() -> None:
    it = Noted(idle_time=timedelta(seconds=0.1))
    async with connected(it) as (reader, writer):
        await read(reader)
        for _ in range(4):
            await asyncio.sleep(0.06)
            writer.write(b".")
        assert not it.is_ending
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert it.octets == b"...."


async def test_writing_stops_while_the_peer_does_not_read() -> None:
    it = Noted()
    async with connected(it) as (reader, writer):
        await read(reader)
        writer.write(b"big\n")
        await until(lambda: not it.can_write)
        await asyncio.wait_for(reader.readexactly(8_000_000), 5)
        await until(lambda: it.can_write)
        assert "resumed" in it.notes
    assert WRITE_OCTETS_HIGH < 8_000_000


async def test_reading_can_pause() -> None:
    it = Noted()
    async with connected(it) as (reader, writer):
        await read(reader)
        it.pause_reading()
        it.pause_reading()
        writer.write(b"bye\n")
        await asyncio.sleep(0.05)
        assert it.octets == b""
        it.resume_reading()
        it.resume_reading()
        assert await read(reader) == b"farewell\n"


async def test_the_last_reply_survives_what_the_peer_still_sends() -> None:
    it = Noted()
    async with connected(it) as (reader, writer):
        await read(reader)
        writer.write(b"bye\n")
        for _ in range(20):
            writer.write(b"more and more\n" * 1000)
            await asyncio.sleep(0)
        assert await read(reader) == b"farewell\n"
    assert it.octets.startswith(b"bye\n")


async def test_a_peer_that_closed_its_side_can_still_be_answered() -> None:
    class Patient(Noted):
        def peer_finished(self) -> None:
            self.write(b"as you wish\n")
            self.close()

    it = Patient()
    async with connected(it) as (reader, writer):
        await read(reader)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"as you wish\n"


@pytest.mark.parametrize("times", [1, 2])
async def test_abort_ends_at_once(times: int) -> None:
    it = Noted()
    async with connected(it) as (reader, _):
        await read(reader)
        for _ in range(times):
            it.abort()
        await it.end()
    assert it.notes.count("ended") == 1
