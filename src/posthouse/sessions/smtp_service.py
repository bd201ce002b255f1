"""What all SMTP sessions of a server share."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct, field

from posthouse.authentication.srs import Rewriter
from posthouse.mail.address import Mailbox
from posthouse.mail.envelope import Envelope
from posthouse.policy.decision import Decision
from posthouse.policy.facts import Usage
from posthouse.policy.rules import ListenerRule, Rules, Service
from posthouse.protocol.smtp.offer import Offer, SessionLimits, shared
from posthouse.protocol.smtp.timing import FutureRelease
from posthouse.sessions.authenticity import Examiner
from posthouse.sessions.census import Census
from posthouse.sessions.exchange import Verifier
from posthouse.sessions.gathering import Facts
from posthouse.sessions.hop import Hop
from posthouse.sessions.offering import mechanisms_offered, takes_sign_ins, tls_is_missing
from posthouse.sessions.recording import Recorder
from posthouse.sessions.scanning import Check
from posthouse.sessions.transaction import Transaction
from posthouse.spool.intake import Intake
from posthouse.spool.records import StorageError
from posthouse.telemetry.events import LogEvent
from posthouse.wire.tls import CertifiedContext

SIGN_IN_FAILURES_MAX: Final = 5
NO_PAUSE: Final = timedelta(0)


class SmtpLimits(Struct, frozen=True):
    """What one session may cost.

    Attributes:
        command_wait: Between commands (RFC 5321 §4.5.3.2.7 wants at least 5 minutes).
        content_wait: Until the next 16 KiB of content, or its end, have come.
        sign_in_failures_max: Failed sign-ins on one connection; then 421.
        refusals_max: Refused senders and recipients since the last accepted message; then 421.
        contents_max: Messages that may arrive at the same moment, in all sessions: each may take
            256 KiB of memory before it goes to a file.
        messages_max: In one session, told as MAILMAX (RFC 9422); 0: as many as one likes.
        release_max: How long mail may be asked to wait here (RFC 4865).
        deliver_by_min: Shortest deadline for what is to be returned when late (RFC 2852).
        core: Limits of errors and idle commands.
    """

    command_wait: timedelta = timedelta(minutes=5)
    content_wait: timedelta = timedelta(minutes=10)
    sign_in_failures_max: int = SIGN_IN_FAILURES_MAX
    refusals_max: int = 100
    contents_max: int = 1000
    messages_max: int = 0
    release_max: timedelta = timedelta(days=30)
    deliver_by_min: timedelta = timedelta(minutes=1)
    core: SessionLimits = SessionLimits()


class Reception(Protocol):
    """The part of the spool that takes mail."""

    @property
    def trouble(self) -> StorageError | None:
        """Why no mail can be taken; None while all is well."""
        ...

    def new_id(self) -> str:
        """Return the id for a message."""
        ...

    def open_intake(self) -> Intake:
        """Begin to take a message."""
        ...


class Counts(Protocol):
    """Counters of what was sent lately."""

    def now(self, transaction: Transaction, forward_path: Mailbox | None, /) -> Usage:
        """Return what its sender has sent; `forward_path` is the recipient in question, if any."""
        ...

    def add(self, transaction: Transaction, /) -> None:
        """Count the recipients of a message that is being accepted."""
        ...


class OpenSmtpSession(Protocol):
    """A session as those see it who end the server."""

    @property
    def is_busy(self) -> bool:
        """Whether a mail transaction or a sign-in is in progress."""
        ...

    def stop(self) -> None:
        """End it now if nothing is under way; else its running transaction is the last."""
        ...

    def abort(self) -> None:
        """End it at once."""
        ...


class TellHeld(Protocol):
    """Tells senders that their mail is held."""

    def tell(  # noqa: D102 - above
        self, message_id: str, envelope: Envelope, case: str, decision: Decision, header: bytes
    ) -> None: ...


class SmtpService(Struct, eq=False):
    """What a session is given. `rules`, `checks` and `tls` may be replaced between two events.

    Attributes:
        rules: What the operator allows.
        facts: Fetches what decisions depend on.
        recorder: Puts decisions into words, cases and log.
        spool: Where accepted mail goes.
        verifier: Checks passwords.
        counts: Counters of what was sent.
        held: Tells senders that their mail is held.
        hop: From the spool's threads back to the loop.
        now: The clock; its times carry a zone.
        log: Takes events of the closed list; never blocks.
        tls: Context with our certificate; None if there is none.
        checks: Screening.
        limits: What one session may cost.
        census: Counts sessions.
        sessions: All of them, for stopping.
        examiner: Finds out whether mail of strangers is from whom it says; None: it is not asked.
        returns: Leads reports about forwarded mail back to their senders.
        postmaster: Who gets mail for postmaster at our host name, which is no mail domain.
    """

    rules: Rules
    facts: Facts
    recorder: Recorder
    spool: Reception
    verifier: Verifier
    counts: Counts
    held: TellHeld
    hop: Hop
    now: Callable[[], datetime]
    log: Callable[[LogEvent], None]
    tls: ssl.SSLContext | None = None
    examiner: Examiner | None = None
    returns: Rewriter | None = None
    checks: tuple[Check, ...] = ()
    limits: SmtpLimits = SmtpLimits()
    census: Census = field(default_factory=Census)
    sessions: set[OpenSmtpSession] = field(default_factory=set)
    postmaster: Mailbox | None = None

    @property
    def sign_in_failures_max(self) -> int:
        """Failed sign-ins on one connection; then 421."""
        return self.limits.sign_in_failures_max

    def context(self, listener: ListenerRule) -> ssl.SSLContext | None:
        """Return the TLS context for a listener: some ask their clients for a certificate."""
        if listener.asks_certificate and isinstance(self.tls, CertifiedContext):
            return self.tls.asking or self.tls
        return self.tls

    def offer(
        self,
        listener: ListenerRule,
        *,
        tls: bool,
        signed_in: bool,
        can_bind: bool = False,
        tells: bool = False,
    ) -> Offer:
        """Return what EHLO offers on a listener at this moment."""
        may_sign_in = not signed_in and takes_sign_ins(self.rules, listener, self.now())
        after_tls = may_sign_in and tls_is_missing(listener, tls=tls)
        names: tuple[str, ...] = ()
        if may_sign_in and not after_tls:
            wanted = listener.mechanisms or self.verifier.mechanisms()
            names = mechanisms_offered(wanted, can_bind=can_bind)
        is_submission = listener.service is Service.SUBMISSION
        offer = Offer(
            hostname=self.rules.hostname,
            size_octets_max=self.rules.limits.message_octets,
            starttls=self.tls is not None and not tls,
            mechanisms=names,
            sign_in_after_tls=after_tls and self.tls is not None,
            tls=tls,
            binarymime=True,
            requiretls=True,
            tells=tells,
            mends_newlines=listener.mends_newlines and is_submission,
            in_turn=listener.greeting_pause > NO_PAUSE,
            recipients_max=self.rules.limits.recipients_per_message,
            messages_max=self.limits.messages_max,
            future_release=self._future_release() if is_submission else None,
            deliver_by_seconds_min=(
                int(self.limits.deliver_by_min.total_seconds()) if is_submission else None
            ),
        )
        return shared(offer)

    def _future_release(self) -> FutureRelease:
        interval = self.limits.release_max
        return FutureRelease(interval, (self.now() + interval).astimezone(UTC))
