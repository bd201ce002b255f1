"""Reports to senders, and what is done when there is nobody to report to.

Nothing bounces to a null reverse-path (RFC 5321 §6.1). A failure that nobody can be told of goes to
our postmaster; where that is not possible, the message is kept for a person to look at. It never
vanishes.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct, structs

from posthouse.delivery.forwarding import Rewrite, unchanged
from posthouse.delivery.languages import SenderLanguages
from posthouse.delivery.outcomes import Deferred, Failed, report_action
from posthouse.delivery.retry import Patience
from posthouse.delivery.tally import Ended, Tally
from posthouse.doctor.report_words import Circumstances, tell
from posthouse.mail.address import NULL, Mailbox
from posthouse.mail.delivery_status import DeliveryStatus, RecipientStatus, one_line
from posthouse.mail.envelope import Envelope, Notify, Recipient
from posthouse.mail.message import split_header
from posthouse.mail.reencoding import ConversionError, Fit, plan_for, reencoded
from posthouse.mail.report import RETURNED_OCTETS_MAX, Report, Words, compose, subject_of
from posthouse.spool.records import Offspring

NOBODY_TO_TELL: Final = "failed, and there is nobody to report it to"
IN_ENGLISH: Final = SenderLanguages(lambda _: "")
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")


class Readable(Protocol):
    """A message that can be read: whole, or only its beginning."""

    octets: int

    def whole(self) -> bytes:
        """Return all of it."""
        ...

    def head(self) -> bytes:
        """Return enough of it to hold a header section."""
        ...


class Site(Struct, frozen=True):
    """Who we are in reports.

    Attributes:
        hostname: The reporting host.
        author: Address in From; replies of people go there.
        postmaster: A mailbox of our own that gets reports nobody else can get; None if there is
            none here.
        contact: How people reach the administrators; "" if not configured.
    """

    hostname: str
    author: Mailbox
    postmaster: Mailbox | None = None
    contact: str = ""


class Sent(Struct, frozen=True):
    """One report that was made, for the log."""

    report: str
    reverse_path: str
    kind: str


class Settlement(Struct, frozen=True):
    """What is handed to the spool in one commit.

    Attributes:
        tally: Its `results` are settled.
        offspring: Reports and forwarded copies.
        hold: Why the message is held after that; "" if it is not.
        sent: The reports among the offspring.
    """

    tally: Tally
    offspring: tuple[Offspring, ...] = ()
    hold: str = ""
    sent: tuple[Sent, ...] = ()


class Reporter:
    """Makes the messages that an attempt's outcomes give rise to."""

    def __init__(
        self,
        site: Site,
        patience: Patience,
        new_id: Callable[[], str],
        rewrite: Rewrite = unchanged,
        languages: SenderLanguages = IN_ENGLISH,
    ) -> None:
        """Take what is needed.

        Args:
            site: Who we are.
            patience: How long we try.
            new_id: Makes ids of messages.
            rewrite: Gives the reverse-path of copies for foreign addresses.
            languages: Tells how to speak to a sender.
        """
        self._languages = languages
        self._rewrite = rewrite
        self._site = site
        self._patience = patience
        self._new_id = new_id

    def settlement(self, tally: Tally, content: Readable) -> Settlement:
        """Return what to settle.

        Args:
            tally: What became of the recipients.
            content: The message; read only if a report or a copy needs it.
        """
        if tally.is_quiet:
            return Settlement(tally)
        copies = self._copies(tally, content)
        reports, hold = self._reports(tally, content)
        if hold:
            tally = tally.kept(hold)
        return Settlement(
            tally,
            (*copies, *(offspring for offspring, _ in reports)),
            hold,
            tuple(Sent(one.id, _to(one), kind) for one, kind in reports),
        )

    def _reports(self, tally: Tally, content: Readable) -> tuple[list[tuple[Offspring, str]], str]:
        """The reports with their kinds, and why the message must be held if nobody can be told."""
        about = _About(tally.work.id, tally.work.envelope, tally.now, content)
        if about.envelope.reverse_path.is_null:
            return self._double_bounce(tally, about)
        reports = []
        for kind, those in (
            ("failure", tally.failures),
            ("delay", tally.delays),
            ("success", tally.successes),
        ):
            if those:
                statuses = tuple(self._status(one, tally) for one in those)
                reports.append((self._report(about, statuses), kind))
        return reports, ""

    def _double_bounce(
        self, tally: Tally, about: "_About"
    ) -> tuple[list[tuple[Offspring, str]], str]:
        """A report that fails goes to the postmaster; if that fails too, a person must look."""
        made_here = not (about.envelope.client or about.envelope.listener)
        if made_here and len(tally.failures) < len(tally.lost):
            return [], NOBODY_TO_TELL  # a report to the postmaster failed, perhaps behind an alias
        if not tally.failures:
            return [], ""
        to = self._site.postmaster
        if to is None or any(one.recipient.mailbox.folded == to.folded for one in tally.failures):
            return [], NOBODY_TO_TELL
        statuses = tuple(self._status(one, tally) for one in tally.failures)
        return [(self._report(structs.replace(about, postmaster=to), statuses), "failure")], ""

    def _status(self, one: Ended, tally: Tally) -> RecipientStatus:
        outcome = one.outcome
        waits = isinstance(outcome, Deferred)
        envelope = tally.work.envelope
        expires = envelope.due + self._patience.with_deadline(envelope).give_up_after
        return RecipientStatus(
            recipient=one.recipient.mailbox,
            action=report_action(outcome),
            status=outcome.status if isinstance(outcome, Deferred | Failed) else "2.0.0",
            diagnostic=one_line(outcome.words),
            remote=one.result.host,
            original=_plain(one.recipient.original),
            last_attempt=tally.now,
            retry_until=expires if waits else None,
        )

    def _report(self, about: "_About", those: tuple[RecipientStatus, ...]) -> Offspring:
        envelope = about.envelope
        to = about.postmaster or envelope.reverse_path.mailbox
        assert to is not None
        large = about.content.octets > RETURNED_OCTETS_MAX
        new_id = self._new_id()
        status = DeliveryStatus(
            self._site.hostname,
            those,
            _plain(envelope.envelope_id),
            envelope.accepted,
            envelope.deliver_by,
            envelope.release,
        )
        report = Report(
            status=status,
            to=to,
            author=self._site.author,
            unique=new_id,
            now=about.now,
            return_content="HDRS" if large else envelope.return_content or _returned(envelope),
            smtputf8=envelope.smtputf8,
        )
        original = about.content.head() if large else _quotable(about)
        octets = compose(report, self._words(status, about, original), original)
        return Offspring(new_id, _report_envelope(to, octets, about), octets)

    def _words(self, status: DeliveryStatus, about: "_About", original: bytes) -> Words:
        """What the report says to its reader; a postmaster reads the site's own language."""
        header = split_header(original)
        mine = about.postmaster is not None
        language = self._languages.default if mine else self._languages.of(about.envelope, header)
        return tell(
            status,
            Circumstances(subject_of(header), about.queue_id, self._site.contact, nobodys=mine),
            language,
        )

    def _copies(self, tally: Tally, content: Readable) -> list[Offspring]:
        """Copies for foreign addresses behind an alias, marked against loops."""
        copies = []
        reverse_path = self._rewrite(tally.work.envelope.reverse_path, tally.now)
        for one in tally.ended:
            if not one.forwards:
                continue
            notify = one.recipient.notify - {Notify.SUCCESS} or (
                frozenset({Notify.NEVER}) if one.recipient.notify else frozenset()
            )
            recipients = tuple(
                structs.replace(one.recipient, mailbox=mailbox, notify=notify)
                for mailbox in one.forwards
            )
            envelope = structs.replace(
                tally.work.envelope,
                reverse_path=reverse_path,
                recipients=recipients,
                accepted=tally.now,
            )
            mark = f"Delivered-To: {one.recipient.mailbox}\r\n".encode()
            copies.append(Offspring(self._new_id(), envelope, mark + content.whole()))
        return copies


class _About(Struct, frozen=True):
    """The message that a report is about.

    Attributes:
        queue_id: Our id for it.
        envelope: Its envelope.
        now: The time.
        content: The message itself.
        postmaster: Gets the report instead of the reverse-path, and no further report follows.
    """

    queue_id: str
    envelope: Envelope
    now: datetime
    content: Readable
    postmaster: Mailbox | None = None


def _report_envelope(to: Mailbox, octets: bytes, about: _About) -> Envelope:
    notify = frozenset({Notify.NEVER}) if about.postmaster else frozenset()
    return Envelope(
        reverse_path=NULL,
        recipients=(Recipient(to, notify),),
        accepted=about.now,
        body="7BIT" if octets.isascii() else "8BITMIME",
        smtputf8=about.envelope.smtputf8 and not (octets.isascii() and to.is_ascii),
        requiretls=about.envelope.requiretls,  # it quotes the message (RFC 8689 §5)
    )


def _quotable(about: _About) -> bytes:
    """The whole message as a report can hold it; of binary that cannot be converted, the head."""
    octets = about.content.whole()
    if about.envelope.body != "BINARYMIME":
        return octets
    try:
        plan = plan_for([octets], Fit.EIGHT_BIT)
    except ConversionError:
        return split_header(octets).octets
    return octets if plan is None else b"".join(reencoded([octets], plan))


def _returned(envelope: Envelope) -> str:
    """A person who signed in gets the message back; a stranger may be forged: the header only."""
    return "FULL" if envelope.recognised else "HDRS"


def _plain(xtext: str) -> str:
    """Undo xtext (RFC 3461 §4)."""
    return one_line(_XTEXT.sub(lambda found: chr(int(found[1], 16)), xtext))


def _to(report: Offspring) -> str:
    return str(report.envelope.recipients[0].mailbox)
