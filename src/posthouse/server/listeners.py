"""Sockets: bound while the process may still bind them, served when all else stands."""

import errno
import socket
from contextlib import suppress
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Final

from msgspec import Struct

from posthouse.server.troubles import StartError

BACKLOG: Final = 1024


class Sharing(Enum):
    """Whether a port is shared with other workers."""

    NOBODY = "nobody"
    FIRST = "first"
    OTHERS = "others"


class BoundListener(Struct, frozen=True):
    """A listener of the configuration with its open sockets.

    Attributes:
        name: As in ``[listen.NAME]``.
        sockets: One for each address, bound and listening.
    """

    name: str
    sockets: tuple[socket.socket, ...]

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """What was bound: address and port, the real one where port 0 was asked for."""
        return tuple((it.getsockname()[0], it.getsockname()[1]) for it in self.sockets)

    def close(self) -> None:
        """Close every socket."""
        for it in self.sockets:
            it.close()


def bind(
    name: str, endpoints: tuple[tuple[str, int], ...], *, sharing: Sharing = Sharing.NOBODY
) -> BoundListener:
    """Open the sockets of one listener.

    Args:
        name: Of the listener, for messages.
        endpoints: Address and port; IPv6 addresses without brackets. Port 0 takes a free one.
        sharing: Whether other workers listen there too; a connection then goes to one of them,
            as the system chooses.

    Raises:
        StartError: If an address cannot be bound; the message says which and what to do. The
            sockets that were opened before are closed again.
    """
    opened: list[socket.socket] = []
    try:
        for address, port in endpoints:
            opened.append(_bind_one(name, address, port, sharing))
    except StartError:
        for it in opened:
            it.close()
        raise
    return BoundListener(name, tuple(opened))


def _bind_one(name: str, address: str, port: int, sharing: Sharing) -> socket.socket:
    family = socket.AF_INET6 if isinstance(ip_address(address), IPv6Address) else socket.AF_INET
    opened = None
    try:
        opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sharing is Sharing.OTHERS:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((address, port))
        if sharing is Sharing.FIRST:  # only now: what another program has is still found taken
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.listen(BACKLOG)
        opened.settimeout(0)
    except OSError as problem:
        if opened is not None:
            opened.close()
        raise StartError(_plainly(problem, name, address, port)) from None
    return opened


def _plainly(problem: OSError, name: str, address: str, port: int) -> str:
    """The trouble in one sentence with its way out."""
    place = f"port {port} on {address} (listener {name})"
    if problem.errno == errno.EADDRINUSE:
        return f"{place} is taken by another program: stop it, or give [listen.{name}] another port"
    if problem.errno in (errno.EACCES, errno.EPERM):
        return (
            f"{place} may only be opened by root: start as root (with `user` set it gives root up"
            f" after binding), or give [listen.{name}] a port from 1024 on"
        )
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"{place}: this machine has no address {address}; correct [listen.{name}] on"
    if problem.errno == errno.EAFNOSUPPORT:
        return f"{place}: this machine has no IPv6; take it out of [listen.{name}] on"
    return f"{place} cannot be opened: {problem.strerror or problem}"


def has_ipv6() -> bool:
    """Whether this machine can bind an IPv6 socket at all."""
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False
