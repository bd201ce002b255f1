"""A server from a configuration: the only place that knows how all concrete parts fit together."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from posthouse.accounts.store import Grant, StoreError
from posthouse.config.compile import compile_rules
from posthouse.config.load import Loaded
from posthouse.config.schema import Configuration, HostName
from posthouse.delivery.long_lines import LongLines
from posthouse.dns.resolver import Resolver
from posthouse.dns.servers import ServerAddress, system_servers
from posthouse.dns.watched import Watch, WatchedNames
from posthouse.mail.address import parse_mailbox
from posthouse.policy.rules import Rules
from posthouse.server.clock import ClockGuard, SteadyClock
from posthouse.server.entrances import Entrances, Share
from posthouse.server.ground import Ground
from posthouse.server.housekeeping import Chore, Housekeeping, StorageWatch, tidy_spool
from posthouse.server.incoming import Incoming
from posthouse.server.legacies import Legacies
from posthouse.server.outgoing import PostOffice, outgoing, read_routes, recipient_rules
from posthouse.server.shadowing import shadow_of
from posthouse.server.sources import sources_of
from posthouse.server.stores import Stores
from posthouse.server.tls import CertificateError, Certificates, own_certificate
from posthouse.server.troubles import EXIT_CONFIGURATION, StartError
from posthouse.server.turn import LoopTurn
from posthouse.sessions.granted import doors_of
from posthouse.sessions.pop3_service import OpenSession
from posthouse.sessions.shadow import Shadow
from posthouse.telemetry.events import LogEvent, Noted, StoreFailed

GRANTS_SECONDS: Final = 1.0
NOTICES_SECONDS: Final = 1.0
LEFT_SECONDS: Final = 60.0  # between tries to take over what could not be
CERTIFICATE_SECONDS: Final = 60.0
SPOOL_SECONDS: Final = 3600.0
STORAGE_SECONDS: Final = 1.0
CLOCK_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.05  # at sessions that end, while stopping


class Server:
    """Everything that runs, between `start` and `stop`; made on the loop that runs it.

    Attributes:
        loaded: The configuration in force.
        stores: What keeps.
        incoming: Services for the listeners.
        dispatcher: Deliveries.
        entrances: Sockets.
        legacies: What workers left that are no more.
        started: When.
    """

    def __init__(
        self,
        loaded: Loaded,
        base: Path,
        stores: Stores,
        *,
        now: Callable[[], datetime],
        log: Callable[[LogEvent], None],
        certificates: Certificates | None = None,
    ) -> None:
        """Put it together.

        Args:
            loaded: The configuration.
            base: Where relative paths in it count from.
            stores: Opened for its storage directory.
            now: The clock.
            log: Takes events; never blocks.
            certificates: Read already, perhaps by root; None: ours from the storage.

        Raises:
            StartError: If the certificate or a password file cannot be used.
        """
        self.loaded = loaded
        self.base = base
        self.stores = stores
        self.started = now()
        self.now = now
        self.log = log
        self.worker = stores.worker
        self._grants: tuple[Grant, ...] = stores.accounts.grants()
        self.certificates = certificates or self._certificates(loaded.configuration)
        resolver = resolver_of(loaded.configuration)
        ground = Ground(stores, base, self.maildir_of, now, log, resolver)
        self._office = PostOffice(ground, loaded.configuration)
        self._join_halves(ground)
        self.incoming.smtp.recorder.shadow = self._shadow(loaded)
        self.legacies = Legacies(stores, now, log)
        self._housekeeping = Housekeeping(self._chores(), log)
        self.entrances = Entrances(self.incoming.protocol)

    def _chores(self) -> tuple[Chore, ...]:
        board = self.worker.board
        together = () if board is None else (Chore(NOTICES_SECONDS, self._hear_others),)
        once_for_all = (Chore(LEFT_SECONDS, self.legacies.begin),) if self.worker.is_first else ()
        return (
            *together,
            *once_for_all,
            Chore(GRANTS_SECONDS, self.use_changed_grants),
            Chore(CERTIFICATE_SECONDS, self.renew_certificate),
            Chore(SPOOL_SECONDS, self._tidy_spool, blocks=True),
            Chore(STORAGE_SECONDS, StorageWatch(self.stores.spool, self.log).look),
            *self._clock_chores(),
        )

    def _clock_chores(self) -> tuple[Chore, ...]:
        if not isinstance(self.now, SteadyClock):
            return ()
        guard = ClockGuard(self.now, self.stores.spool, self.log)
        return (Chore(CLOCK_SECONDS, guard.look, blocks=True),)

    def _join_halves(self, ground: Ground) -> None:
        """Build what takes mail and what delivers it; they meet in the spool."""
        configuration = self.loaded.configuration
        self.watched = WatchedNames(
            ground.resolver,
            watches_of(configuration),
            path=self.stores.directory / "watched.json",
            now=self.now,
            saves=self.worker.is_first,
        )
        rules, tls = self._compile(self.loaded), self.certificates.context
        self.incoming = Incoming(configuration, rules, ground, self.watched, tls)
        self.incoming.smtp.returns = self._office.returns
        self.incoming.speak(self._office.languages.of)
        out = outgoing(configuration, ground, self._office)
        self.dispatcher, self._carrier, self._lines = out.dispatcher, out.carrier, out.lines
        self._recipients, self._protection = out.recipients, out.protection
        self.incoming.smtp.facts.relayed = self._recipients

    @property
    def configuration(self) -> Configuration:
        """The values in force."""
        return self.loaded.configuration

    @property
    def rules(self) -> Rules:
        """The rules in force, grants included."""
        return self.incoming.smtp.rules

    @property
    def listeners(self) -> dict[str, list[str]]:
        """Where it listens: ``{"mx": ["127.0.0.1:25"]}``."""
        return self.entrances.listeners

    def maildir_of(self, account: str) -> Path:
        """Return the Maildir of an account."""
        mailbox = parse_mailbox(account)
        template = self.configuration.storage.mailbox_template
        local_part = mailbox.local_part.replace("/", "%2F").lstrip(".") or "%2E"
        path = template.replace("{domain}", mailbox.domain).replace("{local_part}", local_part)
        return self.base / path

    async def start(self, bound: Share) -> None:
        """Begin to serve on sockets that are open already."""
        await self.watched.start()
        self.stores.spool.use_turn(LoopTurn())
        self.dispatcher.start()
        self._protection.start()
        self._housekeeping.start()
        await self.entrances.open(bound)
        if self.worker.is_first:
            self.legacies.begin()

    async def stop(self, grace: timedelta) -> None:
        """Take no new sessions, let transactions end for `grace`, then break off; close all."""
        self.entrances.close()
        await self.legacies.stop()
        await self._housekeeping.stop()
        self.incoming.census.shutting_down = True
        await self._end_sessions(grace)
        await self.dispatcher.stop(min(grace, timedelta(seconds=10)))
        await self._protection.stop()
        await self._recipients.close()
        await self._carrier.close()
        await self.incoming.examiner.close()
        await self.watched.stop()
        await asyncio.to_thread(self.incoming.close)
        await asyncio.to_thread(self.stores.close)

    async def _end_sessions(self, grace: timedelta) -> None:
        for session in self._all_sessions():
            session.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace.total_seconds()):
                while any(  # noqa: ASYNC110 - sessions stop being busy in many ways, none signals it
                    it.is_busy for it in self.incoming.smtp.sessions
                ):
                    await asyncio.sleep(LOOK_SECONDS)
        for session in self._all_sessions():
            session.abort()
        await asyncio.sleep(0)  # connections are told of their end in the next turn of the loop
        await asyncio.sleep(0)

    def _all_sessions(self) -> list[OpenSession]:
        fetching = [it for service in self.incoming.pop3.values() for it in service.sessions]
        return [*self.incoming.smtp.sessions, *fetching]

    def use(self, loaded: Loaded) -> None:
        """Take another configuration between two events; sessions and deliveries go on.

        Raises:
            StartError: If something in it cannot be used; then nothing is changed.
        """
        configuration = loaded.configuration
        rules = self._compile(loaded)
        shadow = self._shadow(loaded)
        routes = read_routes(configuration, self.base)
        recipients = recipient_rules(configuration, self.base)
        certificates = self._certificates(configuration)
        sources_of(configuration, self.base, self.now)  # raises before anything is changed
        self.loaded = loaded
        self.stores.use(configuration)
        self._office.use(configuration)
        self.certificates = certificates
        self.incoming.use(configuration, rules)
        self.incoming.smtp.recorder.shadow = shadow
        self.incoming.smtp.returns = self._office.returns
        self._carrier.post = self._office.post
        self._lines.rule = LongLines(configuration.outbound.long_lines)
        self.incoming.use_certificate(certificates.context)
        self.dispatcher.use_routes(routes)
        self._recipients.rules = recipients
        self._protection.use(configuration)
        self.watched.watch(watches_of(configuration))
        self.dispatcher.wake()

    def use_changed_grants(self) -> bool:
        """Take networks that were added or removed meanwhile; False where nothing changed."""
        try:
            grants = self.stores.accounts.grants()
        except StoreError as problem:
            self.log(StoreFailed("accounts", str(problem)))
            return False
        if grants == self._grants:
            return False
        self._grants = grants
        self.incoming.use(self.configuration, self._compile(self.loaded))
        with suppress(StartError):  # its file is broken now: the shadow goes on without them
            self.incoming.smtp.recorder.shadow = self._shadow(self.loaded)
        return True

    def renew_certificate(self) -> None:
        """Take changed certificate files, and renew our own before it ends.

        Files that cannot be used are told in the log, and the old certificate stays.
        """
        try:
            if not self.configuration.tls.certificate and self.worker.is_first:
                own_certificate(self.stores.directory / "tls", self.rules.hostname, self.now())
            if self.certificates.reload_if_changed():
                self.incoming.use_certificate(self.certificates.context)
        except (CertificateError, OSError) as problem:
            self.log(Noted(f"the changed certificate is not used: {problem}"))

    def _hear_others(self) -> None:
        """Take what other workers told, also where nobody asks; then it may be forgotten."""
        board = self.worker.board
        assert board is not None, "a chore of several workers"
        board.pull()
        board.prune()

    def _tidy_spool(self) -> None:
        keep = self.configuration.storage.keep.held_mail
        tidy_spool(self.stores.spool, self.now() - keep)
        if self.worker.is_first:
            self.legacies.forget_cases()

    def _shadow(self, loaded: Loaded) -> Shadow | None:
        return shadow_of(loaded, self.base, self._grants, self.log)

    def _compile(self, loaded: Loaded) -> Rules:
        return compile_rules(
            loaded.configuration, loaded.spans, doors_of(self._grants), loaded.name
        )

    def _certificates(self, configuration: Configuration) -> Certificates:
        configured = configured_certificates(configuration, self.base)
        if configured is not None:
            return configured
        directory, hostname = self.stores.directory / "tls", configuration.hostname
        try:
            certificate, key = own_certificate(directory, hostname, self.now())
            return Certificates(certificate, key, authorities_of(configuration, self.base))
        except (CertificateError, OSError) as problem:
            raise StartError(str(problem)) from None


def authorities_of(configuration: Configuration, base: Path) -> Path | None:
    """Return the file of those who vouch for certificates of clients."""
    named = configuration.tls.client_authorities
    return base / named if named else None


def configured_certificates(configuration: Configuration, base: Path) -> Certificates | None:
    """Return the certificate that the configuration names; None: there is none.

    Raises:
        StartError: If it cannot be used.
    """
    tls = configuration.tls
    if not tls.certificate or not tls.key:
        return None
    try:
        authorities = authorities_of(configuration, base)
        return Certificates(base / tls.certificate, base / tls.key, authorities)
    except CertificateError as problem:
        raise StartError(str(problem), EXIT_CONFIGURATION) from None


def resolver_of(configuration: Configuration) -> Resolver:
    """Return who asks DNS for us."""
    named = tuple(ServerAddress(it.host, it.port) for it in configuration.dns.servers)
    dns = configuration.dns
    seconds = dns.timeout.total_seconds()
    return Resolver(named or system_servers(), seconds, trust_ad=dns.trust_ad)


def watches_of(configuration: Configuration) -> Mapping[str, Watch]:
    """Return the host names that may relay; one that is listed twice lingers longest."""
    watches: dict[str, Watch] = {}
    for door in configuration.may_relay:
        if isinstance(door, HostName):
            for host in door.hosts:
                known = watches.get(host, Watch(door.refresh, door.linger))
                watches[host] = Watch(
                    min(known.refresh, door.refresh), max(known.linger, door.linger)
                )
    return watches
