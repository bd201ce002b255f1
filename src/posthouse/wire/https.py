"""One HTTPS request with hard limits: no redirects, no cookies, nothing that is not needed.

For MTA-STS policies (RFC 8461 §3.3) and TLS reports (RFC 8460 §5.4): both are for a host whose
certificate was verified, and for no other.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from posthouse.protocol.http import HEAD_OCTETS_MAX, HttpError, HttpExchange

SECONDS_MAX: Final = 20.0

_What: TypeAlias = tuple[str, str, Mapping[str, str], bytes]  # verb, path, fields, body
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
        return await self._ask(host, 443, ("GET", path, {}, b""))

    async def post(
        self, host: str, path: str, body: bytes, media_type: str, *, port: int = 443
    ) -> Page:
        """Send a body; as `get`."""
        fields = {"Content-Type": media_type}
        return await self._ask(host, port, ("POST", path, fields, body))

    async def _ask(self, host: str, port: int, what: _What) -> Page:
        verb, path, fields, body = what
        named = host if port == 443 else f"{host}:{port}"
        try:
            exchange = HttpExchange(verb, named, path, {"User-Agent": "posthouse", **fields}, body)
            async with asyncio.timeout(self._seconds):
                reader, writer = await self._connect(host, port, self._context)
                try:
                    return await _exchange(reader, writer, exchange)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise HttpsError(f"{host} does not answer within {self._seconds:g} s") from None
        except ssl.SSLCertVerificationError as error:
            words = f"the certificate of {host} is not right: {error.verify_message}"
            raise HttpsError(words, certificate=True) from None
        except HttpError as error:
            raise HttpsError(f"{host}: {error}") from None
        except (OSError, ValueError) as problem:
            raise HttpsError(f"{host}: {str(problem) or 'the connection was cut off'}") from None


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, exchange: HttpExchange
) -> Page:
    writer.write(exchange.octets)
    await writer.drain()
    answer = None
    while answer is None:
        answer = exchange.receive(await reader.read(HEAD_OCTETS_MAX))
    if not 200 <= answer.status < 300:
        raise HttpError(f"the answer is {answer.status}")  # 3xx too: RFC 8461 §3.3
    return Page(answer.media_type, answer.body)
