"""Telling senders that their mail is held: those we know, at most once an hour, strangers never.

A stranger's reverse-path proves nothing: a notice to it would be spam of our own making.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from posthouse.doctor.report_words import Circumstances, Hold, tell
from posthouse.mail.address import NULL, Mailbox
from posthouse.mail.delivery_status import Action, DeliveryStatus, RecipientStatus
from posthouse.mail.envelope import Envelope, Notify, Recipient
from posthouse.mail.message import HeaderSection, split_header
from posthouse.mail.report import Report, compose, subject_of
from posthouse.policy.decision import Decision
from posthouse.spool.records import StorageError
from posthouse.spool.spool import Spool
from posthouse.telemetry.events import Bounced, LogEvent

PAUSE: Final = timedelta(hours=1)
SENDERS_MAX: Final = 10_000  # remembered; the oldest is forgotten first


class HeldNotices:
    """Makes a report for held mail and spools it.

    Attributes:
        contact: How people reach the administrators; a reload may change it.
        language_for: Tells in which language a sender is told.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        hostname: str,
        author: Mailbox,
        contact: str,
        log: Callable[[LogEvent], None],
        now: Callable[[], datetime],
    ) -> None:
        self._spool = spool
        self._hostname = hostname
        self.author = author
        self.contact = contact
        self.language_for: Callable[[Envelope, HeaderSection], str] = lambda *_: "en"
        self._log = log
        self._now = now
        self._told: OrderedDict[str, datetime] = OrderedDict()

    def tell(
        self, message_id: str, envelope: Envelope, case: str, decision: Decision, header: bytes
    ) -> None:
        """Send a notice, if the sender is to be told.

        Args:
            message_id: Of the held message.
            envelope: Of the held message.
            case: Of the decision to hold it.
            decision: That decision.
            header: Its header section.
        """
        to = envelope.reverse_path.mailbox
        if to is None or not envelope.recognised or not self._may_tell(envelope.account or str(to)):
            return
        report_id = self._spool.new_id()
        report = self._report(report_id, to, envelope)
        section = split_header(header)
        hold = Hold(str(decision.reason), case, decision.subject)
        told = Circumstances(subject_of(section), message_id, self.contact, hold)
        language = self.language_for(envelope, section)
        octets = compose(report, tell(report.status, told, language), header)
        intake = self._spool.open_intake()
        intake.write(octets)
        notice = Envelope(
            reverse_path=NULL,
            recipients=(Recipient(to, notify=frozenset({Notify.NEVER})),),
            accepted=self._now(),
            body="7BIT" if octets.isascii() else "8BITMIME",
            requiretls=envelope.requiretls,  # the notice quotes the message (RFC 8689 §5)
        )

        def done(trouble: StorageError | None) -> None:
            if trouble is None:
                self._log(Bounced(message_id, report_id, str(to), "held"))

        intake.commit(notice, id=report_id, done=done)

    def _may_tell(self, sender: str) -> bool:
        now = self._now()
        last = self._told.get(sender)
        if last is not None and now - last < PAUSE:
            return False
        self._told[sender] = now
        self._told.move_to_end(sender)
        if len(self._told) > SENDERS_MAX:
            self._told.popitem(last=False)
        return True

    def _report(self, report_id: str, to: Mailbox, envelope: Envelope) -> Report:
        status = DeliveryStatus(
            reporting_host=self._hostname,
            recipients=tuple(
                RecipientStatus(it.mailbox, Action.DELAYED, "4.7.1") for it in envelope.recipients
            ),
            arrived=envelope.accepted,
        )
        return Report(
            status=status,
            to=to,
            author=self.author,
            unique=report_id,
            now=self._now(),
            held=True,
        )
