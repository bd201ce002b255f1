"""A mail transaction in progress: from MAIL to the answer to the final dot (RFC 5321 §3.3)."""

from datetime import datetime

from posthouse.mail.address import Mailbox
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.policy.decision import Decision
from posthouse.policy.networks import address_text
from posthouse.policy.reasons import Reason
from posthouse.protocol.smtp.events import MailReceived, RecipientReceived
from posthouse.sessions.content import IncomingContent
from posthouse.sessions.recording import Granted
from posthouse.sessions.timing import timing_of
from posthouse.spool.records import StorageError


class Transaction:
    """What a client has asked for and been granted so far.

    Attributes:
        mail: The MAIL command.
        client: The facts about the client as MAIL found them.
        account: Primary address of the account that was recognised; "".
        recognised: The client came through a door.
        taken: Addresses used so far that are other people's.
        at: When it began.
        asked: A recipient was asked for, granted or not.
        grants: What was granted and is not recorded yet: MAIL first, then its recipients.
        recipients: Accepted ones, in their order.
        mailboxes: Their forward-paths.
        granted_paths: The same, as often as they were accepted: RCPTMAX counts commands (RFC 9422).
        content: From 354 on.
        no_room: Why content that BDAT brought was not taken.
    """

    __slots__ = (
        "account",
        "asked",
        "at",
        "client",
        "content",
        "granted_paths",
        "grants",
        "mail",
        "mailboxes",
        "no_room",
        "recipients",
        "recognised",
        "taken",
    )

    def __init__(
        self,
        mail: MailReceived,
        granted: Granted,
    ) -> None:
        self.at = granted.request.at
        self.mail = mail
        self.client = granted.request.client
        self.account = account_of(granted.decision)
        self.recognised = bool(granted.decision.recognitions)
        self.taken = granted.request.taken
        self.grants = [granted]
        self.asked = False
        self.recipients: list[Recipient] = []
        self.mailboxes: tuple[Mailbox, ...] = ()
        self.granted_paths: tuple[Mailbox, ...] = ()
        self.content: IncomingContent | None = None
        self.no_room: StorageError | None = None

    def accept(self, event: RecipientReceived, granted: Granted, mailbox: Mailbox) -> None:
        """Add a recipient that the policy accepted, once; `mailbox` is where its mail goes."""
        self.granted_paths += (mailbox,)
        if mailbox in self.mailboxes:
            return
        self.grants.append(granted)
        self.recipients.append(Recipient(mailbox, event.notify, event.original, granted.case))
        self.mailboxes += (mailbox,)

    def envelope(self, at: datetime) -> Envelope:
        """Return the envelope, to be taken responsibility for at this moment."""
        timing, by = timing_of(self.mail, self.at), self.mail.deliver_by
        return Envelope(
            reverse_path=self.mail.reverse_path,
            recipients=tuple(self.recipients),
            accepted=at,
            account=self.account,
            client=address_text(self.client.address),
            listener=self.client.listener,
            body=self.mail.body,
            smtputf8=self.mail.smtputf8,
            envelope_id=self.mail.envelope_id,
            return_content=self.mail.return_content,
            recognised=self.recognised,
            requiretls=self.mail.requiretls,
            release=timing.release,
            deliver_by=timing.deliver_by,
            returned_when_late=by is not None and by.returned,
            traced=by is not None and by.traced,
        )

    @property
    def told_of(self) -> list[Granted]:
        """What is worth a case if the transaction comes to nothing: MAIL only if it was alone."""
        return self.grants[1:] if self.asked else self.grants

    def abandon(self) -> None:
        """Throw away what came; may be repeated."""
        if self.content is not None:
            self.content.abandon()


def account_of(decision: Decision) -> str:
    """Return the account that a decision recognised, "" if it was a network, a name or nobody."""
    if decision.reason in (Reason.SIGNED_IN, Reason.POP_WINDOW_OPEN):
        return decision.subject
    return ""
