"""TLS on the way out: what other domains demand, and what they are told."""

import asyncio

from posthouse.config.schema import Configuration
from posthouse.delivery.next_hosts import HostFinder
from posthouse.delivery.opening import Manners, TlsContexts
from posthouse.delivery.security import Security
from posthouse.delivery.sts_policies import StsPolicies
from posthouse.delivery.tls_report import Submitter
from posthouse.delivery.tls_reporter import TlsReporter
from posthouse.delivery.tls_results import TlsResults
from posthouse.delivery.transport import Transport
from posthouse.delivery.web import connector
from posthouse.mail.envelope import Envelope
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
        directory = ground.stores.directory
        web = Https(connector(ground.resolver), tls.verified)
        self._policies = StsPolicies(
            ground.resolver, web, directory / "mta_sts.json", now=ground.now
        )
        self.security = Security(ground.resolver, self._policies)
        self.results = TlsResults(directory / "tls_results.json", now=ground.now)
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
        self._reporting: asyncio.Task[None] | None = None
        self.use(configuration)

    def transport(self, hosts: HostFinder, manners: Manners) -> Transport:
        """Return what delivers to other servers as they demand it."""
        return Transport(
            hosts, manners, self._contexts, security=self.security, watcher=self.results
        )

    def use(self, configuration: Configuration) -> None:
        """Take another configuration."""
        self.security.dane = configuration.outbound.dane
        self.security.mta_sts = configuration.outbound.mta_sts
        self.results.counting = configuration.tls_reports.send
        self._reporter.submitter = submitter_of(configuration)

    def start(self) -> None:
        """Begin to report."""
        self._reporting = asyncio.create_task(self._reporter.run())

    async def stop(self) -> None:
        """End; what was counted is saved."""
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
        await self._policies.close()
        await self._reporter.save()


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
