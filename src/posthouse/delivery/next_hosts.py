"""The hosts of a next hop in the order to try them, or why there are none."""

import asyncio
import random
from collections import OrderedDict
from ipaddress import ip_address
from typing import Final, TypeAlias

from msgspec import Struct, structs

from posthouse.delivery.link import Address
from posthouse.delivery.outcomes import Deferred, Failed
from posthouse.delivery.routes import Exchangers, SmartHost, SmartHosts
from posthouse.dns import exchangers
from posthouse.dns.answers import Answer, NoData, NoSuchName, TemporaryFailure
from posthouse.dns.exchangers import Ourselves
from posthouse.dns.resolver import Resolver

TRIED_MAX: Final = 8
"""Hosts and addresses tried in one attempt; the next attempt begins again at the best."""


REMEMBERED_SECONDS: Final = 20.0
"""So long what was found is taken again without asking; DNS has its own, longer memory."""
REMEMBERED_MAX: Final = 20_000


class Host(Struct, frozen=True, cache_hash=True):
    """One address to connect to.

    Attributes:
        name: Name that a certificate must carry; the path of a Unix socket.
        address: Where it is; None for a Unix socket.
        port: TCP port.
        preference: The lower is tried first; those of one preference share the load.
        tls_from_start: TLS comes before the greeting.
        lmtp: It speaks LMTP.
        secure: DNSSEC vouches for its being the host, and for its addresses.
        canonical: Name that `name` is an alias of; "" if it is none.
    """

    name: str
    address: Address | None
    port: int
    preference: int = 0
    tls_from_start: bool = False
    lmtp: bool = False
    secure: bool = False
    canonical: str = ""

    def __str__(self) -> str:
        return f"{self.name} [{self.address}]" if self.address else self.name


HostVia: TypeAlias = Exchangers | SmartHost | SmartHosts
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
        self._known: OrderedDict[tuple[HostVia, str], tuple[float, Hosts]] = OrderedDict()

    async def find(self, via: HostVia, domain: str) -> Hosts:
        """Return where mail for `domain` may be handed over by this way."""
        if not isinstance(via, Exchangers):
            domain = ""  # it goes there wherever it goes in the end
        if (known := self.remembered(via, domain)) is not None:
            return known
        match via:
            case Exchangers(port):
                found = await self._exchangers(domain, port)
            case SmartHost():
                found = await self._smart_host(via)
            case _:
                return await self._smart_hosts(via)
        self._known[via, domain] = (asyncio.get_running_loop().time(), found)
        self._known.move_to_end((via, domain))
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return found

    def remembered(self, via: HostVia, domain: str) -> Hosts | None:
        """Return what was found a moment ago, equal hosts in another order; None: ask."""
        at, found = self._known.get((via, domain), (-REMEMBERED_SECONDS, None))
        if found is None or asyncio.get_running_loop().time() - at > REMEMBERED_SECONDS:
            return None
        return self._shuffled(found) if isinstance(found, tuple) and len(found) > 1 else found

    def _shuffled(self, hosts: tuple[Host, ...]) -> tuple[Host, ...]:
        """Share the load among hosts of one preference; the addresses of a host stay together."""
        chance = {host.name: self._shuffle.random() for host in hosts}
        return tuple(sorted(hosts, key=lambda it: (it.preference, chance[it.name])))

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
                every = (
                    Host(
                        it.host,
                        address,
                        port,
                        it.preference,
                        secure=it.secure,
                        canonical=it.canonical,
                    )
                    for it in hosts
                    for address in it.addresses
                )
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

    async def _smart_hosts(self, via: SmartHosts) -> Hosts:
        """The hosts in the order written, or each first as often as its weight says."""
        order = list(via.hosts)
        if via.weights:
            weight = dict(zip(via.hosts, via.weights, strict=True))
            # Each host draws the time until its turn: the heavier, the sooner.
            order.sort(key=lambda it: self._shuffle.expovariate(max(weight[it], 1e-9)))
        found = await asyncio.gather(*(self.find(it, "") for it in order))
        hosts = [
            structs.replace(host, preference=place)
            for place, those in enumerate(found)
            if isinstance(those, tuple)
            for host in those
        ]
        troubles = [it for it in found if isinstance(it, Deferred | Failed)]
        return tuple(hosts)[:TRIED_MAX] if hosts else troubles[0]

    async def _smart_host(self, via: SmartHost) -> Hosts:
        def host(address: Address | None, *, secure: bool = False, canonical: str = "") -> Host:
            return Host(
                via.host,
                address,
                via.port,
                tls_from_start=via.tls_from_start,
                lmtp=via.lmtp,
                secure=secure,
                canonical=canonical,
            )

        if not via.port:
            return (host(None),)
        try:
            return (host(ip_address(via.host)),)
        except ValueError:
            pass
        match await self._resolver.addresses(via.host):
            case Answer(values=values, name=name, authentic=secure):
                canonical = name if name != via.host else ""
                those = values[:TRIED_MAX]
                return tuple(host(it, secure=secure, canonical=canonical) for it in those)
            case NoSuchName() | NoData():
                # A mistake in our own configuration is no reason to return people's mail.
                return _unknown("4.4.4", f"the smart host {via.host} has no address in DNS")
            case TemporaryFailure(detail=detail):
                return _unknown("4.4.3", f"DNS gave no answer about {via.host}: {detail}")


def group_of(hosts: tuple[Host, ...]) -> str:
    """Return the name under which all domains of the same best hosts are counted together."""
    best = min(host.preference for host in hosts)
    first = min((host for host in hosts if host.preference == best), key=lambda it: it.name)
    return f"{first.name}:{first.port}"


def _unknown(status: str, words: str) -> Deferred:
    return Deferred(status, words, unreachable=True)
