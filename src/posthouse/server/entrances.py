"""Where connections come in: the sockets of a worker, and for a while those of one that is gone."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from posthouse.config.schema import Configuration
from posthouse.server.incoming import SERVED
from posthouse.server.listeners import BACKLOG, BoundListener, Sharing, bind
from posthouse.server.troubles import StartError

AT_ONCE: Final = 4  # each costs a lone client a system call
"""Connections taken in one turn of the loop. libuv takes one for each descriptor that listens: few
sessions would run at a time, however many wait, and a flush of the journal serve one or two."""

Share = tuple[BoundListener, ...]
"""The listeners of one worker."""


def bind_all(configuration: Configuration, workers: int = 1) -> tuple[Share, ...]:
    """Open the sockets of all listeners that this version serves, for each worker.

    Raises:
        StartError: If one cannot be opened; those that were are closed again.
    """
    shares: list[Share] = []
    try:
        shares.append(_bind_first(configuration, Sharing.FIRST if workers > 1 else Sharing.NOBODY))
        for _ in range(1, workers):
            shares.append(_bind_beside(shares[0]))
    except StartError:
        close_all(shares)
        raise
    return tuple(shares)


def _bind_first(configuration: Configuration, sharing: Sharing) -> Share:
    places = (
        (name, tuple((it.host, it.port) for it in listener.on))
        for name, listener in configuration.listen.items()
        if listener.service in SERVED
    )
    return _bind_each(places, sharing)


def _bind_beside(first: Share) -> Share:
    return _bind_each(((it.name, it.addresses) for it in first), Sharing.OTHERS)


def _bind_each(
    places: Iterable[tuple[str, tuple[tuple[str, int], ...]]], sharing: Sharing
) -> Share:
    bound: list[BoundListener] = []
    try:
        for name, endpoints in places:
            bound.append(bind(name, endpoints, sharing=sharing))
    except StartError:
        close_all([tuple(bound)])
        raise
    return tuple(bound)


def close_all(shares: Iterable[Share]) -> None:
    """Close every socket."""
    for share in shares:
        for it in share:
            it.close()


class Entrances:
    """Serves connections on sockets that are open already.

    Args:
        protocol: Makes the session for a connection at a listener.

    Attributes:
        others: The sockets of other workers, by number, to stand in for them.
    """

    def __init__(self, protocol: Callable[[str], asyncio.BaseProtocol]) -> None:
        self._protocol = protocol
        self._bound: Share = ()
        self._servers: list[asyncio.Server] = []
        self._standing_in: dict[int, list[asyncio.Server]] = {}
        self.others: dict[int, Share] = {}

    @property
    def listeners(self) -> dict[str, list[str]]:
        """Where it listens: ``{"mx": ["127.0.0.1:25"]}``."""
        return places_of(self._bound)

    async def open(self, bound: Share) -> None:
        """Begin."""
        self._bound = bound
        self._servers += await self._serve_on(bound)

    async def stand_in(self, number: int) -> None:
        """Take the connections of another worker too, until `leave`."""
        if number in self._standing_in or number not in self.others:
            return
        self._standing_in[number] = []  # before we wait: it may be asked for twice
        copies = tuple(
            BoundListener(it.name, tuple(each.dup() for each in it.sockets))
            for it in self.others[number]
        )
        self._standing_in[number] = await self._serve_on(copies)

    def leave(self, number: int) -> None:
        """Take them no more: it is there again."""
        for server in self._standing_in.pop(number, []):
            server.close()

    def close(self) -> None:
        """Take no connections any more."""
        for server in self._servers:
            server.close()
        for number in list(self._standing_in):
            self.leave(number)
        close_all([self._bound, *self.others.values()])

    async def _serve_on(self, bound: Share) -> list[asyncio.Server]:
        loop = asyncio.get_running_loop()
        return [
            await loop.create_server(
                partial(self._protocol, listener.name),
                sock=each,
                backlog=BACKLOG,  # else 100: a burst of clients would wait for seconds
            )
            for listener in bound
            for it in listener.sockets
            for each in _several(it)
        ]


def _several(listening: socket.socket) -> tuple[socket.socket, ...]:
    """The same socket by several descriptors."""
    return listening, *(listening.dup() for _ in range(1, AT_ONCE))


def places_of(bound: Share) -> dict[str, list[str]]:
    """Return where sockets listen: ``{"mx": ["127.0.0.1:25"]}``."""
    return {
        it.name: [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in it.addresses
        ]
        for it in bound
    }
