"""One HTTP POST of a form, with hard limits: no redirects, no cookies, nothing that is not needed.

For asking an authorization server about a token.
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlencode, urlsplit

from posthouse.protocol.http import HEAD_OCTETS_MAX, HttpAnswer, HttpError, HttpExchange

SECONDS_MAX: Final = 10.0


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
    form = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = tls if parts.scheme == "https" else None
    try:
        exchange = HttpExchange(
            "POST", parts.netloc.rpartition("@")[2], target, form | headers, body
        )
        async with asyncio.timeout(SECONDS_MAX):
            answer = await _exchange(parts.hostname, port, context, exchange)
    except TimeoutError:
        raise HttpError(f"{parts.hostname} does not answer") from None
    except (OSError, ValueError, HttpError) as problem:
        raise HttpError(f"{parts.hostname}: {problem}") from problem
    if answer.status != 200:
        raise HttpError(f"{parts.hostname} answers {answer.status}")
    return answer.body


async def _exchange(
    host: str, port: int, tls: ssl.SSLContext | None, exchange: HttpExchange
) -> HttpAnswer:
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        writer.write(exchange.octets)
        await writer.drain()
        answer = None
        while answer is None:
            answer = exchange.receive(await reader.read(HEAD_OCTETS_MAX))
        return answer
    finally:
        writer.close()
