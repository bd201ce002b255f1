"""Opening sessions with the hosts of a next hop, on terms that are as strict as they must be."""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from typing import Final, Protocol

from msgspec import Struct, structs

from posthouse.delivery.hop_session import HopSession, Timeouts
from posthouse.delivery.host_errors import Fault, HostError
from posthouse.delivery.initiation import Terms, initiate
from posthouse.delivery.link import Address, Link, LinkError, connect, connect_unix
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.pool import MESSAGES_MAX, SessionPool
from posthouse.delivery.reaching import reach
from posthouse.delivery.routes import Exchangers, Route, TlsWish
from posthouse.delivery.tls_terms import OURS, Assurance, Basis, Trouble

SILENT_HOSTS_MAX: Final = 1000
SILENT_SECONDS: Final = 300.0
"""So long a host that did not answer is tried after the others."""


class Manners(Struct, frozen=True, cache_hash=True):
    """How we present ourselves and how long we wait.

    Attributes:
        hello: Our name in EHLO.
        sources: Addresses of ours to come from, at most one IPv4 and one IPv6.
        timeouts: Time limits.
        messages: In one session at most.
    """

    hello: str
    sources: tuple[Address, ...] = ()
    timeouts: Timeouts = Timeouts()
    messages: int = MESSAGES_MAX

    def by(self, route: Route) -> "Manners":
        """Return the manners on a route that may have its own."""
        pace = route.pace
        if not (route.hello or route.sources or pace):
            return self
        return structs.replace(
            self,
            hello=route.hello or self.hello,
            sources=route.sources or self.sources,
            messages=pace.messages if pace and pace.messages else self.messages,
        )

    def source_for(self, address: Address) -> Address | None:
        """Our address to reach `address` from; None: as the system chooses."""
        return next((it for it in self.sources if it.version == address.version), None)


class TlsContexts(Struct, frozen=True):
    """How we are a TLS client: with and without looking at the certificate."""

    unverified: ssl.SSLContext
    verified: ssl.SSLContext


def client_contexts(certificates: str | None = None) -> TlsContexts:
    """Return the contexts; `certificates` is a file of trusted ones, None: the system's."""
    verified = ssl.create_default_context(cafile=certificates)
    # Python 3.13 would refuse what other mail servers take: certificates without a key identifier.
    verified.verify_flags &= ~ssl.VERIFY_X509_STRICT
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # opportunistic: better than in the clear (RFC 7435)
    return TlsContexts(unverified, verified)


class Watcher(Protocol):
    """Is told how TLS went with the hosts of domains."""

    def note(
        self,
        domain: str,
        host: Host,
        assurance: Assurance,
        trouble: Trouble | None,
        words: str,
        sending: str = "",
    ) -> None:
        """A session was begun, protected (no trouble) or not as it should be.

        `sending` is our address of it, "" where that is not known.
        """
        ...


class HostFailedError(Exception):
    """A host could not be given mail."""

    def __init__(self, host: Host, error: HostError) -> None:
        super().__init__(str(error))
        self.host = host
        self.error = error


class Key(Struct, frozen=True, cache_hash=True):
    """With whom, and on what terms a session is begun; by it a kept one is found again.

    Attributes:
        name: The host.
        address: Where it is.
        port: TCP port.
        tls: How well protected it must be by the route.
        assured: Basis, records and names that domain and sender demand besides.
        user: Who signs in; "" for nobody.
        manners: How we present ourselves.
    """

    name: str
    address: Address | None
    port: int
    tls: TlsWish
    assured: Hashable
    user: str
    manners: Manners


class Way(Struct, frozen=True):
    """A route with the manners that hold on it, and what its hosts must fulfil.

    Attributes:
        route: The route.
        manners: How we present ourselves on it.
        assured: What domain and sender demand of a host, by its name.
        domain: Of the recipients, where watchers want to know; "" else.
        keys: Of the hosts that were asked for; filled by `key`.
    """

    route: Route
    manners: Manners
    assured: Mapping[str, Assurance] = {}
    domain: str = ""
    keys: dict[Host, Key] = {}

    def assurance(self, host: Host) -> Assurance:
        """What is demanded of a host."""
        return self.assured.get(host.name, OURS)

    def key(self, host: Host) -> Key:
        """Under which a session with a host is kept."""
        if (known := self.keys.get(host)) is not None:
            return known
        user = self.route.sign_in.user if self.route.sign_in else ""
        one = self.assurance(host)
        assured = (one.basis, one.records, one.names)
        key = Key(host.name, host.address, host.port, self.route.tls, assured, user, self.manners)
        self.keys[host] = key
        return key

    async def open(self, host: Host) -> Link:
        """Connect to a host; raises LinkError."""
        manners = self.manners
        if host.address is None:
            return await connect_unix(host.name, seconds=manners.timeouts.connect)
        source = manners.source_for(host.address)
        seconds = manners.timeouts.connect
        return await connect(host.address, host.port, source=source, seconds=seconds)

    def steps(self, host: Host) -> tuple[Terms, ...]:
        """On what terms a session is begun; if TLS fails on some, the next ones are tried."""
        one = self.assurance(host)
        by_mx = isinstance(self.route.via, Exchangers)
        usual = Terms(
            hello=self.manners.hello,
            tls=self.route.tls,
            tls_from_start=host.tls_from_start,
            sign_in=self.route.sign_in,
            other_than=self.manners.hello.lower() if by_mx else "",
            assurance=one,
        )
        never_plain = usual.tls is not TlsWish.OPPORTUNISTIC
        by_route = (usual,) if never_plain else (usual, structs.replace(usual, plain=True))
        verified = structs.replace(usual, tls=TlsWish.VERIFIED)
        match one.basis:
            case Basis.DANE:  # the records vouch, whatever the authorities say
                return (structs.replace(usual, tls=TlsWish.REQUIRED),)
            case Basis.DANE_UNUSABLE if not never_plain:
                return (structs.replace(usual, tls=TlsWish.REQUIRED),)
            case Basis.STS | Basis.REQUIRETLS:
                return (verified,)
            case Basis.STS_TESTING if not one.fault and usual.tls is not TlsWish.VERIFIED:
                return (verified, *by_route)
            case _:
                return by_route


class Openings:
    """Opens sessions, and remembers hosts that do not answer."""

    def __init__(self, contexts: TlsContexts, pool: SessionPool, watcher: Watcher | None) -> None:
        self._contexts = contexts
        self._pool = pool
        self._watcher = watcher
        self._silent: OrderedDict[Host, float] = OrderedDict()  # until when it is tried last

    async def session(self, way: Way, addresses: list[Host]) -> tuple[HopSession, Host]:
        """Return a session with a host, by whichever of its addresses answers.

        Raises:
            HostFailedError: If there is none on terms that are good enough.
        """
        link, host = await self._connect(way, addresses)
        steps, first = way.steps(host), None
        for at, terms in enumerate(steps):
            if at:
                link, host = await self._connect(way, [host])
            try:
                session = await self._begin(link, host, terms, way.manners.timeouts)
            except HostError as error:
                first = first or error
                more = error.fault is Fault.TLS and at + 1 < len(steps)
                if not more or terms.tls_from_start:
                    self._tell(way, host, first, link)
                    raise HostFailedError(host, error) from error
            else:
                self._tell(way, host, first, link)
                return session, host
        raise AssertionError("the last step returns or raises")

    def is_silent(self, host: Host) -> bool:
        """Whether a host did not answer a moment ago."""
        return self._silent.get(host, 0.0) > asyncio.get_running_loop().time()

    def in_order(self, hosts: tuple[Host, ...]) -> list[Host]:
        """Return the hosts as they are to be tried: those that were silent a moment ago last."""
        return sorted(hosts, key=self.is_silent) if self._silent else list(hosts)

    def tell_of_barred(self, way: Way, hosts: Iterable[Host]) -> None:
        """Tell the watcher of hosts that are not used at all."""
        for host in {host.name: host for host in hosts if way.assurance(host).bars}.values():
            self._tell(way, host, None, None)

    async def _connect(self, way: Way, addresses: list[Host]) -> tuple[Link, Host]:
        try:
            link, host = await reach(addresses, way.open)
        except LinkError as error:
            for host in addresses:
                self._note_silent(host)
            fault = HostError("4.4.1", str(error), Fault.CONNECTING)
            raise HostFailedError(addresses[0], fault) from error
        self._silent.pop(host, None)
        return link, host

    async def _begin(self, link: Link, host: Host, terms: Terms, timeouts: Timeouts) -> HopSession:
        verified = terms.tls is TlsWish.VERIFIED
        context = self._contexts.verified if verified else self._contexts.unverified
        session = HopSession(link, host, timeouts)
        begun = False
        try:
            await initiate(session, host, terms, context)
            begun = True
        finally:
            if not begun:
                self._pool.end(session)
        return session

    def _tell(self, way: Way, host: Host, error: HostError | None, link: Link | None) -> None:
        """Tell the watcher of one session at most once; faults that are not of TLS are not told."""
        if self._watcher is None or not way.domain or host.address is None:
            return
        one = way.assurance(host)
        trouble, words = one.trouble, one.fault
        if error is not None:
            trouble, words = error.trouble, str(error)
            if trouble is None:
                return
        elif link is not None and not link.is_encrypted:
            trouble, words = Trouble.NO_STARTTLS, ""
        ours = str(link.local_address or "") if link is not None else ""
        self._watcher.note(way.domain, host, one, trouble, words, ours)

    def _note_silent(self, host: Host) -> None:
        self._silent[host] = asyncio.get_running_loop().time() + SILENT_SECONDS
        self._silent.move_to_end(host)
        while len(self._silent) > SILENT_HOSTS_MAX:
            self._silent.popitem(last=False)
