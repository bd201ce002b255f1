"""One request over HTTPS, and all the ways in which a web server can be odd."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trustme

from posthouse.protocol.http import BODY_OCTETS_MAX
from posthouse.wire.https import Https, HttpsError, Page, Streams

OK = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\n"
Answering = Callable[..., Awaitable[Https]]


@pytest.fixture
async def asked() -> list[bytes]:
    return []


@pytest.fixture
async def answering(asked: list[bytes]) -> AsyncIterator[Answering]:
    """Start a web server that has one answer; b"" never answers."""
    authority, servers = trustme.CA(), []

    async def start(answer: bytes, name: str = "mta-sts.adatum.com") -> Https:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if not answer:
                await reader.read()
            writer.close()

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(tls)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]

        async def connect(host: str, wanted: int, context: ssl.SSLContext) -> Streams:
            assert wanted == 443
            return await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=host
            )

        context = ssl.create_default_context()
        authority.configure_trust(context)
        return Https(connect, context, seconds=10 if answer else 0.2)

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nhellomore",
        OK + b"\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ],
)
async def test_a_page_is_fetched(answer: bytes, answering: Answering, asked: list[bytes]) -> None:
    web = await answering(answer)
    assert await web.get("mta-sts.adatum.com", "/a.txt") == Page("text/plain", b"hello")
    assert asked[0].startswith(b"GET /a.txt HTTP/1.1\r\nHost: mta-sts.adatum.com\r\n")


async def test_a_body_is_posted(answering: Answering, asked: list[bytes]) -> None:
    web = await answering(b"HTTP/1.1 204 No Content\r\n\r\n")
    page = await web.post("mta-sts.adatum.com", "/in", b"{}", "application/tlsrpt+json")
    assert page == Page("", b"")
    assert b"Content-Type: application/tlsrpt+json\r\nContent-Length: 2\r\n" in asked[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 301 Moved\r\nLocation: https://mta-sts.adatum.com/b\r\n\r\n", "301"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        (b"SSH-2.0-x\r\n\r\n", "no web server"),
        (OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n", "too long"),
        (OK + b"X: y\r\n" * 4000 + b"\r\n", "too long"),
        (OK + b"Content-Length: 65537\r\n\r\n" + b"x" * 65537, "too long"),
        (OK + b"\r\n" + b"x" * (BODY_OCTETS_MAX + 1), "too long"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n10001\r\n" + b"x" * 65537, "too long"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "illegal chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n", "illegal chunk"),
        (OK + b"Content-Length: 9\r\n\r\nx", "cut off"),
        (OK, "cut off"),
        (b"", "does not answer"),
    ],
)
async def test_anything_else_is_no_answer(answer: bytes, words: str, answering: Answering) -> None:
    web = await answering(answer)
    with pytest.raises(HttpsError, match=words) as problem:
        await web.get("mta-sts.adatum.com", "/")
    assert not problem.value.certificate


async def test_the_certificate_must_be_the_host_s(answering: Answering) -> None:
    web = await answering(OK + b"\r\nhello", "www.adatum.com")
    with pytest.raises(HttpsError, match="certificate") as problem:
        await web.get("mta-sts.adatum.com", "/")
    assert problem.value.certificate


async def test_nothing_is_smuggled_into_the_request(answering: Answering) -> None:
    web = await answering(OK + b"\r\n")
    for path in ("/a b", "/a\r\nX: y", "a", "/\u00e9"):
        with pytest.raises(HttpsError, match="no path"):
            await web.get("mta-sts.adatum.com", path)
