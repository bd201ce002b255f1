"""Getting one small page of the web, with hard limits.

No cookies, no proxies; a redirect is followed on the same host only, so that asking a domain for
its settings tells nobody else that somebody asked.
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from posthouse.probe.certificate import problem_of
from posthouse.protocol.http import HEAD_OCTETS_MAX, HttpAnswer, HttpError, HttpExchange

REDIRECTS_MAX: Final = 3
_MOVED: Final = frozenset({301, 302, 303, 307, 308})


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
    except (OSError, ValueError, HttpError) as problem:
        raise PageError(str(problem)) from None


async def _follow(url: str, tls: ssl.SSLContext) -> bytes:
    parts = _checked_address(url)
    for _ in range(REDIRECTS_MAX + 1):
        answer = await _get(parts, tls)
        if answer.status == 200:
            return answer.body
        if answer.status not in _MOVED:
            raise PageError(f"answer {answer.status}")
        target = _checked_address(urljoin(parts.geturl(), answer.fields.get("location", "")))
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


async def _get(parts: SplitResult, tls: ssl.SSLContext) -> HttpAnswer:
    secure = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = {"User-Agent": "posthouse-doctor", "Accept": "text/xml"}
    exchange = HttpExchange("GET", parts.netloc.rpartition("@")[2], target, fields)
    reader, writer = await asyncio.open_connection(host, port, ssl=tls if secure else None)
    try:
        writer.write(exchange.octets)
        await writer.drain()
        answer = None
        while answer is None:
            answer = exchange.receive(await reader.read(HEAD_OCTETS_MAX))
        return answer
    finally:
        writer.close()
