"""Getting one small page of the web, with hard limits (RFC 9112, GET only).

No cookies, no proxies; a redirect is followed on the same host only, so that asking a domain for
its settings tells nobody else that somebody asked.
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from posthouse.probe.certificate import problem_of

HEAD_OCTETS_MAX: Final = 16 * 1024
BODY_OCTETS_MAX: Final = 64 * 1024
REDIRECTS_MAX: Final = 3
_MOVED: Final = frozenset({"301", "302", "303", "307", "308"})


class PageError(Exception):
    """There is no page; the message says why."""


async def fetch(url: str, *, tls: ssl.SSLContext, seconds: float) -> bytes:
    """Return the body of a page.

    Args:
        url: ``https://`` or ``http://``.
        tls: Whom to trust.
        seconds: In all.

    Raises:
        PageError: If there is none, it is too long, or it leads to another host.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _follow(url, tls)
    except TimeoutError:
        raise PageError(f"no answer within {seconds:g} s") from None
    except ssl.SSLError as error:
        raise PageError(f"TLS: {problem_of(error)[1]}") from None
    except (OSError, ValueError, asyncio.IncompleteReadError) as problem:
        raise PageError(str(problem)) from None


async def _follow(url: str, tls: ssl.SSLContext) -> bytes:
    parts = _checked_address(url)
    for _ in range(REDIRECTS_MAX + 1):
        status, fields, body = await _get(parts, tls)
        if status == "200":
            return body
        if status not in _MOVED:
            raise PageError(f"answer {status}")
        target = _checked_address(urljoin(parts.geturl(), fields.get("location", "")))
        if target.hostname != parts.hostname:
            raise PageError(f"it leads to another host: {target.hostname}")
        if parts.scheme == "https" and target.scheme == "http":
            raise PageError("it leads from https to http")
        parts = target
    raise PageError("it leads round in circles")


def _checked_address(url: str) -> SplitResult:
    parts = urlsplit(url)
    clean = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or not clean:
        raise PageError(f"{url!a} is no web address")
    return parts


async def _get(parts: SplitResult, tls: ssl.SSLContext) -> tuple[str, dict[str, str], bytes]:
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
    request += "User-Agent: posthouse-doctor\r\nAccept: text/xml\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection(
        host, port, ssl=tls if secure else None, limit=HEAD_OCTETS_MAX
    )
    try:
        writer.write(request.encode("ascii"))
        await writer.drain()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            raise PageError("the head of the answer is too long") from None
        lines = head.split("\r\n")
        words = lines[0].split(" ")
        if len(words) < 2 or not words[0].startswith("HTTP/1."):
            raise PageError("this is no web server")
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (i.partition(":") for i in lines)
        }
        return words[1], fields, await _body(reader, fields) if words[1] == "200" else b""
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    length = fields.get("content-length", "")
    if length.isascii() and length.isdecimal():
        return await reader.readexactly(_checked(int(length)))
    pieces = bytearray()
    while piece := await reader.read(BODY_OCTETS_MAX):
        pieces += piece
        _checked(len(pieces))
    return bytes(pieces)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a chunked body (RFC 9112 section 7.1); trailers are left unread."""
    pieces = bytearray()
    while True:
        line = await reader.readline()
        size = int(line.split(b";")[0].strip() or b"x", 16)
        if size == 0:
            return bytes(pieces)
        _checked(len(pieces) + size)
        pieces += await reader.readexactly(size)
        await reader.readexactly(2)


def _checked(octets: int) -> int:
    if not 0 <= octets <= BODY_OCTETS_MAX:
        raise PageError("the page is too long")
    return octets
