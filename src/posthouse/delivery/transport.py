"""Handing a message to the next hop: hosts in turn, sessions used again, outcomes as values."""

from collections.abc import Awaitable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Final

from posthouse.delivery.attempt import Attempt
from posthouse.delivery.content import Content
from posthouse.delivery.hop_session import HopSession
from posthouse.delivery.host_errors import Fault
from posthouse.delivery.next_hosts import Host, HostFinder
from posthouse.delivery.opening import (
    HostFailedError,
    Key,
    Manners,
    Openings,
    TlsContexts,
    Watcher,
    Way,
)
from posthouse.delivery.outcomes import Deferred, Failed, Outcome
from posthouse.delivery.pool import SessionPool
from posthouse.delivery.routes import Exchangers, Route, SmartHost, SmartHosts
from posthouse.delivery.security import Security
from posthouse.delivery.tls_terms import Basis
from posthouse.mail.address import NULL, Mailbox
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.spool.records import RecipientState, Work

KEPT_SESSIONS_TRIED_MAX: Final = 3
WAYS_MAX: Final = 1000


class Transport:
    """Delivers to other servers. Many attempts may run at the same time."""

    def __init__(
        self,
        hosts: HostFinder,
        manners: Manners,
        contexts: TlsContexts,
        pool: SessionPool | None = None,
        *,
        security: Security | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """Take what is needed; without `security` only routes say how much TLS there must be."""
        self._hosts = hosts
        self._manners = manners
        self._pool = pool or SessionPool()
        self._openings = Openings(contexts, self._pool, watcher)
        self._security = security
        self._ways: dict[int, Way] = {}

    def deliver(self, route: Route, work: Work, content: Content) -> Awaitable[dict[int, Outcome]]:
        """Try once to hand `work` to the next hop; by place in the envelope.

        A recipient whose session broke off is tried at the next host; one that was answered is
        not, whatever the answer. After the final dot nothing is tried elsewhere in this attempt.
        """
        return self._deliver(route, Attempt(work, content))

    async def _deliver(self, route: Route, attempt: Attempt) -> dict[int, Outcome]:
        assert isinstance(route.via, Exchangers | SmartHost | SmartHosts)
        found = await self._hosts.find(route.via, attempt.destination)
        if isinstance(found, Deferred | Failed):
            return attempt.all_others(found)
        way = await self._way(route, attempt, found)
        hosts = attempt.without_faulty(self._openings.in_order(found), way)
        for session, key in self._kept(attempt, way, hosts):
            await self._send(attempt, session, key)
            if not attempt.open:
                return attempt.outcomes
        await self._send_by_new(attempt, way, hosts)
        return attempt.all_others(attempt.last_trouble)

    async def _way(self, route: Route, attempt: Attempt, found: tuple[Host, ...]) -> Way:
        """The route with what domain and sender demand."""
        must = attempt.requiretls
        security = self._security
        if security is None or not (must or security.has_a_say(route, found)):
            return self._way_by_route(route)
        assured = await security.assure(route, attempt.destination, found, requiretls=must)
        demanded = any(one.basis is not Basis.ROUTE for one in assured.values())
        if demanded and not must and await attempt.wants_less():
            return self._way_by_route(route)
        told = isinstance(route.via, Exchangers) and not must and not attempt.made_here
        domain = attempt.destination if told else ""
        way = Way(route, self._manners.by(route), assured, domain)
        self._openings.tell_of_barred(way, found)
        return way

    def _way_by_route(self, route: Route) -> Way:
        """The way where only the route demands something; it is made once."""
        way = self._ways.get(id(route))
        if way is None or way.route is not route:
            if len(self._ways) >= WAYS_MAX:  # routes of an earlier configuration
                self._ways.clear()
            way = self._ways[id(route)] = Way(route, self._manners.by(route))
        return way

    async def probe(self, route: Route, mailbox: Mailbox, at: datetime) -> Outcome:
        """Ask whether a recipient would be taken, without sending anything (null reverse-path)."""
        envelope = Envelope(NULL, (Recipient(mailbox),), at)
        state = RecipientState(0, mailbox.domain, "waiting", 0, at)
        work = Work("", mailbox.domain, envelope, 0, (state,))
        outcomes = await self._deliver(route, Attempt(work, Content(_Nothing(), "", 0), probe=True))
        return outcomes[0]

    async def close(self) -> None:
        """End the sessions that are kept."""
        await self._pool.close()

    # ---------------------------------------------------------------- one host

    def _kept(
        self, attempt: Attempt, way: Way, hosts: list[Host]
    ) -> Iterator[tuple[HopSession, Key]]:
        """Take sessions that are open already, of the best hosts only, one after another."""
        if not hosts:
            return
        best = hosts[0].preference
        keys = [way.key(host) for host in hosts if host.preference == best]
        messages, behind = way.manners.messages, attempt.may_follow
        for _ in range(KEPT_SESSIONS_TRIED_MAX):
            for key in keys:
                if (session := self._pool.take(key, messages, behind=behind)) is not None:
                    yield session, key
                    break
            else:
                break

    async def _send_by_new(self, attempt: Attempt, way: Way, hosts: list[Host]) -> None:
        """Send by sessions that are opened for it, to one host after another."""
        for _, addresses in groupby(hosts, key=lambda it: (it.name, it.port)):
            await self._send_to(attempt, way, list(addresses))
            if not attempt.open:
                break

    async def _send_to(self, attempt: Attempt, way: Way, addresses: list[Host]) -> None:
        """Send to one host, by whichever of its addresses answers, while something is open."""
        while attempt.open and addresses:
            try:
                session, host = await self._openings.session(way, addresses)
            except HostFailedError as failure:
                addresses.remove(failure.host)
                attempt.failed_at(failure.host, failure.error)
                if failure.error.fault is Fault.CONNECTING:  # all of them were tried together
                    break
                continue
            addresses.remove(host)
            key = way.key(host)
            self._pool.add(key, session)
            await self._send(attempt, session, key)

    async def _send(self, attempt: Attempt, session: HopSession, key: Key) -> None:
        """Send what is still open by this session, and give the session back."""
        try:
            while attempt.open and not session.over:
                batch = await attempt.batch_for(session)
                if batch is None:
                    break
                attempt.note(batch, await session.send(batch.outgoing, batch.content), session)
        finally:
            self._pool.give_back(key, session, key.manners.messages)


class _Nothing:
    """The source of no content."""

    def content(self, message_id: str) -> Iterator[bytes]:
        del message_id
        return iter(())
