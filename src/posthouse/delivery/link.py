"""One connection to a next hop: octets in both directions, TLS in between when it is wanted.

What arrives is handed on within the call that brought it; no stream reader and no task is made.
"""

import asyncio
import os
import ssl
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol, cast

from posthouse.wire.tls import TlsError, TlsPipe

CLOSING_SECONDS_MAX: Final = 2.0
CUT_OFF: Final = "it was cut off"

Address = IPv4Address | IPv6Address


class LinkError(Exception):
    """The connection cannot be made or was lost; the message says so in plain words."""


class Listener(Protocol):
    """Hears what comes from the peer; all of it is called on the loop."""

    def octets_received(self, octets: bytes) -> None:
        """Take what the peer sent, decrypted; never empty."""
        ...

    def writing_resumed(self) -> None:
        """Hear that all that was written is out."""
        ...

    def link_ended(self, why: str) -> None:
        """Hear, once, that nothing more comes: "" if the peer closed, or how it was lost."""
        ...


class Link(asyncio.Protocol):
    """A TCP connection, or one to a Unix socket.

    Attributes:
        is_writing: Not all that was written is out.
        was_closed: The peer has closed it, or it was lost, or we left it.
        is_gone: Nothing is left of it.
        local_address: Our address of it; None for a Unix socket, and where it is not known.
    """

    def __init__(self) -> None:
        self.is_writing = False
        self.was_closed = False
        self.is_gone = False
        self.local_address: Address | None = None
        self._listener: Listener | None = None
        self._early: list[bytes] = []  # came before anybody listened
        self._why = ""
        self._tls: TlsPipe | None = None
        self._handshake: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()

    # ---------------------------------------------------------------- what it is like

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is on."""
        return self._tls is not None and self._tls.handshake_done

    @property
    def protection(self) -> str:
        """How it is encrypted: version and cipher, or in words."""
        if self._tls is None:
            return "not encrypted"
        return f"{self._tls.version or 'TLS'} {self._tls.cipher or ''}".rstrip()

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """The certificates that the host showed, in DER, its own first; nothing verified them."""
        return self._tls.peer_chain if self._tls is not None else ()

    @property
    def unsent_octets(self) -> int:
        """How much of what was written is not out."""
        return self._transport.get_write_buffer_size()

    # ---------------------------------------------------------------- to be called

    def listen(self, listener: Listener) -> None:
        """Have `listener` called from now on, and for what came before."""
        self._listener = listener
        early, self._early = self._early, []
        for octets in early:
            listener.octets_received(octets)
        if self.was_closed:
            listener.link_ended(self._why)

    def write(self, octets: bytes) -> None:
        """Send octets; what cannot be sent any more is dropped, and `link_ended` is called."""
        if self.was_closed:
            return
        if self._tls is None:
            self._transport.write(octets)
            return
        try:
            self._tls.send(octets)
        except TlsError as error:
            self._lose(f"the encrypted connection broke: {error}")
        else:
            self._transport.write(self._tls.outgoing())

    async def start_tls(self, context: ssl.SSLContext, hostname: str) -> None:
        """Shake hands. The caller sets a time limit.

        Raises:
            TlsError: If it fails; the connection cannot be used any more.
            LinkError: If the connection broke meanwhile.
        """
        if self.was_closed:
            raise TlsError("the server closed the connection before the TLS handshake")
        self._tls = TlsPipe(context, server_side=False, server_hostname=hostname)
        self._handshake = asyncio.get_running_loop().create_future()
        self._transport.write(self._tls.outgoing())
        await self._handshake

    def send_last(self, octets: bytes) -> None:
        """Send the last words without waiting for anything, and close."""
        if self.was_closed:
            self._transport.close()
            return
        self.write(octets)
        if self._tls is not None:
            self._tls.close()
            self._transport.write(self._tls.outgoing())
        self.was_closed = True
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what was written and not sent is lost."""
        self.was_closed = True
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Return when the socket is closed, after it was left; a peer that reads nothing is cut."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS_MAX):
                await self._gone.wait()
        except TimeoutError:
            self.abort()

    # ---------------------------------------------------------------- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)  # to hear when all of it is out
        with suppress(TypeError, IndexError, ValueError):  # a Unix socket, or closed already
            self.local_address = ip_address(transport.get_extra_info("sockname")[0])

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        if self.was_closed:
            return
        octets = data if self._tls is None else self._decrypted(self._tls, data)
        if octets and self._listener is None:
            self._early.append(octets)
        elif octets and self._listener is not None:
            self._listener.octets_received(octets)
        if self._tls is not None and self._tls.eof:
            self._end("")

    def eof_received(self) -> None:  # noqa: D102 - asyncio's
        self._end("")

    def pause_writing(self) -> None:  # noqa: D102 - asyncio's
        self.is_writing = True

    def resume_writing(self) -> None:  # noqa: D102 - asyncio's
        self.is_writing = False
        if self._listener is not None and not self.was_closed:
            self._listener.writing_resumed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio's
        self.is_gone = True
        self._gone.set()
        self._end("" if exc is None else f"the connection was lost: {_reason(exc)}")

    # ---------------------------------------------------------------- inside

    def _decrypted(self, pipe: TlsPipe, data: bytes) -> bytes:
        try:
            octets = pipe.receive(data)
        except TlsError as error:
            self._transport.write(pipe.outgoing())  # an alert
            if not self._handshake_failed(error):
                self._lose(f"the encrypted connection broke: {error}")
            return b""
        if outgoing := pipe.outgoing():
            self._transport.write(outgoing)
        if self._handshake is not None and pipe.handshake_done:
            if not self._handshake.done():
                self._handshake.set_result(None)
            self._handshake = None
        return octets

    def _handshake_failed(self, error: Exception) -> bool:
        """Tell who waits for the handshake; False if nobody does."""
        handshake, self._handshake = self._handshake, None
        if handshake is None:
            return False
        if not handshake.done():
            handshake.set_exception(error)
        return True

    def _lose(self, why: str) -> None:
        self._end(why)
        self._transport.abort()

    def _end(self, why: str) -> None:
        """Nothing more comes; said once."""
        if self.was_closed:
            return
        self.was_closed = True
        self._why = why
        words = "the server closed the connection in the TLS handshake"
        self._handshake_failed(LinkError(why) if why else TlsError(words))
        if self._listener is not None:
            self._listener.link_ended(why)


async def connect(address: Address, port: int, *, source: Address | None, seconds: float) -> Link:
    """Return a connection to a host.

    Args:
        address: Of the host.
        port: TCP port.
        source: Our address to come from; None: as the system chooses.
        seconds: It may take so long.

    Raises:
        LinkError: If it cannot be made.
    """
    own = (str(source), 0) if source is not None else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            _, link = await loop.create_connection(Link, str(address), port, local_addr=own)
    except OSError as error:  # TimeoutError is one
        raise LinkError(f"no connection: {_reason(error)}") from error
    return link


async def connect_unix(path: str, *, seconds: float) -> Link:
    """Return a connection to a Unix socket; as `connect`."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            _, link = await loop.create_unix_connection(Link, path)
    except OSError as error:
        raise LinkError(f"no connection to {path}: {_reason(error)}") from error
    return link


def _reason(error: Exception) -> str:
    """Say in plain words, in lower case, what went wrong."""
    if not isinstance(error, OSError):
        return str(error).lower() or CUT_OFF
    if error.errno:
        return os.strerror(error.errno).lower()
    timed_out = isinstance(error, TimeoutError)
    return "no answer in time" if timed_out else str(error).lower() or CUT_OFF
