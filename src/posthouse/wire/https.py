"""One HTTPS request with hard limits: no redirects, no cookies, nothing that is not needed.

HTTP/1.1 (RFC 9112) with ``Connection: close``, for MTA-STS policies (RFC 8461 §3.3) and TLS reports
(RFC 8460 §5.4): both are for a host whose certificate was verified, and for no other.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

SECONDS_MAX: Final = 20.0
HEAD_OCTETS_MAX: Final = 16 * 1024
BODY_OCTETS_MAX: Final = 64 * 1024

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect: TypeAlias = Callable[[str, int, ssl.SSLContext], Awaitable[Streams]]
"""Opens a TLS connection to a host by its name, the certificate verified against that name."""


class HttpsError(Exception):
    """There is no usable answer; the message says why.

    Attributes:
        certificate: The certificate of the host is the reason.
    """

    def __init__(self, message: str, *, certificate: bool = False) -> None:
        super().__init__(message)
        self.certificate = certificate


class Page(Struct, frozen=True):
    """An answer 2xx.

    Attributes:
        media_type: Lower-case, without parameters.
        body: At most 64 KiB.
    """

    media_type: str
    body: bytes


class Https:
    """Asks hosts of the web."""

    def __init__(
        self, connect: Connect, context: ssl.SSLContext, *, seconds: float = SECONDS_MAX
    ) -> None:
        """Take what is needed: `context` says whom to trust, one request may take `seconds`."""
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        self._connect = connect
        self._context = context
        self._seconds = seconds

    async def get(self, host: str, path: str) -> Page:
        """Return a page.

        Raises:
            HttpsError: If there is another answer than 2xx, none in time, or one that is too long.
        """
        return await self._ask(host, 443, _request("GET", host, path, {}, b""))

    async def post(
        self, host: str, path: str, body: bytes, media_type: str, *, port: int = 443
    ) -> Page:
        """Send a body; as `get`."""
        fields = {"Content-Type": media_type, "Content-Length": str(len(body))}
        named = host if port == 443 else f"{host}:{port}"
        return await self._ask(host, port, _request("POST", named, path, fields, body))

    async def _ask(self, host: str, port: int, request: bytes) -> Page:
        try:
            async with asyncio.timeout(self._seconds):
                reader, writer = await self._connect(host, port, self._context)
                try:
                    return await _exchange(reader, writer, request)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise HttpsError(f"{host} does not answer within {self._seconds:g} s") from None
        except ssl.SSLCertVerificationError as error:
            words = f"the certificate of {host} is not right: {error.verify_message}"
            raise HttpsError(words, certificate=True) from None
        except HttpsError as error:
            raise HttpsError(f"{host}: {error}") from None
        except (OSError, ValueError, asyncio.IncompleteReadError) as problem:
            raise HttpsError(f"{host}: {str(problem) or 'the connection was cut off'}") from None


def _request(verb: str, host: str, path: str, fields: Mapping[str, str], body: bytes) -> bytes:
    if not (path.startswith("/") and path.isascii() and path.isprintable() and " " not in path):
        raise HttpsError(f"{path!a} is no path of a web address")
    lines = [
        f"{verb} {path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: posthouse",
        "Connection: close",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> Page:
    writer.write(request)
    await writer.drain()
    head = await _head(reader)
    lines = head.split("\r\n")
    words = lines[0].split(" ")
    if len(words) < 2 or not words[0].startswith("HTTP/1."):
        raise HttpsError("this is no web server")
    if not (len(words[1]) == 3 and words[1].startswith("2")):
        raise HttpsError(f"the answer is {words[1]!a}")  # 3xx too: RFC 8461 §3.3
    pairs = (line.partition(":") for line in lines[1:])
    fields = {name.lower(): value.strip().lower() for name, _, value in pairs}
    body = b"" if words[1] == "204" else await _body(reader, fields)
    return Page(fields.get("content-type", "").partition(";")[0].strip(), body)


async def _head(reader: asyncio.StreamReader) -> str:
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        try:
            head += await reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError:
            raise HttpsError("a line of the answer is too long") from None
        if len(head) > HEAD_OCTETS_MAX:
            raise HttpsError("the head of the answer is too long")
        if head == b"\r\n":
            head.clear()
    return head[:-4].decode("latin-1")


async def _body(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> bytes:
    if fields.get("transfer-encoding") == "chunked":
        return await _chunks(reader)
    length = fields.get("content-length", "")
    if length.isascii() and length.isdecimal():
        return await reader.readexactly(_checked(int(length[:10])))
    pieces = bytearray()
    while piece := await reader.read(BODY_OCTETS_MAX):
        pieces += piece
        _checked(len(pieces))
    return bytes(pieces)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a chunked body (RFC 9112 §7.1); trailers are left unread."""
    pieces = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0].strip() or b"x", 16)
        if size == 0:
            return bytes(pieces)
        _checked(len(pieces) + size)
        pieces += await reader.readexactly(size)
        await reader.readexactly(2)


def _checked(octets: int) -> int:
    if not 0 <= octets <= BODY_OCTETS_MAX:
        raise HttpsError("the answer is too long")
    return octets
