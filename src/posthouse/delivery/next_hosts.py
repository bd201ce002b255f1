"""The hosts of a next hop in the order to try them, or why there are none."""

import random
from ipaddress import ip_address
from typing import Final, TypeAlias

from msgspec import Struct

from posthouse.delivery.link import Address
from posthouse.delivery.outcomes import Deferred, Failed
from posthouse.delivery.routes import Exchangers, SmartHost
from posthouse.dns import exchangers
from posthouse.dns.answers import Answer, NoData, NoSuchName, TemporaryFailure
from posthouse.dns.exchangers import Ourselves
from posthouse.dns.resolver import Resolver

TRIED_MAX: Final = 8
"""Hosts and addresses tried in one attempt; the next attempt begins again at the best."""


class Host(Struct, frozen=True):
    """One address to connect to.

    Attributes:
        name: Name that a certificate must carry.
        address: Where it is.
        port: TCP port.
    """

    name: str
    address: Address
    port: int


Hosts: TypeAlias = tuple[Host, ...] | Deferred | Failed


class HostFinder:
    """Asks DNS where mail goes."""

    def __init__(
        self,
        resolver: Resolver,
        shuffle: random.Random,
        ourselves: Ourselves,
        *,
        literals: bool = False,
    ) -> None:
        """Take what is needed; for the arguments see `dns.exchangers.find`."""
        self._resolver = resolver
        self._shuffle = shuffle
        self._ourselves = ourselves
        self._literals = literals

    async def find(self, via: Exchangers | SmartHost, domain: str) -> Hosts:
        """Return where mail for `domain` may be handed over by this way."""
        match via:
            case Exchangers(port):
                return await self._exchangers(domain, port)
            case SmartHost():
                return await self._smart_host(via)

    async def _exchangers(self, domain: str, port: int) -> Hosts:
        found = await exchangers.find(
            self._resolver,
            domain,
            shuffle=self._shuffle,
            ourselves=self._ourselves,
            literals=self._literals,
        )
        match found:
            case exchangers.Exchangers(hosts=hosts):
                every = (Host(it.host, address, port) for it in hosts for address in it.addresses)
                return tuple(every)[:TRIED_MAX]
            case exchangers.NullMx():
                return Failed("5.1.10", f"{domain} takes no mail: it has a null MX (RFC 7505)")
            case exchangers.NoSuchDomain():
                return Failed("5.1.2", f"the domain {domain} does not exist")
            case exchangers.NoExchanger(detail=detail):
                return Failed("5.4.4", detail)
            case exchangers.LoopsBack(host=host):
                words = f"DNS says that mail for {domain} goes to {host}, which is this server"
                return Failed("5.4.6", f"{words}, but it does not serve that domain")
            case exchangers.Temporary(detail=detail):
                return _unknown("4.4.3", f"DNS gave no answer about {domain}: {detail}")

    async def _smart_host(self, via: SmartHost) -> Hosts:
        try:
            return (Host(via.host, ip_address(via.host), via.port),)
        except ValueError:
            pass
        match await self._resolver.addresses(via.host):
            case Answer(values=values):
                return tuple(Host(via.host, it, via.port) for it in values)[:TRIED_MAX]
            case NoSuchName() | NoData():
                # A mistake in our own configuration is no reason to return people's mail.
                return _unknown("4.4.4", f"the smart host {via.host} has no address in DNS")
            case TemporaryFailure(detail=detail):
                return _unknown("4.4.3", f"DNS gave no answer about {via.host}: {detail}")


def _unknown(status: str, words: str) -> Deferred:
    return Deferred(status, words, unreachable=True)
