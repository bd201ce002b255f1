"""Meeting a mail host as a mail program does: what is published, reachable, offered and allowed.

Nothing is done that `consent.announce` does not say beforehand; no mail is sent, nothing is kept.
"""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, Protocol

from msgspec import Struct

from posthouse.dns.answers import AddressResult, Answer, NoData, NoSuchName, TemporaryFailure
from posthouse.dns.resolver import Resolver
from posthouse.probe.consent import Consent
from posthouse.probe.doors import Door, Visit
from posthouse.probe.published import (
    Published,
    Search,
    Source,
    autoconfig_pages,
    from_dns,
    from_pages,
)
from posthouse.probe.talk import Line
from posthouse.probe.trial import Trials, Tried
from posthouse.probe.visiting import Manner, visit

HOSTS_MAX: Final = 4  # besides the one that was named
# A domain can publish any port of any host; only those that mail programs use are visited.
MAIL_PORTS: Final = frozenset({25, 26, 110, 465, 587, 995, 2525, 10025})


class Names(Protocol):
    """Finds the addresses of names."""

    async def addresses(self, name: str) -> AddressResult:
        """Return addresses, or which way it failed."""
        ...


class SystemNames:
    """Finds addresses as every program on this machine does, its hosts file included."""

    async def addresses(self, name: str) -> AddressResult:
        """Ask the system."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as problem:
            if problem.errno == socket.EAI_AGAIN:
                return TemporaryFailure(name, f"{name} could not be looked up")
            if problem.errno == getattr(socket, "EAI_NODATA", None):
                return NoData(name)
            return NoSuchName(name)
        except UnicodeError:
            return NoSuchName(name)
        texts = dict.fromkeys(str(it[4][0]).partition("%")[0] for it in found)
        return Answer(tuple(ip_address(text) for text in texts), name, 0)


class HostSeen(Struct, frozen=True):
    """Everything that was found out.

    Attributes:
        published: What the domain names, found or not.
        troubles: What was in the way of finding it.
        unnamed: Why the host has no address: "no-such-name", "no-address", "temporary"; "" if it
            has some.
    """

    host: str
    published: tuple[Published, ...]
    troubles: tuple[str, ...]
    unnamed: str
    visits: tuple[Visit, ...]
    attempts: tuple[Tried, ...]
    record: tuple[Line, ...]


async def probe_host(
    consent: Consent, *, names: Names, resolver: Resolver, manner: Manner
) -> HostSeen:
    """Do what was announced.

    Args:
        consent: How far to go.
        names: For addresses of hosts.
        resolver: For SRV and MX.
        manner: How to talk.
    """
    search = await _published(consent, resolver, manner)
    places = _places(consent, search.found)
    hosts = list(dict.fromkeys(host for host, _ in places))
    answers = await asyncio.gather(*(_addresses(host, names) for host in hosts))
    found = dict(zip(hosts, answers, strict=True))
    unnamed = _unnamed(found[consent.host])
    if unnamed and any(isinstance(it, Answer) for it in answers):
        places = [it for it in places if it[0] != consent.host]
    visits = await asyncio.gather(
        *(visit(host, door, _texts(found[host]), manner) for host, door in places)
    )
    trials = Trials(visits, consent, manner)
    await trials.run()
    return HostSeen(
        consent.host,
        search.found,
        search.troubles,
        unnamed,
        tuple(visits),
        tuple(trials.attempts),
        tuple(trials.record),
    )


async def _published(consent: Consent, resolver: Resolver, manner: Manner) -> Search:
    found: list[Published] = []
    troubles: list[str] = []
    if consent.published and not _is_address(consent.host):
        search = await from_dns(resolver, consent.host)
        found += search.found
        troubles += search.troubles
    if consent.autoconfig or consent.directory:
        pages = autoconfig_pages(consent.host, consent.directory)
        if not consent.autoconfig:
            pages = tuple(it for it in pages if it[0] is Source.DIRECTORY)
        search = await from_pages(pages, tls=manner.trust.strict(), seconds=manner.seconds)
        found += search.found
        troubles += search.troubles
    return Search(tuple(found), tuple(troubles))


def _places(consent: Consent, published: Iterable[Published]) -> list[tuple[str, Door]]:
    """Return what to visit: the host's ports, then what is published, each once."""
    places = [(consent.host, door) for door in consent.doors]
    asked = {door.port for door in consent.doors}
    others: list[str] = []
    for it in published:
        if it.host not in others and it.host != consent.host:
            others.append(it.host)
        if it.host in [consent.host, *others[:HOSTS_MAX]] and it.door.port in MAIL_PORTS | asked:
            places.append((it.host, it.door))
    known: set[tuple[str, int]] = set()
    kept = []
    for host, door in places:
        if (host, door.port) not in known:
            known.add((host, door.port))
            kept.append((host, door))
    return kept


async def _addresses(host: str, names: Names) -> AddressResult:
    if _is_address(host):
        return Answer((ip_address(host),), host, 0)
    return await names.addresses(host)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _texts(found: AddressResult) -> tuple[str, ...]:
    return tuple(map(str, found.values)) if isinstance(found, Answer) else ()


def _unnamed(found: AddressResult) -> str:
    match found:
        case Answer():
            return ""
        case NoSuchName():
            return "no-such-name"
        case NoData():
            return "no-address"
        case TemporaryFailure():
            return "temporary"
