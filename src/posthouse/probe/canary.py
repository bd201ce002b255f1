"""The canary: a small SMTP server that takes everything and notes which test messages arrive."""

import asyncio
import re
from typing import Final

from posthouse.mail.reply import Reply
from posthouse.probe.attempt import MARK_FIELD
from posthouse.protocol.smtp import events, replies
from posthouse.protocol.smtp.offer import Offer
from posthouse.protocol.smtp.server import ServerConnection

CONTENT_OCTETS_MAX: Final = 1_000_000
_MARK: Final = re.compile(rf"{MARK_FIELD}:\s*([0-9a-f]{{16}})".encode(), re.IGNORECASE)
_OK: Final = Reply(250, "2.0.0", "Ok")


class Canary:
    """Listens where mail for the canary domain arrives.

    Attributes:
        arrived: Marks of the test messages that came.
    """

    def __init__(self) -> None:
        self.arrived: set[str] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Transport] = set()

    async def listen(self, host: str, port: int) -> int:
        """Begin; return the port, the real one where 0 was asked for.

        Raises:
            OSError: If it cannot be had.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Visit(self), host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def wait_for(self, marks: set[str], seconds: float) -> None:
        """Wait until all have arrived, or the time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not marks <= self.arrived and loop.time() < end:  # noqa: ASYNC110 - ends by the clock
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End."""
        if self._server is not None:
            self._server.close()
        for transport in tuple(self._connections):
            transport.abort()
        await asyncio.sleep(0)

    def opened(self, transport: asyncio.Transport) -> None:
        """Remember a connection."""
        self._connections.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        self._connections.discard(transport)

    def take(self, content: bytes) -> None:
        """Note the marks in a message; a report may quote one."""
        self.arrived.update(mark.decode() for mark in _MARK.findall(content))


class _Visit(asyncio.Protocol):
    """One connection to the canary."""

    def __init__(self, canary: Canary) -> None:
        self._canary = canary
        self._core = ServerConnection(Offer("canary.invalid", 0))
        self._content = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._canary.opened(transport)
        self._core.greet(replies.ready("canary.invalid"))
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._core.receive(data)
        while (event := self._core.next_event()) is not None:
            if isinstance(event, events.ContentArrived):
                self._content += event.octets[: CONTENT_OCTETS_MAX - len(self._content)]
            else:
                self._core.answer(self._answer(event))
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._canary.closed(self._transport)

    def _answer(self, event: events.Event) -> Reply:
        match event:
            case events.HelloReceived():
                return self._core.hello_reply()
            case events.DataRequested():
                return replies.SEND_CONTENT
            case events.ContentEnded():
                self._canary.take(bytes(self._content))
                self._content.clear()
                return _OK
            case events.QuitReceived():
                return replies.BYE
            case events.CommandRefused(reply=reply) | events.ConnectionAbused(reply=reply):
                return reply
            case events.MailReceived() | events.RecipientReceived() | events.ResetReceived():
                return _OK
            case _:
                return replies.NOT_IMPLEMENTED

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(self._core.bytes_to_send())
        if self._core.wants_close:
            self._transport.close()
