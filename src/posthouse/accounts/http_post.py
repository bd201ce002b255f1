"""One HTTP POST of a form, with hard limits: no redirects, no cookies, nothing that is not needed.

HTTP/1.1 (RFC 9112) with ``Connection: close``. For asking an authorization server about a token.
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlencode, urlsplit

SECONDS_MAX: Final = 10.0
HEAD_OCTETS_MAX: Final = 16 * 1024
BODY_OCTETS_MAX: Final = 64 * 1024


class HttpError(Exception):
    """There is no usable answer; the message says why, for the log."""


async def post_form(
    url: str, fields: dict[str, str], headers: dict[str, str], *, tls: ssl.SSLContext
) -> bytes:
    """Return the body of the answer 200.

    Args:
        url: ``https://`` or ``http://``; what is secret should not go by the latter.
        fields: Of the form.
        headers: Besides the usual ones; ours to write, so they hold no line break.
        tls: Whom to trust.

    Raises:
        HttpError: If there is another answer, none in time, or one that is too long.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HttpError(f"{url!a} is no web address")
    body = urlencode(fields).encode("ascii")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {target} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "Connection: close",
        "Accept: application/json",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    request = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = tls if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            return await _exchange(parts.hostname, port, context, request)
    except TimeoutError:
        raise HttpError(f"{parts.hostname} does not answer") from None
    except (OSError, ValueError, asyncio.IncompleteReadError) as problem:
        raise HttpError(f"{parts.hostname}: {problem}") from problem


async def _exchange(host: str, port: int, tls: ssl.SSLContext | None, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=HEAD_OCTETS_MAX)
    try:
        writer.write(request)
        await writer.drain()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            raise HttpError(f"{host}: the head of the answer is too long") from None
        words = head.split("\r\n", 1)[0].split(" ")
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or words[1] != "200":
            raise HttpError(f"{host} answers {' '.join(words[:2])!a}")
        return await _body(reader, _fields(head), host)
    finally:
        writer.close()


def _fields(head: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in head.split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found[name.lower()] = value.strip().lower()
    return found


async def _body(reader: asyncio.StreamReader, fields: dict[str, str], host: str) -> bytes:
    if fields.get("transfer-encoding") == "chunked":
        return await _chunks(reader, host)
    length = fields.get("content-length", "")
    if length.isascii() and length.isdecimal():
        return await reader.readexactly(_checked(int(length), host))
    pieces = bytearray()
    while piece := await reader.read(BODY_OCTETS_MAX):
        pieces += piece
        _checked(len(pieces), host)
    return bytes(pieces)


async def _chunks(reader: asyncio.StreamReader, host: str) -> bytes:
    """Read a chunked body (RFC 9112 §7.1); trailers are left unread."""
    pieces = bytearray()
    while True:
        line = await reader.readline()
        size = int(line.split(b";")[0].strip() or b"x", 16)
        if size == 0:
            return bytes(pieces)
        _checked(len(pieces) + size, host)
        pieces += await reader.readexactly(size)
        await reader.readexactly(2)


def _checked(octets: int, host: str) -> int:
    if not 0 <= octets <= BODY_OCTETS_MAX:
        raise HttpError(f"{host}: the answer is too long")
    return octets
