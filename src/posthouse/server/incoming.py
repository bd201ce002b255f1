"""The half that takes mail and hands out mailboxes: services for the listeners."""

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from posthouse.accounts.answers import Answer
from posthouse.accounts.last_sign_ins import LastSignIns
from posthouse.accounts.lockout import Lockout
from posthouse.accounts.verifier import Sources, Verifier
from posthouse.config.compile import lost_address_rule, network_table
from posthouse.config.schema import Configuration, ServiceName
from posthouse.config.schema import TlsRule as ConfiguredTlsRule
from posthouse.delivery.settings import site_of
from posthouse.dns.lookups import look_up_by
from posthouse.dns.watched import WatchedNames
from posthouse.mail.envelope import Envelope
from posthouse.mail.message import HeaderSection
from posthouse.mailbox.listing import Listings
from posthouse.mailbox.maildrop import Maildrop, open_listed, open_maildrop
from posthouse.policy.facts import Address, Client, Request
from posthouse.policy.rules import ListenerRule, Rules
from posthouse.protocol.smtp.offer import SessionLimits
from posthouse.server.ground import Ground
from posthouse.server.sources import adopt_all, sources_of
from posthouse.sessions.authenticity import Examiner
from posthouse.sessions.census import Census
from posthouse.sessions.counting import Counting
from posthouse.sessions.gathering import Facts
from posthouse.sessions.held import HeldNotices
from posthouse.sessions.hop import Hop
from posthouse.sessions.lost_addresses import LostAddresses
from posthouse.sessions.pop3 import Pop3Session
from posthouse.sessions.pop3_service import Pop3Limits, Pop3Service, TlsRule
from posthouse.sessions.recording import Recorder
from posthouse.sessions.scanning import Check, GtubeCheck, RecipientBudgetCheck
from posthouse.sessions.sign_in import refusal_of
from posthouse.sessions.smtp import SmtpSession
from posthouse.sessions.smtp_service import SmtpLimits, SmtpService
from posthouse.sessions.wording_fields import Particulars, SiteWords

MAILDROP_THREADS: Final = 4
RECIPIENTS_BEYOND_MAX: Final = 1000  # RCPT that one message may have refused; then 421
SERVED: Final = (ServiceName.SMTP, ServiceName.SUBMISSION, ServiceName.POP3)


class Incoming:
    """All services that listen; they share one census."""

    def __init__(
        self,
        configuration: Configuration,
        rules: Rules,
        ground: Ground,
        watched: WatchedNames,
        tls: ssl.SSLContext,
    ) -> None:
        self._ground = ground
        self._configuration = configuration
        self._listings = Listings()
        self._executor = ThreadPoolExecutor(MAILDROP_THREADS, thread_name_prefix="maildrops")
        self.verifier = Verifier(
            ground.stores.accounts,
            failures=configuration.limits.failed_sign_ins,
            now=ground.now,
            sources=self._sources(configuration),
        )
        board = ground.worker.board
        self.verifier.lockout = Lockout(configuration.limits.failed_sign_ins, board)
        self.census = Census(board=board)
        self._last_sign_ins = LastSignIns(board)
        self.census.budget = configuration.limits.each_address.connections
        self.examiner = Examiner(look_up_by(ground.resolver), ground.log)
        rule = lost_address_rule(configuration.lost_addresses)
        self.lost_addresses = LostAddresses(rule, ground.log, board)
        self._held = HeldNotices(
            ground.stores.spool,
            hostname=configuration.hostname,
            author=site_of(configuration).author,
            contact=configuration.refusals.contact,
            log=ground.log,
            now=ground.now,
        )
        self.smtp = self._smtp_service(configuration, rules, watched, tls)
        self.pop3 = {
            name: self._pop3_service(configuration, name, tls)
            for name, listener in configuration.listen.items()
            if listener.service is ServiceName.POP3
        }

    def _smtp_service(
        self,
        configuration: Configuration,
        rules: Rules,
        watched: WatchedNames,
        tls: ssl.SSLContext,
    ) -> SmtpService:
        ground, stores = self._ground, self._ground.stores
        facts = Facts(stores.accounts, stores.pop_sign_ins, watched, self.lost_addresses)
        site = site_words(configuration)
        return SmtpService(
            rules=rules,
            facts=facts,
            recorder=Recorder(stores.cases, ground.log, site, facts.advised),
            spool=stores.spool,
            verifier=self.verifier,
            counts=Counting(stores.usage, lambda: self.smtp.rules.limits),
            held=self._held,
            hop=Hop(asyncio.get_running_loop()),
            now=ground.now,
            log=ground.log,
            tls=tls,
            checks=checks_of(configuration, rules),
            examiner=self._examiner(configuration),
            limits=smtp_limits(configuration),
            census=self.census,
            postmaster=configuration.postmaster_mailbox,
        )

    def protocol(self, listener: str) -> asyncio.BaseProtocol:
        """Return the session for a new connection at a listener."""
        if listener in self.pop3:
            return Pop3Session(self.pop3[listener])
        return SmtpSession(self.smtp, self._listener_rule(listener))

    def _listener_rule(self, listener: str) -> ListenerRule:
        return self.smtp.rules.listeners[listener]

    def use(self, configuration: Configuration, rules: Rules) -> None:
        """Take another configuration; running sessions see it at their next command.

        Raises:
            StartError: If keys or secrets in it cannot be used; then nothing is changed.
        """
        if configuration is not self._configuration:
            self.verifier.sources = self._sources(configuration)
            self._configuration = configuration
        self.smtp.rules = rules
        self.lost_addresses.rule = lost_address_rule(configuration.lost_addresses)
        self.smtp.recorder.site = site_words(configuration)
        self.smtp.checks = checks_of(configuration, rules)
        self.smtp.examiner = self._examiner(configuration)
        self.smtp.limits = smtp_limits(configuration)
        self.census.budget = configuration.limits.each_address.connections
        self._held.contact = configuration.refusals.contact
        self._held.author = site_of(configuration).author
        self.smtp.postmaster = configuration.postmaster_mailbox
        self.verifier.lockout.budget = configuration.limits.failed_sign_ins
        for name, service in self.pop3.items():
            service.limits = pop3_limits(configuration)
            if listener := configuration.listen.get(name):
                service.mechanisms = listener.mechanisms or ()
                service.proxied_from = network_table(listener.proxied_from)

    def use_certificate(self, tls: ssl.SSLContext) -> None:
        """Show another certificate in handshakes from now on."""
        self.smtp.tls = tls
        for service in self.pop3.values():
            service.tls = tls

    def close(self) -> None:
        """End the threads."""
        self.verifier.close()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _sources(self, configuration: Configuration) -> Sources:
        sources = sources_of(configuration, self._ground.base, self._ground.now)
        adopt_all(sources, self._ground.stores.accounts)
        return sources

    def speak(self, language_for: Callable[[Envelope, HeaderSection], str]) -> None:
        """Take what tells in which language a sender is told of held mail."""
        self._held.language_for = language_for

    def _examiner(self, configuration: Configuration) -> Examiner | None:
        return self.examiner if configuration.authentication.incoming == "check" else None

    def _pop3_service(
        self, configuration: Configuration, name: str, tls: ssl.SSLContext
    ) -> Pop3Service:
        listener = configuration.listen[name]
        rule: ConfiguredTlsRule = listener.tls_rule
        return Pop3Service(
            hostname=configuration.hostname,
            listener=name,
            verifier=self.verifier,
            open_maildrop=self._open_maildrop,
            note_sign_in=self._note_sign_in,
            now=self._ground.now,
            log=self._ground.log,
            executor=self._executor,
            tls=tls,
            tls_rule=TlsRule(rule.value),
            mechanisms=listener.mechanisms or (),
            proxied_from=network_table(listener.proxied_from),
            limits=pop3_limits(configuration),
            census=self.census,
            note_failure=self._note_failure,
            open_listed=self._open_listed,
            last_sign_ins=self._last_sign_ins,
        )

    def _open_maildrop(self, account: str) -> Maildrop:
        return open_maildrop(self._ground.maildir_of(account), self._listings)

    def _open_listed(self, account: str) -> Maildrop | None:
        return open_listed(self._ground.maildir_of(account), self._listings)

    def _note_sign_in(self, account: str, address: Address, at: datetime) -> None:
        self._ground.stores.pop_sign_ins.note(address, account, at)

    def _note_failure(self, name: str, client: Client, answer: Answer) -> str:
        """Record a failed sign-in by POP3 as those by SMTP are; return its case."""
        request = Request(self._ground.now(), client)
        told = Particulars(account=name)
        decision, rules = refusal_of(answer), self.smtp.rules
        return self.smtp.recorder.record(decision, request, rules, told).case


def site_words(configuration: Configuration) -> SiteWords:
    """Return how the site speaks."""
    refusals = configuration.refusals
    return SiteWords(
        word_set=refusals.words,
        texts={reason.value: text for reason, text in refusals.wording.items()},
        help_link=refusals.help or "",
        contact=refusals.contact,
    )


def checks_of(configuration: Configuration, rules: Rules) -> tuple[Check, ...]:
    """Return the screening checks."""
    checks: list[Check] = []
    for entry in configuration.screening:
        if entry.ask == "gtube":
            relayed, incoming = entry.mail != "incoming", entry.mail != "relayed"
            checks.append(GtubeCheck(entry.name, relayed=relayed, incoming=incoming))
        else:
            checks.append(RecipientBudgetCheck(entry.name, rules.limits))
    return tuple(checks)


def smtp_limits(configuration: Configuration) -> SmtpLimits:
    """Return what one SMTP session may cost."""
    limits = configuration.limits
    return SmtpLimits(
        command_wait=limits.command_wait,
        content_wait=limits.content_wait,
        contents_max=limits.arriving_messages,
        messages_max=limits.messages_per_session or 0,
        release_max=limits.future_release,
        deliver_by_min=limits.deliver_by_at_least,
        core=SessionLimits(
            recipients_max=limits.recipients_per_message + RECIPIENTS_BEYOND_MAX,
        ),
    )


def pop3_limits(configuration: Configuration) -> Pop3Limits:
    """Return what one POP3 session may cost."""
    limits, kept = configuration.limits, configuration.storage.keep.fetched_mail
    return replace(
        Pop3Limits(),
        sessions_max=limits.sessions,
        sessions_from_address_max=limits.sessions_per_address,
        idle_time=limits.pop3_wait,
        login_delay=limits.pop3_login_delay or timedelta(0),
        expire_days=None if kept is None else max(1, kept.days),
    )
