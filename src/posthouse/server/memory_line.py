"""A connection that leaves no process: a session at one end, a tester at the other."""

import asyncio
import ssl
from typing import Any, Final, Protocol

from posthouse.mail.reply import Reply
from posthouse.policy.facts import Address
from posthouse.probe.line import LineLostError, ReplyReader
from posthouse.wire.tls import TlsError, TlsPipe

PORT: Final = 40_000  # that the client seems to come from
TURN_SECONDS: Final = 0.001  # between looks while the session waits for a thread
PATIENCE_SECONDS: Final = 30.0


class MemorySession(Protocol):
    """A session, as its line needs it."""

    is_ending: bool

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is being made elsewhere."""
        ...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""

    def data_received(self, data: bytes) -> None:
        """Take octets."""

    def eof_received(self) -> bool | None:
        """The other end will say no more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""


class _MemoryTransport(asyncio.Transport):
    """Keeps what the session writes."""

    def __init__(self, address: Address) -> None:
        super().__init__({"peername": (str(address), PORT), "sockname": ("127.0.0.1", 25)})
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits in a buffer here."""

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """The session is fed only when it can take it."""

    def resume_reading(self) -> None:
        """As `pause_reading`."""

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class MemoryLine:
    """The tester's end; a `probe.line.Line`.

    Args:
        session: The server's end, not yet connected.
        address: Where the client seems to come from.
        tls: Whether the line begins with a handshake, as on port 465.
    """

    def __init__(self, session: MemorySession, address: Address, *, tls: bool = False) -> None:
        self._session = session
        self._transport = _MemoryTransport(address)
        self._pipe: TlsPipe | None = None
        self._read = bytearray()
        self._over = False
        session.connection_made(self._transport)
        if tls:
            self._shake_hands()

    @property
    def is_closed(self) -> bool:
        """Whether the server has hung up."""
        return self._transport.closed

    async def exchange(self, octets: bytes) -> bytes:
        """Send octets, let the session do all it can do now, and return what it says."""
        await self.send(octets)
        await self._settle()
        self._pull()
        said = bytes(self._read)
        self._read.clear()
        return said

    async def send(self, octets: bytes) -> None:
        """Send octets."""
        if self._transport.closed:
            raise LineLostError("the server closed the connection")
        self._feed(octets)

    async def reply(self) -> Reply:
        """Return the next whole reply."""
        await self._settle()
        self._pull()
        reader = ReplyReader()
        while (end := self._read.find(b"\n")) >= 0:
            line = bytes(self._read[: end + 1])
            del self._read[: end + 1]
            if (reply := reader.take(line)) is not None:
                return reply
        raise LineLostError("the server has nothing to say")

    async def start_tls(self) -> None:
        """Shake hands."""
        self._shake_hands()

    async def close(self) -> None:
        """Hang up."""
        if not self._over:
            self._over = True
            self._session.connection_lost(None)

    def _shake_hands(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._pipe = TlsPipe(context, server_side=False)
        while octets := self._pipe.outgoing():
            self._session.data_received(octets)
            self._pull()
        if not self._pipe.handshake_done:
            raise LineLostError("TLS failed")

    def _feed(self, octets: bytes) -> None:
        if self._pipe is not None:
            self._pipe.send(octets)
            octets = self._pipe.outgoing()
        self._session.data_received(octets)

    def _pull(self) -> None:
        octets = bytes(self._transport.written)
        self._transport.written.clear()
        if self._pipe is not None and octets:
            try:
                octets = self._pipe.receive(octets)
            except TlsError as problem:
                raise LineLostError(str(problem)) from None
        self._read += octets

    async def _settle(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self._session.is_waiting:  # noqa: ASYNC110 - it waits for threads that signal the loop only
                await asyncio.sleep(TURN_SECONDS)

    def get_extra_info(self, name: str) -> Any:  # noqa: ANN401 - as asyncio's
        """Return what the transport knows."""
        return self._transport.get_extra_info(name)
