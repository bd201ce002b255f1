"""Mail hosts to look at: a Posthouse with a certificate that is trusted, and names on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import trustme

from posthouse.dns.answers import AddressResult, Answer, NoSuchName
from posthouse.dns.resolver import Resolver
from posthouse.dns.servers import ServerAddress
from posthouse.lab.clients import Account
from posthouse.probe.certificate import Trust
from posthouse.probe.client_settings import HostSeen, probe_host
from posthouse.probe.consent import Consent
from posthouse.probe.doors import Door, Service
from posthouse.probe.visiting import Manner
from tests.end_to_end.server import Server, configuration, running

AUTHORITY = trustme.CA()
NAME = "mail.proseware.com"
SERVICES = {
    "mx": Service.SMTP,
    "submission": Service.SUBMISSION,
    "submissions": Service.SUBMISSIONS,
    "pop3": Service.POP3,
    "pop3s": Service.POP3S,
}


def certificate(directory: Path, *names: str) -> tuple[Path, Path, Path]:
    """Write a certificate for the names; return its file, the key's and the authority's."""
    chain, key, authority = (directory / it for it in ("chain.pem", "key.pem", "authority.pem"))
    issued = AUTHORITY.issue_cert(*names)
    chain.write_bytes(b"".join(it.bytes() for it in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    AUTHORITY.cert_pem.write_to_path(str(authority))
    return chain, key, authority


class TableNames:
    """Names out of a table."""

    def __init__(self, **table: str) -> None:
        self._table = {name.replace("_", "."): address for name, address in table.items()}

    async def addresses(self, name: str) -> AddressResult:
        if name not in self._table:
            return NoSuchName(name)
        return Answer(tuple(map(ip_address, self._table[name].split())), name, 0)


class Place:
    """A server with a trusted certificate, and how to look at it."""

    def __init__(self, server: Server, authority: Path) -> None:
        self.server = server
        self.authority = authority

    @property
    def doors(self) -> tuple[Door, ...]:
        return tuple(
            Door(service, self.server.place(name)[1])
            for name, service in SERVICES.items()
            if name in self.server.listeners
        )

    def port(self, name: str) -> int:
        return self.server.place(name)[1]

    async def seen(self, consent: Consent, *, trusted: bool = True) -> HostSeen:
        trust = Trust(str(self.authority) if trusted else "")
        return await seen_at(consent, Manner(seconds=5, trust=trust))


async def seen_at(consent: Consent, manner: Manner) -> HostSeen:
    """Probe with names of loopback only, and no DNS."""
    resolver = Resolver([ServerAddress("127.0.0.1", 9)], 0.5)
    try:
        names = TableNames(mail_proseware_com="127.0.0.1", two_proseware_com="127.0.0.3 127.0.0.1")
        return await probe_host(consent, names=names, resolver=resolver, manner=manner)
    finally:
        await resolver.close()


@contextmanager
def posthouse(directory: Path, *doors: str, people: tuple[Account, ...] = ()) -> Iterator[Place]:
    """A running Posthouse whose certificate is for NAME."""
    directory.mkdir(exist_ok=True)
    chain, key, authority = certificate(directory, NAME)
    tls = f'[tls]\ncertificate = "{chain}"\nkey = "{key}"\n'
    with running(directory, configuration(*doors, tls), *people) as server:
        yield Place(server, authority)
