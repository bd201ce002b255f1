"""TLS on the way out: what other domains demand, and what they are told."""

import asyncio
from ipaddress import ip_address

from posthouse.accounts.notices import Board, Notice
from posthouse.config.schema import Configuration
from posthouse.delivery.next_hosts import Host, HostFinder
from posthouse.delivery.opening import Manners, TlsContexts, Watcher
from posthouse.delivery.security import Security
from posthouse.delivery.sts_policies import Kept, StsPolicies
from posthouse.delivery.tls_report import Submitter
from posthouse.delivery.tls_reporter import TlsReporter
from posthouse.delivery.tls_results import TlsResults
from posthouse.delivery.tls_terms import Assurance, Trouble
from posthouse.delivery.transport import Transport
from posthouse.delivery.web import connector
from posthouse.mail.envelope import Envelope
from posthouse.server.crew import Worker
from posthouse.server.ground import Ground
from posthouse.spool.records import StorageError
from posthouse.spool.spool import Spool
from posthouse.wire.https import Https


class Protection:
    """DANE, MTA-STS and the reports about TLS.

    Attributes:
        security: Knows what domains demand.
        results: Counts how TLS went.
    """

    def __init__(self, configuration: Configuration, ground: Ground, tls: TlsContexts) -> None:
        self._contexts = tls
        directory, worker = ground.stores.directory, ground.worker
        web = Https(connector(ground.resolver), tls.verified)
        self._policies = StsPolicies(
            ground.resolver,
            web,
            directory / "mta_sts.json",
            now=ground.now,
            saves=worker.is_first,
        )
        share_policies(worker, self._policies)
        self.security = Security(ground.resolver, self._policies)
        self.results = TlsResults(worker.own(directory / "tls_results.json"), now=ground.now)
        self._watcher = watcher_of(worker, self.results)
        self._reporter = TlsReporter(
            self.results,
            ground.resolver,
            web,
            HandIn(ground.stores.spool).hand,
            submitter_of(configuration),
            new_id=ground.stores.spool.new_id,
            now=ground.now,
            log=ground.log,
        )
        self._reports = worker.is_first
        self._reporting: asyncio.Task[None] | None = None
        self.use(configuration)

    def transport(self, hosts: HostFinder, manners: Manners) -> Transport:
        """Return what delivers to other servers as they demand it."""
        return Transport(
            hosts, manners, self._contexts, security=self.security, watcher=self._watcher
        )

    def use(self, configuration: Configuration) -> None:
        """Take another configuration."""
        self.security.dane = configuration.outbound.dane
        self.security.mta_sts = configuration.outbound.mta_sts
        self.results.counting = configuration.tls_reports.send
        self._reporter.submitter = submitter_of(configuration)

    def start(self) -> None:
        """Begin to report, in the first worker."""
        if not self._reports:
            return
        self._reporting = asyncio.create_task(self._reporter.run())

    async def stop(self) -> None:
        """End; what was counted is saved."""
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
        await self._policies.close()
        await self._reporter.save()


class TlsSeen(Notice, frozen=True):
    """Another worker had a session with a server; see `opening.Watcher`."""

    domain: str
    host: str
    address: str
    port: int
    assurance: Assurance
    trouble: Trouble | None
    words: str
    sending: str = ""


class PolicyKept(Notice, frozen=True):
    """Another worker fetched an MTA-STS policy."""

    domain: str
    kept: Kept


def share_policies(worker: Worker, policies: StsPolicies) -> None:
    """Let all workers hold domains to a policy that one of them has seen."""
    board = worker.board
    if board is not None:
        policies.tell = lambda domain, kept: board.post(PolicyKept(domain, kept))
        board.hear(PolicyKept, lambda _, it: policies.learn(it.domain, it.kept))


def watcher_of(worker: Worker, results: TlsResults) -> Watcher:
    """Return who counts sessions with others: the first worker, for all of them."""
    board = worker.board
    if board is None:
        return results
    if not worker.is_first:
        return ElsewhereCounted(board, results)

    def hear(_: int, it: TlsSeen) -> None:
        if not board.replaying:  # else it was counted before this process began
            address = ip_address(it.address) if it.address else None
            host = Host(it.host, address, it.port)
            results.note(it.domain, host, it.assurance, it.trouble, it.words)

    board.hear(TlsSeen, hear)
    return results


class ElsewhereCounted:
    """Has the first worker count how TLS went."""

    def __init__(self, board: Board, results: TlsResults) -> None:
        self._board = board
        self._results = results

    def note(
        self,
        domain: str,
        host: Host,
        assurance: Assurance,
        trouble: Trouble | None,
        words: str,
        sending: str = "",
    ) -> None:
        """Tell of one session."""
        if self._results.counting:
            address = str(host.address or "")
            self._board.post(
                TlsSeen(domain, host.name, address, host.port, assurance, trouble, words, sending)
            )


class HandIn:
    """Where messages of our own are handed in."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    async def hand(self, message_id: str, envelope: Envelope, content: bytes) -> None:
        """Give a message to the spool, and return when it is safe; raises StorageError."""
        loop = asyncio.get_running_loop()
        safe: asyncio.Future[None] = loop.create_future()

        def settle(trouble: StorageError | None) -> None:
            if safe.done():
                return
            if trouble is None:
                safe.set_result(None)
            else:
                safe.set_exception(trouble)

        intake = self._spool.open_intake()
        intake.write(content)

        def done(trouble: StorageError | None) -> None:
            loop.call_soon_threadsafe(settle, trouble)

        intake.commit(envelope, id=message_id, done=done)
        await safe


def submitter_of(configuration: Configuration) -> Submitter:
    """Return who reports."""
    reports, hostname = configuration.tls_reports, configuration.hostname
    author = reports.author or configuration.postmaster_mailbox
    return Submitter(hostname, author, reports.organization or hostname)
