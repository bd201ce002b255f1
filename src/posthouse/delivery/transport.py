"""Handing a message to the next hop: hosts in turn, sessions used again, outcomes as values."""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Final

from msgspec import Struct, structs

from posthouse.delivery.content import Content
from posthouse.delivery.hop_session import Fault, HopSession, HostError, Sent, Terms, Timeouts
from posthouse.delivery.link import Address, Link, LinkError, connect, connect_unix
from posthouse.delivery.next_hosts import Host, HostFinder
from posthouse.delivery.outcomes import Deferred, Failed, Outcome, Speaker, outcome_of
from posthouse.delivery.pool import MESSAGES_MAX, Key, SessionPool
from posthouse.delivery.reaching import reach
from posthouse.delivery.routes import Exchangers, Route, SmartHost, SmartHosts, TlsWish
from posthouse.mail.address import NULL, Mailbox
from posthouse.mail.envelope import Envelope, Notify, Recipient
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.outgoing import Outgoing, obstacle
from posthouse.spool.records import RecipientState, Work

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
        messages: In one session at most.
    """

    hello: str
    sources: tuple[Address, ...] = ()
    timeouts: Timeouts = Timeouts()
    messages: int = MESSAGES_MAX

    def by(self, route: Route) -> "Manners":
        """Return the manners on a route that may have its own."""
        pace = route.pace
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
        return await self._deliver(route, _Attempt(work, content))

    async def _deliver(self, route: Route, attempt: "_Attempt") -> dict[int, Outcome]:
        assert isinstance(route.via, Exchangers | SmartHost | SmartHosts)
        found = await self._hosts.find(route.via, attempt.destination)
        if isinstance(found, Deferred | Failed):
            return attempt.all_others(found)
        hosts = sorted(found, key=self._is_silent)
        way = _Way(route, self._manners.by(route))
        await self._send_by_kept(attempt, way, hosts)
        for _, addresses in groupby(hosts, key=lambda it: (it.name, it.port)):
            await self._send_to(attempt, way, list(addresses))
            if not attempt.open:
                break
        return attempt.all_others(attempt.trouble)

    async def probe(self, route: Route, mailbox: Mailbox, at: datetime) -> Outcome:
        """Ask whether a recipient would be taken, without sending anything (null reverse-path)."""
        envelope = Envelope(NULL, (Recipient(mailbox),), at)
        state = RecipientState(0, mailbox.domain, "waiting", 0, at)
        work = Work("", mailbox.domain, envelope, 0, (state,))
        outcomes = await self._deliver(
            route, _Attempt(work, Content(_Nothing(), "", 0), probe=True)
        )
        return outcomes[0]

    async def close(self) -> None:
        """End the sessions that are kept."""
        await self._pool.close()

    # ---------------------------------------------------------------- one host

    async def _send_by_kept(self, attempt: "_Attempt", way: "_Way", hosts: list[Host]) -> None:
        """Send by sessions that are open already, to the best hosts only."""
        best = [host for host in hosts if host.preference == hosts[0].preference]
        for _ in range(KEPT_SESSIONS_TRIED_MAX):
            if not attempt.open:
                break
            keys = (way.key(host) for host in best)
            kept = next(((key, it) for key in keys if (it := self._pool.take(key))), None)
            if kept is None:
                break
            await self._send(attempt, kept[1], kept[0], way)

    async def _send_to(self, attempt: "_Attempt", way: "_Way", addresses: list[Host]) -> None:
        """Send to one host, by whichever of its addresses answers, while something is open."""
        while attempt.open and addresses:
            try:
                session, host = await self._session(way, addresses)
            except _HostFailedError as failure:
                addresses.remove(failure.host)
                attempt.failed_at(failure.host, failure.error)
                if failure.error.fault is Fault.CONNECTING:  # all of them were tried together
                    break
                continue
            addresses.remove(host)
            await self._send(attempt, session, way.key(host), way)

    async def _session(self, way: "_Way", addresses: list[Host]) -> tuple[HopSession, Host]:
        """A session with a host; in opportunistic mode without TLS if it fails with it."""
        link, host = await self._connect(way, addresses)
        terms = way.terms(host)
        try:
            return await self._begin(link, host, terms), host
        except HostError as error:
            again = error.fault is Fault.TLS and terms.tls is TlsWish.OPPORTUNISTIC
            if not again or terms.tls_from_start:
                raise _HostFailedError(host, error) from error
        link, host = await self._connect(way, [host])
        try:
            return await self._begin(link, host, structs.replace(terms, plain=True)), host
        except HostError as error:
            raise _HostFailedError(host, error) from error

    async def _connect(self, way: "_Way", addresses: list[Host]) -> tuple[Link, Host]:
        try:
            link, host = await reach(addresses, way.open)
        except LinkError as error:
            for host in addresses:
                self._note_silent(host)
            fault = HostError("4.4.1", str(error), Fault.CONNECTING)
            raise _HostFailedError(addresses[0], fault) from error
        self._silent.pop(host, None)
        return link, host

    async def _begin(self, link: Link, host: Host, terms: Terms) -> HopSession:
        verified = terms.tls is TlsWish.VERIFIED
        context = self._contexts.verified if verified else self._contexts.unverified
        session = HopSession(link, host, self._manners.timeouts)
        begun = False
        try:
            await session.begin(terms, context)
            begun = True
        finally:
            if not begun:
                self._pool.end(session)
        return session

    async def _send(self, attempt: "_Attempt", session: HopSession, key: Key, way: "_Way") -> None:
        """Send what is still open by this session, and put the session back."""
        sent = False
        try:
            while not session.over and (batch := attempt.batch_for(session)):
                attempt.note(batch, await session.send(batch.outgoing, attempt.content), session)
            sent = True
        finally:
            if sent:
                self._pool.keep(key, session, way.manners.messages)
            else:
                self._pool.end(session)

    def _is_silent(self, host: Host) -> bool:
        return self._silent.get(host, 0.0) > asyncio.get_running_loop().time()

    def _note_silent(self, host: Host) -> None:
        self._silent[host] = asyncio.get_running_loop().time() + SILENT_SECONDS
        self._silent.move_to_end(host)
        while len(self._silent) > SILENT_HOSTS_MAX:
            self._silent.popitem(last=False)


class _Nothing:
    """The source of no content."""

    def content(self, message_id: str) -> Iterator[bytes]:
        del message_id
        return iter(())


class _HostFailedError(Exception):
    """A host could not be given mail."""

    def __init__(self, host: Host, error: HostError) -> None:
        super().__init__(str(error))
        self.host = host
        self.error = error


class _Way(Struct, frozen=True):
    """A route with the manners that hold on it."""

    route: Route
    manners: Manners

    def key(self, host: Host) -> Key:
        """Under which a session with a host is kept: who, and on what terms."""
        user = self.route.sign_in.user if self.route.sign_in else ""
        return (host.name, host.address, host.port, self.route.tls, user, self.manners)

    async def open(self, host: Host) -> Link:
        """Connect to a host; raises LinkError."""
        manners = self.manners
        if host.address is None:
            return await connect_unix(host.name, seconds=manners.timeouts.connect)
        source = manners.source_for(host.address)
        seconds = manners.timeouts.connect
        return await connect(host.address, host.port, source=source, seconds=seconds)

    def terms(self, host: Host) -> Terms:
        """On what terms a session is begun."""
        by_mx = isinstance(self.route.via, Exchangers)
        return Terms(
            hello=self.manners.hello,
            tls=self.route.tls,
            tls_from_start=host.tls_from_start,
            sign_in=self.route.sign_in,
            other_than=self.manners.hello.lower() if by_mx else "",
        )


class _Batch(Struct, frozen=True):
    """What is asked for in one transaction, and the places of its recipients in the envelope."""

    outgoing: Outgoing
    places: tuple[int, ...]


class _Attempt:
    """One work on its way: what is decided, what is open, and the last trouble."""

    def __init__(self, work: Work, content: Content, *, probe: bool = False) -> None:
        self.content = content
        self.destination = work.destination
        self._probe = probe
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
        where = str(host)
        if error.fault is Fault.LOOP:
            self.trouble = Failed(error.status, str(error), where)
        else:
            self.trouble = Deferred(
                error.status,
                str(error),
                where,
                unreachable=not error.busy,
                slow_down=error.busy,
            )

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
            octets=None if self._probe else self.content.octets,
            body=envelope.body,
            smtputf8=utf8,
            envelope_id=envelope.envelope_id,
            return_content=envelope.return_content,
            probe=self._probe,
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
            if reply is not None and reply.code == 452 and some_taken and not session.is_lmtp:
                continue
            if reply is not None:
                self.outcomes[place] = _outcome(reply, recipient, session)
            elif sent.ambiguous:
                words = f"{NOT_ACKNOWLEDGED} ({sent.lost})"
                self.outcomes[place] = Deferred(
                    "4.4.2", words, session.host, tls=session.protection
                )
        if sent.lost:
            self.trouble = Deferred(
                "4.4.2",
                sent.lost,
                session.host,
                unreachable=not (sent.heard or sent.busy),
                tls=session.protection,
                slow_down=sent.busy,
            )


def _outcome(reply: Reply, recipient: Recipient, session: HopSession) -> Outcome:
    reports = session.extensions.dsn and Notify.SUCCESS in recipient.notify
    final = session.is_lmtp
    return outcome_of(reply, Speaker(session.host, session.protection, reports, final))
