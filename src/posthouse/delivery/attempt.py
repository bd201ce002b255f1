"""One attempt to hand a work to other servers: what is asked for, what is decided, what is open."""

import asyncio
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from posthouse.delivery.content import Content
from posthouse.delivery.hop_session import HopSession
from posthouse.delivery.host_errors import Fault, HostError
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.opening import Way
from posthouse.delivery.outcomes import Deferred, Failed, Outcome, Speaker, outcome_of
from posthouse.delivery.progress import Sent
from posthouse.delivery.tls_terms import Assurance, Trouble
from posthouse.mail.envelope import Envelope, Notify, Recipient
from posthouse.mail.message import HeaderSection
from posthouse.mail.reencoding import ConversionError, Fit
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.client_events import Extensions
from posthouse.protocol.smtp.outgoing import NO_TLS_PROMISED, Outgoing, obstacle
from posthouse.protocol.smtp.timing import BY_SECONDS_MAX, DeliverBy
from posthouse.spool.records import Work

RECIPIENTS_MAX: Final = 100
"""Recipients in one transaction: as many as every host must take (RFC 5321 §4.5.3.1.8)."""
NOT_ACKNOWLEDGED: Final = (
    "the connection ended after the whole message was sent and before it was acknowledged: it is "
    "sent again and may arrive twice"
)
NO_HOST: Final = Deferred("4.4.1", "no host could be tried")
NOT_INTERNATIONAL: Final = (
    "the address has letters beyond ASCII, and the next mail server does not support them "
    "(SMTPUTF8)"
)


class Batch(Struct, frozen=True):
    """What is asked for in one transaction, and the places of its recipients in the envelope."""

    outgoing: Outgoing
    places: tuple[int, ...]
    content: Content


class Attempt:
    """One work on its way: what is decided, what is open, and the last trouble.

    Attributes:
        open: Places of the recipients without an outcome.
        outcomes: Those of the others.
    """

    def __init__(self, work: Work, content: Content, *, probe: bool = False) -> None:
        self.content = content
        self.destination = work.destination
        self._probe = probe
        self.open = work.indices
        self.outcomes: dict[int, Outcome] = {}
        self._trouble: Deferred | Failed = NO_HOST
        self._promises_no_tls: Failed | None = None
        self._work = work
        self._fitted: dict[Fit, Content] = {}

    @property
    def last_trouble(self) -> Deferred | Failed:
        """Why what is still open could not be sent.

        That a host promises no TLS is the reason only if none of the others failed otherwise: they
        may promise it when they are tried again.
        """
        lacking = self._promises_no_tls
        return lacking if lacking is not None and self._trouble is NO_HOST else self._trouble

    def all_others(self, outcome: Outcome) -> dict[int, Outcome]:
        """The outcomes, where `outcome` is that of all that are open."""
        if self.open:
            self._decide(self.open, outcome)
        return self.outcomes

    def _decide(self, places: Iterable[int], outcome: Outcome) -> None:
        for place in places:
            self.outcomes[place] = outcome
        self._look_what_is_open()

    def _look_what_is_open(self) -> None:
        every = len(self.outcomes) == len(self._work.recipients)
        self.open = () if every else tuple(it for it in self.open if it not in self.outcomes)

    def failed_at(self, host: Host, error: HostError) -> None:
        """No message could be given to this host."""
        where = str(host)
        lacks_tls = error.trouble is Trouble.NO_STARTTLS and not error.busy
        if error.fault is Fault.LOOP:
            self._trouble = Failed(error.status, str(error), where)
        elif self.requiretls and lacks_tls:  # another host may have it (RFC 8689 §4.2.1)
            self._promises_no_tls = Failed("5.7.10", str(error), where)
        else:
            self._trouble = Deferred(
                error.status,
                str(error),
                where,
                unreachable=not error.busy and error.fault is not Fault.TLS,
                slow_down=error.busy,
            )

    def without_faulty(self, hosts: list[Host], way: Way) -> list[Host]:
        """The hosts that may be used; of those that may not, the fault is the last trouble."""
        if not way.assured:
            return hosts
        good = []
        for host in hosts:
            one = way.assurance(host)
            if one.bars:
                self._trouble = _barred(one, host)
            else:
                good.append(host)
        return good

    @property
    def may_follow(self) -> bool:
        """Whether it may be sent behind another message in the same session."""
        return self.content.is_small and not self._probe

    @property
    def requiretls(self) -> bool:
        """Whether the sender asks for TLS all the way (RFC 8689 §4.2.1)."""
        return self._work.envelope.requiretls

    @property
    def made_here(self) -> bool:
        """Whether it is a report of ours: counting those would make reports about reports."""
        return not (self._work.envelope.client or self._work.envelope.listener)

    async def wants_less(self) -> bool:
        """Whether the sender says that TLS does not matter (TLS-Required: No, RFC 8689 §5)."""
        if self._probe:
            return False
        small = self.content.is_small
        header = self.content.header if small else await asyncio.to_thread(self._read_header)
        values = [value.strip().lower() for value in header.fields("TLS-Required")]
        return values == [b"no"]

    def _read_header(self) -> HeaderSection:
        return self.content.header

    async def batch_for(self, session: HopSession) -> Batch | None:
        """What this host can be asked for; the others fail, and are decided now."""
        extensions = session.extensions
        try:
            content, body = await self._content_for(extensions)
        except ConversionError as error:
            words = f"{session.host} does not take such content, and it cannot be converted"
            failed = Failed("5.6.3", f"{words}: {error}")
            self._decide(self.open, failed)
            return None
        return self._batch(session, extensions, content, body)

    async def _content_for(self, extensions: Extensions) -> tuple[Content, str]:
        """The content as a host can take it, converted where it must be, and its BODY.

        Raises:
            ConversionError: If there is no way to carry it there.
        """
        content, body = self.content, self._work.envelope.body
        if self._probe or (body == "BINARYMIME" and extensions.binarymime):
            return content, body
        fit = Fit.EIGHT_BIT if extensions.eightbitmime else Fit.SEVEN_BIT
        if body == "BINARYMIME" or (fit is Fit.SEVEN_BIT and not await content.is_ascii()):
            if fit not in self._fitted:
                self._fitted[fit] = await content.fitted(fit)
            content = self._fitted[fit]
        # What a client calls 7BIT may be something else, and a strict host would be misled.
        wide = fit is Fit.EIGHT_BIT and (body == "8BITMIME" or not await content.is_ascii())
        return content, "8BITMIME" if wide else "7BIT"

    def _batch(
        self, session: HopSession, extensions: Extensions, content: Content, body: str
    ) -> Batch | None:
        envelope = self._work.envelope
        utf8 = envelope.smtputf8 and not self.content.header.octets.isascii()
        if not extensions.smtputf8 and not utf8:
            self._refuse_foreign()
        places, recipients = self.open[:RECIPIENTS_MAX], envelope.recipients
        if len(places) < len(recipients):
            recipients = tuple(recipients[at] for at in places)
        outgoing = Outgoing(
            reverse_path=envelope.reverse_path,
            recipients=recipients,
            octets=None if self._probe else content.octets,
            body=body,
            smtputf8=utf8,
            envelope_id=envelope.envelope_id,
            return_content=envelope.return_content,
            probe=self._probe,
            requiretls=envelope.requiretls and not session.is_lmtp,
            # What LMTP takes is in the mailbox: no deadline needs to be known behind it.
            deliver_by=None if session.is_lmtp else _deadline(envelope),
        )
        if not outgoing.recipients:
            return None
        if (refusal := obstacle(outgoing, extensions)) is not None:
            failed = Failed(refusal.status, f"{refusal.text}: {session.host}")
            if refusal.status == NO_TLS_PROMISED:  # another host may promise it
                self._promises_no_tls = failed
            else:
                self._decide(places, failed)
            return None
        return Batch(outgoing, places, content)

    def _refuse_foreign(self) -> None:
        """Fail the recipients that no host without SMTPUTF8 can take."""
        recipients = self._work.envelope.recipients
        foreign = [at for at in self.open if not recipients[at].mailbox.local_part.isascii()]
        if foreign:
            self._decide(foreign, Failed("5.6.7", NOT_INTERNATIONAL))

    def note(self, batch: Batch, sent: Sent, session: HopSession) -> None:
        """Take the result of a transaction.

        Of recipients that were too many for one transaction (452, RFC 5321 §4.5.3.1.10), those
        that were not taken stay open for the next one.
        """
        for place, recipient, reply in zip(
            batch.places, batch.outgoing.recipients, sent.replies, strict=True
        ):
            if reply is not None and reply.code == 452 and _too_many(sent, session):
                continue
            if reply is not None:
                deadline = batch.outgoing.deliver_by
                self.outcomes[place] = _outcome(reply, recipient, session, deadline)
            elif sent.ambiguous:
                words = f"{NOT_ACKNOWLEDGED} ({sent.lost})"
                self.outcomes[place] = Deferred(
                    "4.4.2", words, session.host, tls=session.protection
                )
        self._look_what_is_open()
        if sent.lost:
            self._trouble = Deferred(
                "4.4.2",
                sent.lost,
                session.host,
                unreachable=not (sent.heard or sent.busy),
                tls=session.protection,
                slow_down=sent.busy,
            )


def _too_many(sent: Sent, session: HopSession) -> bool:
    """Whether 452 means that others were taken first: by LMTP it is about the mailbox."""
    some_taken = any(reply is not None and reply.is_positive for reply in sent.replies)
    return some_taken and not session.is_lmtp


def _deadline(envelope: Envelope) -> DeliverBy | None:
    """What is left until the deadline, for the next hop (RFC 2852 §4)."""
    if envelope.deliver_by is None:
        return None
    left = math.ceil((envelope.deliver_by - datetime.now(UTC)).total_seconds())
    left = max(-BY_SECONDS_MAX, min(left, BY_SECONDS_MAX))
    returned = envelope.returned_when_late
    return DeliverBy(max(left, 1) if returned else left, returned, envelope.traced)


def _barred(one: Assurance, host: Host) -> Deferred | Failed:
    """The outcome where nothing else was tried than a host that may not be used."""
    if one.final:
        return Failed("5.7.30", one.fault, str(host))
    status = "4.4.3" if one.trouble is Trouble.DNSSEC_INVALID else "4.7.5"
    return Deferred(status, one.fault, str(host))


def _outcome(
    reply: Reply, recipient: Recipient, session: HopSession, deadline: DeliverBy | None
) -> Outcome:
    asked = bool(recipient.notify) and Notify.SUCCESS in recipient.notify
    reports = asked and session.extensions.dsn
    final = session.is_lmtp
    forgets = deadline is not None and session.extensions.deliver_by_seconds_min is None
    return outcome_of(reply, Speaker(session.host, session.protection, reports, final, forgets))
