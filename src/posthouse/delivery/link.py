"""One connection to a next hop: octets in both directions, TLS in between when it is wanted."""

import asyncio
import os
import ssl
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from posthouse.wire.tls import TlsError, TlsPipe

READ_OCTETS: Final = 64 * 1024
WRITE_OCTETS: Final = 64 * 1024
CLOSING_SECONDS_MAX: Final = 2.0

Address = IPv4Address | IPv6Address


class LinkError(Exception):
    """The connection cannot be made or was lost; the message says so in plain words."""


class Link:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tls: TlsPipe | None = None
        self._early = b""  # came with the end of the handshake
        self._closed = False

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is on."""
        return self._tls is not None

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
    def was_closed(self) -> bool:
        """Whether the peer has closed it, as far as we noticed."""
        return self._closed or self._reader.at_eof() or self._writer.is_closing()

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of the connection."""
        return self._closed and self._writer.transport.get_write_buffer_size() == 0

    async def read(self) -> bytes:
        """Return the next octets, decrypted; empty when the peer has closed.

        Raises:
            LinkError: If the connection broke.
        """
        if self._early:
            early, self._early = self._early, b""
            return early
        while True:
            octets = await self._receive()
            if self._tls is None or not octets:
                return octets
            plain = self._decrypt(self._tls, octets)
            await self._flush()
            if plain or self._tls.eof:
                return plain

    async def write(self, octets: bytes, *, seconds_each: float) -> None:
        """Send octets; each block of 64 KiB may take `seconds_each`.

        Raises:
            LinkError: If the connection broke, or the peer takes nothing any more.
        """
        for start in range(0, len(octets), WRITE_OCTETS):
            block = octets[start : start + WRITE_OCTETS]
            block = self._encrypted(block)
            with _InWords("the connection was lost"):
                self._writer.write(block)
                if self._writer.transport.get_write_buffer_size():  # else all of it is out
                    async with asyncio.timeout(seconds_each):
                        await self._writer.drain()

    async def start_tls(self, context: ssl.SSLContext, hostname: str) -> None:
        """Shake hands. The caller sets a time limit.

        Raises:
            TlsError: If it fails; the connection cannot be used any more.
            LinkError: If the connection broke meanwhile.
        """
        pipe = TlsPipe(context, server_side=False, server_hostname=hostname)
        try:
            while not pipe.handshake_done:
                await self._send(pipe.outgoing())
                octets = await self._receive()
                if not octets:
                    raise TlsError("the server closed the connection in the TLS handshake")
                self._early = pipe.receive(octets)
        finally:
            await self._send(pipe.outgoing())  # the end of the handshake, or an alert
        self._tls = pipe

    def close(self) -> None:
        """Let what was written go out, then close; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()

    def abort(self) -> None:
        """Close at once; what was written and not sent is lost."""
        self._closed = True
        self._writer.transport.abort()

    async def wait_closed(self) -> None:
        """Return when the socket is closed, after `close`; a peer that reads nothing is left."""
        with suppress(OSError):
            try:
                async with asyncio.timeout(CLOSING_SECONDS_MAX):
                    await self._writer.wait_closed()
            except TimeoutError:
                self.abort()

    def send_last(self, octets: bytes) -> None:
        """Send the last words without waiting for anything, and close."""
        if self._closed or self._writer.is_closing():
            self.close()
            return
        with suppress(LinkError, RuntimeError):
            octets = self._encrypted(octets)
            if self._tls is not None:
                self._tls.close()
                octets += self._tls.outgoing()
            self._writer.write(octets)
        self.close()

    def _encrypted(self, octets: bytes) -> bytes:
        if self._tls is None:
            return octets
        try:
            self._tls.send(octets)
        except TlsError as error:
            raise LinkError(f"the encrypted connection broke: {error}") from error
        return self._tls.outgoing()

    def _decrypt(self, pipe: TlsPipe, octets: bytes) -> bytes:
        try:
            return pipe.receive(octets)
        except TlsError as error:
            raise LinkError(f"the encrypted connection broke: {error}") from error

    async def _receive(self) -> bytes:
        with _InWords("the connection was lost"):
            return await self._reader.read(READ_OCTETS)

    async def _flush(self) -> None:
        if self._tls is not None:
            await self._send(self._tls.outgoing())

    async def _send(self, octets: bytes) -> None:
        if octets:
            with _InWords("the connection was lost"):
                self._writer.write(octets)
                await self._writer.drain()


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
    with _InWords("no connection"):
        async with asyncio.timeout(seconds):
            return Link(*await asyncio.open_connection(str(address), port, local_addr=own))


async def connect_unix(path: str, *, seconds: float) -> Link:
    """Return a connection to a Unix socket; as `connect`."""
    with _InWords(f"no connection to {path}"):
        async with asyncio.timeout(seconds):
            return Link(*await asyncio.open_unix_connection(path))


class _InWords:
    """Says in plain words, as `LinkError`, what goes wrong inside; a class: it is used often."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case TimeoutError():
                raise LinkError(f"{self._what}: no answer in time") from None
            case RuntimeError():  # how uvloop says that the transport is closed already
                raise LinkError(f"{self._what}: it is closed") from error
            case OSError():
                reason = os.strerror(error.errno) if error.errno else str(error) or "it was cut off"
                raise LinkError(f"{self._what}: {reason.lower()}") from error
            case _:
                pass
