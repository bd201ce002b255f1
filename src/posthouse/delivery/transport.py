"""Handing a message to the next hop: hosts in turn, sessions used again, outcomes as values."""

import asyncio
import ssl
from collections import OrderedDict
from typing import Final

from msgspec import Struct, structs

from posthouse.delivery.content import Content
from posthouse.delivery.hop_session import Fault, HopSession, HostError, Sent, Terms, Timeouts
from posthouse.delivery.link import Address, LinkError, connect
from posthouse.delivery.next_hosts import Host, HostFinder
from posthouse.delivery.outcomes import Deferred, Failed, Outcome, outcome_of
from posthouse.delivery.pool import Key, SessionPool
from posthouse.delivery.routes import Exchangers, Route, SmartHost, TlsWish
from posthouse.mail.envelope import Notify, Recipient
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.outgoing import Outgoing, obstacle
from posthouse.spool.records import Work

SILENT_HOSTS_MAX: Final = 1000
SILENT_SECONDS: Final = 300.0
"""So long a host that did not answer is tried after the others."""
KEPT_SESSIONS_TRIED_MAX: Final = 3
RECIPIENTS_MAX: Final = 100
"""Recipients in one transaction: as many as every host must take (RFC 5321 §4.5.3.1.8)."""
NOT_ACKNOWLEDGED: Final = (
    "the connection ended after the whole message was sent and before it was acknowledged: it is "
    "sent again and may arrive twice"
)

NOT_INTERNATIONAL: Final = (
    "the address has letters beyond ASCII, and the next mail server does not support them "
    "(SMTPUTF8)"
)


class Manners(Struct, frozen=True):
    """How we present ourselves and how long we wait.

    Attributes:
        hello: Our name in EHLO.
        sources: Addresses of ours to come from, at most one IPv4 and one IPv6.
        timeouts: Time limits.
    """

    hello: str
    sources: tuple[Address, ...] = ()
    timeouts: Timeouts = Timeouts()

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
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # opportunistic: better than in the clear (RFC 7435)
    return TlsContexts(unverified, verified)


class Transport:
    """Delivers to other servers. Many attempts may run at the same time."""

    def __init__(
        self,
        hosts: HostFinder,
        manners: Manners,
        contexts: TlsContexts,
        pool: SessionPool | None = None,
    ) -> None:
        self._hosts = hosts
        self._manners = manners
        self._contexts = contexts
        self._pool = pool or SessionPool()
        self._silent: OrderedDict[Host, float] = OrderedDict()  # until when it is tried last

    async def deliver(self, route: Route, work: Work, content: Content) -> dict[int, Outcome]:
        """Try once to hand `work` to the next hop; by place in the envelope.

        A recipient whose session broke off is tried at the next host; one that was answered is
        not, whatever the answer. After the final dot nothing is tried elsewhere in this attempt.
        """
        assert isinstance(route.via, Exchangers | SmartHost)
        attempt = _Attempt(work, content)
        key = _key(route, work.destination)
        for _ in range(KEPT_SESSIONS_TRIED_MAX):
            if not attempt.open or (kept := self._pool.take(key)) is None:
                break
            await self._send(attempt, kept, key)
        if not attempt.open:
            return attempt.outcomes
        found = await self._hosts.find(route.via, work.destination)
        if isinstance(found, Deferred | Failed):
            return attempt.all_others(found)
        for host in sorted(found, key=self._is_silent):
            if (session := await self._session(attempt, route, host)) is not None:
                await self._send(attempt, session, key)
            if not attempt.open:
                break
        return attempt.all_others(attempt.trouble)

    async def close(self) -> None:
        """End the sessions that are kept."""
        await self._pool.close()

    # ---------------------------------------------------------------- one host

    async def _session(self, attempt: "_Attempt", route: Route, host: Host) -> HopSession | None:
        """A session with a host; in opportunistic mode without TLS if it fails with it."""
        terms = self._terms(route)
        try:
            return await self._open(host, terms, route)
        except HostError as error:
            again = error.fault is Fault.TLS and route.tls is TlsWish.OPPORTUNISTIC
            if not again or terms.tls_from_start:
                attempt.failed_at(host, error)
                return None
        try:
            return await self._open(host, structs.replace(terms, plain=True), route)
        except HostError as error:
            attempt.failed_at(host, error)
            return None

    async def _open(self, host: Host, terms: Terms, route: Route) -> HopSession:
        manners, verified = self._manners, route.tls is TlsWish.VERIFIED
        context = self._contexts.verified if verified else self._contexts.unverified
        try:
            link = await connect(
                host.address,
                host.port,
                source=manners.source_for(host.address),
                seconds=manners.timeouts.connect,
            )
        except LinkError as error:
            self._note_silent(host)
            raise HostError("4.4.1", str(error)) from error
        self._silent.pop(host, None)
        session = HopSession(link, host.name, host.address, manners.timeouts)
        begun = False
        try:
            await session.begin(terms, context)
            begun = True
        finally:
            if not begun:
                self._pool.end(session)
        return session

    async def _send(self, attempt: "_Attempt", session: HopSession, key: Key) -> None:
        """Send what is still open by this session, and put the session back."""
        sent = False
        try:
            while not session.over and (batch := attempt.batch_for(session)):
                attempt.note(batch, await session.send(batch.outgoing, attempt.content), session)
            sent = True
        finally:
            if sent:
                self._pool.keep(key, session)
            else:
                self._pool.end(session)

    def _terms(self, route: Route) -> Terms:
        by_mx = isinstance(route.via, Exchangers)
        return Terms(
            hello=self._manners.hello,
            tls=route.tls,
            tls_from_start=isinstance(route.via, SmartHost) and route.via.tls_from_start,
            sign_in=route.sign_in,
            other_than=self._manners.hello.lower() if by_mx else "",
        )

    def _is_silent(self, host: Host) -> bool:
        return self._silent.get(host, 0.0) > asyncio.get_running_loop().time()

    def _note_silent(self, host: Host) -> None:
        self._silent[host] = asyncio.get_running_loop().time() + SILENT_SECONDS
        self._silent.move_to_end(host)
        while len(self._silent) > SILENT_HOSTS_MAX:
            self._silent.popitem(last=False)


class _Batch(Struct, frozen=True):
    """What is asked for in one transaction, and the places of its recipients in the envelope."""

    outgoing: Outgoing
    places: tuple[int, ...]


class _Attempt:
    """One work on its way: what is decided, what is open, and the last trouble."""

    def __init__(self, work: Work, content: Content) -> None:
        self.content = content
        self.outcomes: dict[int, Outcome] = {}
        self.trouble: Deferred | Failed = Deferred("4.4.1", "no host could be tried")
        self._work = work

    @property
    def open(self) -> tuple[int, ...]:
        """Places of the recipients without an outcome."""
        return tuple(place for place in self._work.indices if place not in self.outcomes)

    def all_others(self, outcome: Outcome) -> dict[int, Outcome]:
        """The outcomes, where `outcome` is that of all that are open."""
        return {place: self.outcomes.get(place, outcome) for place in self._work.indices}

    def failed_at(self, host: Host, error: HostError) -> None:
        """No message could be given to this host."""
        where = f"{host.name} [{host.address}]"
        if error.fault is Fault.LOOP:
            self.trouble = Failed(error.status, str(error), where)
        else:
            self.trouble = Deferred(error.status, str(error), where, unreachable=True)

    def batch_for(self, session: HopSession) -> _Batch | None:
        """What this host can be asked for; the others fail, and are decided now."""
        if not self.open:
            return None
        envelope, extensions = self._work.envelope, session.extensions
        utf8 = envelope.smtputf8 and not self.content.header.octets.isascii()
        places = self.open
        if not extensions.smtputf8 and not utf8:
            foreign = [at for at in places if not envelope.recipients[at].mailbox.is_ascii]
            self.outcomes |= dict.fromkeys(foreign, Failed("5.6.7", NOT_INTERNATIONAL))
            places = tuple(at for at in places if at not in foreign)
        places = places[:RECIPIENTS_MAX]
        outgoing = Outgoing(
            reverse_path=envelope.reverse_path,
            recipients=tuple(envelope.recipients[at] for at in places),
            octets=self.content.octets,
            body=envelope.body,
            smtputf8=utf8,
            envelope_id=envelope.envelope_id,
            return_content=envelope.return_content,
        )
        if not outgoing.recipients:
            return None
        if (refusal := obstacle(outgoing, extensions)) is not None:
            words = f"{refusal.text}: {session.host}"
            self.outcomes |= dict.fromkeys(places, Failed(refusal.status, words))
            return None
        return _Batch(outgoing, places)

    def note(self, batch: _Batch, sent: Sent, session: HopSession) -> None:
        """Take the result of a transaction.

        Of recipients that were too many for one transaction (452, RFC 5321 §4.5.3.1.10), those
        that were not taken stay open for the next one.
        """
        some_taken = any(reply is not None and reply.is_positive for reply in sent.replies)
        for place, recipient, reply in zip(
            batch.places, batch.outgoing.recipients, sent.replies, strict=True
        ):
            if reply is not None and reply.code == 452 and some_taken:
                continue
            if reply is not None:
                self.outcomes[place] = _outcome(reply, recipient, session)
            elif sent.ambiguous:
                words = f"{NOT_ACKNOWLEDGED} ({sent.lost})"
                self.outcomes[place] = Deferred("4.4.2", words, session.host)
        if sent.lost:
            self.trouble = Deferred("4.4.2", sent.lost, session.host, unreachable=not sent.heard)


def _outcome(reply: Reply, recipient: Recipient, session: HopSession) -> Outcome:
    reports = session.extensions.dsn and Notify.SUCCESS in recipient.notify
    return outcome_of(reply, session.host, reports=reports)


def _key(route: Route, domain: str) -> Key:
    user = route.sign_in.user if route.sign_in else ""
    return (route.hop(domain), route.tls, user)
