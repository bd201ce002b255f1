"""Octets between a transport and a sans-IO core, with TLS in between when it is wanted.

`StreamProtocol` owns the transport, the TLS pipe, the time-out and both directions of
back-pressure. A session derives from it and overrides the hooks; no task, future or stream reader
is made for a command.
"""

import asyncio
import ssl
import threading
from datetime import timedelta
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, cast

from posthouse.policy.networks import NetworkTable, fold
from posthouse.protocol.proxy import ProxyError, ProxyHeader, ProxyReader
from posthouse.wire.rounds import Moment, Rounds, rounds_of_this_loop
from posthouse.wire.tls import TlsError, TlsPipe

READ_OCTETS_MAX: Final = 32 * 1024  # at once
RECORD_OCTETS_MAX: Final = 16 * 1024 + 256 + 5  # of TLS: what is kept until the rest comes
PENDING_OCTETS_MAX: Final = 64 * 1024  # read of one peer, by us and by TLS, and not dealt with
ENOUGH_OCTETS: Final = PENDING_OCTETS_MAX - READ_OCTETS_MAX - RECORD_OCTETS_MAX
"""A session that has more than this to deal with must `pause_reading`: then it never comes to more
than `PENDING_OCTETS_MAX`, whatever one reading brings."""
WRITE_OCTETS_HIGH: Final = 64 * 1024  # above it `can_write` turns False
HANDSHAKE_SECONDS_MAX: Final = 60.0
PROXY_SECONDS_MAX: Final = 10.0  # for a proxy to say whom it speaks for
LINGER_SECONDS: Final = 2.0  # for the peer to read the last reply after we ended

Address = IPv4Address | IPv6Address


class _Reading(threading.local):
    """The buffer that all connections of a loop are read into, one after the other."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ_OCTETS_MAX))


_READING: Final = _Reading()


@lru_cache(maxsize=4096)
def _read(address: str) -> Address:
    return fold(ip_address(address))


class StreamProtocol(asyncio.BufferedProtocol):
    """One connection as a session sees it: plain octets in both directions.

    Hooks, all of them called on the loop: `stream_opened`, `stream_started`, `octets_received`,
    `tls_started`, `tls_failed`, `writing_resumed`, `idle_too_long`, `peer_finished`,
    `stream_ended`.

    Args:
        idle_time: After so long without `restart_idle_timer` comes `idle_too_long`.
        tls: With a context the stream begins with a TLS handshake (RFC 8314 section 3).
        proxied_from: Networks of proxies: a peer from there must begin with a PROXY header, and
            all hooks come after it.

    Attributes:
        can_write: False while the peer takes less than we write: pause what produces octets.
        tls: The TLS pipe, once a handshake began.
        proxied: What a proxy of ours told about its client.
        is_ending: `close` or `abort` was called, or the connection is gone.
    """

    __slots__ = (
        "_buffer",
        "_due",
        "_handshaking",
        "_has_opened",
        "_idle_seconds",
        "_last_activity",
        "_peer_has_finished",
        "_proxied_from",
        "_proxy",
        "_reading",
        "_rounds",
        "_tls_from_start",
        "_transport",
        "_unsent_at_last_look",
        "can_write",
        "is_ending",
        "proxied",
        "tls",
    )

    def __init__(
        self,
        *,
        idle_time: timedelta,
        tls: ssl.SSLContext | None = None,
        proxied_from: NetworkTable | None = None,
    ) -> None:
        self._idle_seconds = idle_time.total_seconds()
        self._tls_from_start = tls
        self._transport: asyncio.Transport | None = None
        self._buffer = _READING.buffer
        self._rounds: Rounds | None = None
        self._due: Moment | None = None  # when the clock is looked at
        self._last_activity = 0.0
        self._unsent_at_last_look = 0
        self._handshaking = False
        self._peer_has_finished = False
        self._reading = True
        self._proxied_from = proxied_from
        self._proxy: ProxyReader | None = None
        self._has_opened = False
        self.proxied: ProxyHeader | None = None
        self.tls: TlsPipe | None = None
        self.can_write = True
        self.is_ending = False

    # ---------------------------------------------------------------- hooks for the session

    def stream_opened(self) -> None:
        """A peer connected; nothing can be written yet, but `abort` may be called."""

    def stream_started(self) -> None:
        """The stream is open, and encrypted if it begins with TLS: greet now."""

    def octets_received(self, octets: bytes) -> None:
        """The peer sent these octets, already decrypted; never empty."""

    def tls_started(self) -> None:
        """The handshake that `start_tls` began is done."""

    def tls_failed(self, error: TlsError) -> None:
        """The handshake or a record was bad; the connection is being given up."""

    def writing_resumed(self) -> None:
        """The peer takes octets again: `can_write` is True."""

    def idle_too_long(self) -> None:
        """Nothing happened for `idle_time`. A session may say farewell, then call `close`."""
        self.close()

    def peer_finished(self) -> None:
        """The peer will send no more. Answer what is under way, then call `close`."""
        self.close()

    def stream_ended(self) -> None:
        """The connection is gone; called once if `stream_opened` was, and nothing after it."""

    # ---------------------------------------------------------------- for the session to call

    @property
    def is_encrypted(self) -> bool:
        """Whether a TLS handshake was completed, with us or with a proxy of ours."""
        if self.tls is not None and self.tls.handshake_done:
            return True
        return self.proxied is not None and self.proxied.tls is not None

    @property
    def tls_in_words(self) -> str:
        """TLS version and cipher suite as they are told in a Received field; "" without TLS."""
        if self.tls is not None and self.tls.handshake_done:
            return f"{self.tls.version} {self.tls.cipher}"
        told = self.proxied.tls if self.proxied is not None else None
        return f"{told.version} {told.cipher}".strip() if told is not None else ""

    @property
    def bindings(self) -> dict[str, bytes]:
        """What a sign-in can be bound to; nothing where a proxy has the TLS connection."""
        return self.tls.bindings if self.tls is not None else {}

    @property
    def peer_address(self) -> Address:
        """Address of the peer, or of the proxy's client; IPv4-mapped IPv6 is folded to IPv4.

        A peer that was gone before we looked has 0.0.0.0, which is in no network.
        """
        if self.proxied is not None and self.proxied.source is not None:
            return fold(self.proxied.source)
        name = self._opened().get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104 - no bind
        return _read(name[0])

    @property
    def local_address(self) -> tuple[str, int]:
        """Address and port the peer connected to."""
        if self.proxied is not None and self.proxied.destination is not None:
            return str(self.proxied.destination), self.proxied.destination_port
        name = self._opened().get_extra_info("sockname") or ("", 0)
        return name[0], name[1]

    def write(self, octets: bytes) -> None:
        """Send octets, encrypted if TLS is on. After `close` they are dropped."""
        if self.is_ending or not octets:
            return
        if self.tls is not None:
            try:
                self.tls.send(octets)
            except TlsError as error:
                self._fail_tls(self.tls, error)
                return
            octets = self.tls.outgoing()
        assert self._transport is not None, "used before connection_made"
        self._transport.write(octets)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Begin a handshake as server; call it after the positive reply was written in clear.

        The caller has thrown away what the peer pipelined (RFC 3207 section 4.2, RFC 2595
        section 4); whatever comes from now on is ciphertext.
        """
        self.tls = TlsPipe(context, server_side=True)
        self._handshaking = True
        self._wait(min(HANDSHAKE_SECONDS_MAX, self._idle_seconds))

    def pause_reading(self) -> None:
        """Take nothing more from the peer until `resume_reading`; may be repeated."""
        if self._reading and not self.is_ending and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`; may be repeated."""
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    def restart_idle_timer(self) -> None:
        """Something worth waiting for happened: a whole command, a block of content."""
        if self._rounds is not None:
            self._last_activity = self._rounds.time()

    def set_idle_time(self, idle_time: timedelta) -> None:
        """Wait so long from now on, counted from this moment."""
        self._idle_seconds = idle_time.total_seconds()
        self.restart_idle_timer()
        if self.is_ending:
            return
        # Who is told earlier only looks at the clock, and waits again.
        due = Rounds.number_at(self._last_activity + self._idle_seconds)
        if self._due is None or self._due.number > due:
            self._wait(self._idle_seconds)

    def close(self) -> None:
        """Send what was written, then end the connection.

        What the peer still sends is read and thrown away for a moment: closing a socket with
        unread octets makes a reset that may destroy our last reply on its way.
        """
        if self.is_ending:
            return
        transport = self._opened()
        if self.tls is not None:
            self.tls.close()
            if rest := self.tls.outgoing():
                transport.write(rest)
        self.resume_reading()
        self.is_ending = True
        if self._peer_has_finished or not transport.can_write_eof():
            transport.close()
        else:
            try:
                transport.write_eof()
            except OSError:  # the peer broke the connection, asyncio has not heard of it yet
                transport.abort()
        self._linger()

    def abort(self) -> None:
        """End the connection at once; unsent octets are lost."""
        self.is_ending = True
        if self._transport is not None:
            self._transport.abort()

    # ---------------------------------------------------------------- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        self._rounds = rounds_of_this_loop()
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_OCTETS_HIGH)
        self.restart_idle_timer()
        proxies = self._proxied_from
        if proxies is not None and proxies.find(self.peer_address):
            self._proxy = ProxyReader()
            self._wait(PROXY_SECONDS_MAX)
        else:
            self._begin()

    def _begin(self) -> None:
        """The client is known: let the session know of it."""
        self._has_opened = True
        self.stream_opened()
        if self.is_ending:
            return
        if self._tls_from_start is not None:
            self.start_tls(self._tls_from_start)
        else:
            self._wait(self._idle_seconds)
            self.stream_started()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002, D102 - asyncio's
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102 - asyncio's
        self.data_received(self._buffer[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        """Take octets of the peer; not more than `READ_OCTETS_MAX` come at once."""
        if self.is_ending:
            return
        if self._proxy is not None:
            data = self._read_proxy_header(self._proxy, data)
            if not data or self.is_ending:
                return
        if self.tls is None:
            self.octets_received(data)
        else:
            self._receive_ciphertext(self.tls, data)

    def eof_received(self) -> bool:  # noqa: D102 - asyncio's
        if self.is_ending or self._proxy is not None:
            return False
        self._finish_peer()
        return True  # the session closes when it has answered

    def pause_writing(self) -> None:  # noqa: D102 - asyncio's
        self.can_write = False

    def resume_writing(self) -> None:  # noqa: D102 - asyncio's
        self.can_write = True
        if not self.is_ending:
            self.restart_idle_timer()
            self.writing_resumed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102 - asyncio's
        self.is_ending = True
        self._wait_no_more()
        if self._has_opened:
            self.stream_ended()

    # ---------------------------------------------------------------- inside

    def _opened(self) -> asyncio.Transport:
        assert self._transport is not None, "used before connection_made"
        return self._transport

    def _read_proxy_header(self, reader: ProxyReader, data: bytes) -> bytes:
        """Learn from the proxy who the client is; return what came after the header."""
        try:
            header = reader.receive(data)
        except ProxyError:
            self.abort()  # whoever it is, it is not the client it seems to be
            return b""
        if header is None:
            return b""
        self._proxy = None
        self.proxied = header
        self._begin()
        return reader.rest

    def _receive_ciphertext(self, pipe: TlsPipe, data: bytes) -> None:
        try:
            octets = pipe.receive(data)
        except TlsError as error:
            self._fail_tls(pipe, error)
            return
        if outgoing := pipe.outgoing():
            self._opened().write(outgoing)
        if self._handshaking and pipe.handshake_done:
            self._handshaking = False
            self.set_idle_time(timedelta(seconds=self._idle_seconds))
            if self._tls_from_start is not None:
                self.stream_started()
            else:
                self.tls_started()
        if octets and not self.is_ending:
            self.octets_received(octets)
        if pipe.eof:
            self._finish_peer()

    def _fail_tls(self, pipe: TlsPipe, error: TlsError) -> None:
        if alert := pipe.outgoing():
            self._opened().write(alert)
        self.tls_failed(error)
        self.is_ending = True
        self._opened().close()
        self._linger()

    def _finish_peer(self) -> None:
        if self._peer_has_finished or self.is_ending:
            return
        self._peer_has_finished = True
        if self._handshaking:
            self.abort()
        else:
            self.peer_finished()

    def _wait(self, seconds: float) -> None:
        assert self._rounds is not None, "used before connection_made"
        self._wait_no_more()
        self._due = self._rounds.in_(seconds)
        self._due.add(self)

    def _wait_no_more(self) -> None:
        if self._due is not None:
            self._due.discard(self)
            self._due = None

    def time_is_up(self) -> None:
        """Look at the clock: activity only writes down when it was."""
        self._due = None
        if self.is_ending:
            self._linger_ended()
            return
        if self._handshaking or self._proxy is not None:
            self.abort()
            return
        assert self._rounds is not None, "a time-out was set"
        idle = self._rounds.time() - self._last_activity
        if idle < self._idle_seconds:
            self._wait(self._idle_seconds - idle)
            return
        self._last_activity += idle
        self._wait(self._idle_seconds)
        self.idle_too_long()

    def _linger(self) -> None:
        """Give up the ended connection once its last octets stop moving."""
        self._unsent_at_last_look = self._opened().get_write_buffer_size()
        self._wait(LINGER_SECONDS)

    def _linger_ended(self) -> None:
        unsent = self._opened().get_write_buffer_size()
        if 0 < unsent < self._unsent_at_last_look:
            self._linger()
        else:
            self.abort()
