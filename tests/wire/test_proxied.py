"""A stream behind a proxy: nothing happens before the header, all that follows is the client's."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from posthouse.policy.networks import NetworkTable
from posthouse.wire import stream
from posthouse.wire.stream import StreamProtocol
from tests.protocol.test_proxy import V1, field, v2
from tests.wire.test_stream import client_context, server_context

LOOPBACK = NetworkTable([(ip_network("127.0.0.0/8"), 0)])
ELSEWHERE = NetworkTable([(ip_network("192.0.2.0/24"), 0)])


class Seen(StreamProtocol):
    """Says whom it speaks with."""

    def __init__(self, proxies: NetworkTable, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(idle_time=timedelta(minutes=1), tls=tls, proxied_from=proxies)
        self.notes: list[str] = []

    def stream_opened(self) -> None:
        self.notes.append("opened")

    def stream_started(self) -> None:
        self.notes.append("started")
        words = [str(self.peer_address), str(self.local_address), self.tls_in_words]
        self.write("|".join(words).encode() + b"\n")

    def octets_received(self, octets: bytes) -> None:
        self.notes.append(octets.decode("latin-1"))

    def stream_ended(self) -> None:
        self.notes.append("ended")


@asynccontextmanager
async def talking(
    proxies: NetworkTable = LOOPBACK, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Seen, asyncio.StreamReader, asyncio.StreamWriter]]:
    seen = Seen(proxies, tls)
    server = await asyncio.get_running_loop().create_server(lambda: seen, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield seen, reader, writer
    finally:
        writer.transport.abort()
        seen.abort()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 5) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("pieces", [[V1 + b"EHLO a\r\n"], [V1[:9], V1[9:], b"EHLO a\r\n"]])
async def test_the_client_is_who_the_proxy_says(pieces: list[bytes]) -> None:
    async with talking() as (seen, reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
            assert ("started" in seen.notes) is (piece is not pieces[0] or len(pieces) == 1)
        assert await reader.readline() == b"192.0.2.7|('203.0.113.25', 25)|\n"
        assert seen.notes == ["opened", "started", "EHLO a\r\n"]
        assert not seen.is_encrypted


async def test_tls_between_client_and_proxy_counts_as_tls() -> None:
    inner = field(0x21, b"TLSv1.3") + field(0x23, b"TLS_AES_128_GCM_SHA256")
    async with talking() as (seen, reader, writer):
        writer.write(v2(fields=field(0x20, b"\x01\0\0\0\0" + inner)))
        assert (await reader.readline()).endswith(b"|TLSv1.3 TLS_AES_128_GCM_SHA256\n")
        assert seen.is_encrypted
        assert seen.bindings == {}


async def test_tls_with_us_comes_after_the_header() -> None:
    async with talking(tls=server_context()) as (seen, reader, writer):
        writer.write(V1)
        await writer.start_tls(client_context(), server_hostname="localhost")
        assert (await reader.readline()).startswith(b"192.0.2.7|")
        assert seen.is_encrypted


async def test_a_health_check_is_the_proxy_itself() -> None:
    async with talking() as (_, reader, writer):
        writer.write(v2(b"", command=0x20, family=0))
        assert (await reader.readline()).startswith(b"127.0.0.1|")


@pytest.mark.parametrize("octets", [b"EHLO a\r\n", b"PROXY nonsense\r\n", b"\x16\x03\x01"])
async def test_a_proxy_without_a_header_is_not_served(octets: bytes) -> None:
    async with talking() as (seen, reader, writer):
        writer.write(octets)
        assert await is_closed(reader)
        assert seen.notes == []


async def test_a_proxy_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "PROXY_SECONDS_MAX", 0.05)
    async with talking() as (seen, reader, _):
        assert await is_closed(reader)
        assert seen.notes == []


async def test_a_header_from_anybody_else_is_what_it_is() -> None:
    async with talking(ELSEWHERE) as (seen, reader, writer):
        assert (await reader.readline()).startswith(b"127.0.0.1|")
        writer.write(V1)
        while len(seen.notes) < 3:
            await asyncio.sleep(0.005)
        assert seen.notes[2].startswith("PROXY TCP4")
        assert seen.peer_address == ip_address("127.0.0.1")
