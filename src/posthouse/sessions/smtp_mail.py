"""Mail transactions of one SMTP session: from commands to decisions, from content to the spool."""

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from posthouse.accounts.store import StoreError
from posthouse.authentication.signatures.arriving import ArrivingMessage
from posthouse.authentication.spf import Sender
from posthouse.authentication.srs import may_return
from posthouse.mail.address import Mailbox
from posthouse.mail.envelope import Envelope
from posthouse.mail.reply import Reply
from posthouse.policy.confirmation import decide_confirmation
from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Client, Request
from posthouse.policy.reasons import Reason
from posthouse.policy.recognition import Known, lasting
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import Rules, Service
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import ContentEnded, MailReceived, RecipientReceived
from posthouse.sessions.acceptance import Judged, Stamp, fields_before, judge, storage_decision
from posthouse.sessions.authenticity import Asked, Authenticity
from posthouse.sessions.content import IncomingContent
from posthouse.sessions.gathering import SignedIn
from posthouse.sessions.recording import Granted, Recorded
from posthouse.sessions.scanning import NO_SCREENING, Scanned, Screening
from posthouse.sessions.smtp_service import SmtpService
from posthouse.sessions.timing import timing_of
from posthouse.sessions.transaction import Transaction
from posthouse.sessions.wording_fields import Particulars
from posthouse.spool.records import StorageError
from posthouse.telemetry.events import Accepted, Held


class Committing(Struct, frozen=True):
    """A message on its way into the spool.

    Attributes:
        id: Our id of it.
        case: Of the decision that accepts it: to hold it, or of its first recipient.
        judged: What was decided about its content.
        grants: What its recipients were granted, for their cases.
        envelope: Of the message.
        octets: Of its content.
        message_id: Its Message-ID field, for the log.
        header: Its header section, if it is held: for the notice.
    """

    id: str
    case: str
    judged: Judged
    grants: tuple[Granted, ...]
    envelope: Envelope
    octets: int
    message_id: str
    header: bytes = b""


class MailWork:
    """Asks the policy at MAIL, RCPT and the final dot, and hands accepted mail to the spool.

    Attributes:
        transaction: The one in progress.
        sign_in_is_gone: At the last MAIL the password of the sign-in was no longer valid.
        accepted: How many messages were accepted.
        begun: How many mail transactions were begun.
    """

    __slots__ = (
        "_answer",
        "_known",
        "_service",
        "accepted",
        "begun",
        "sign_in_is_gone",
        "transaction",
    )

    def __init__(self, service: SmtpService, answer: Callable[[Reply], None]) -> None:
        self._service = service
        self._answer = answer
        self._known: tuple[Client, Rules, Known | None] | None = None
        self.transaction: Transaction | None = None
        self.sign_in_is_gone = False
        self.accepted = 0
        self.begun = 0

    def begin(self, event: MailReceived, known: Client, signed_in: SignedIn | None) -> Reply:
        """Answer MAIL."""
        service = self._service
        at, rules, facts = service.now(), service.rules, service.facts
        if event.hold is not None and (refusal := timing_of(event, at).refusal) is not None:
            return refusal
        try:
            client = facts.client(known, signed_in, at)
        except StoreError as problem:
            request = Request(at, known, reverse_path=event.reverse_path)
            return service.recorder.record(_unreadable(problem), request, rules).reply
        self.sign_in_is_gone = signed_in is not None and client.signed_in is None
        sender = event.reverse_path.mailbox
        request = Request(
            at=at,
            client=client,
            reverse_path=event.reverse_path,
            octets=event.declared_octets or 0,
            taken=facts.taken(client, (sender,) if sender else ()),
        )
        decision = decide_mail(request, rules, self._lasting(request, rules))
        if not decision.accepted:
            return service.recorder.record(decision, request, rules).reply
        granted = service.recorder.grant(decision, request)
        self.transaction = Transaction(event, granted)
        self.begun += 1
        return granted.reply

    def _lasting(self, request: Request, rules: Rules) -> Known | None:
        """What the doors say to this client, asked again where it or the rules have changed."""
        known = self._known
        if known is None or known[1] is not rules or known[0] != request.client:
            known = self._known = request.client, rules, lasting(request, rules)
        return known[2]

    def asks_first(
        self, event: RecipientReceived, then: Callable[[RecipientReceived], None]
    ) -> bool:
        """Whether the server behind our relay is asked who exists there; `then` follows."""
        relayed, transaction = self._service.facts.relayed, self.transaction
        if relayed is None or not relayed.must_ask(event.forward_path):
            return False

        def go_on() -> None:
            if self.transaction is transaction:  # else the client has left meanwhile
                then(event)

        relayed.ask(event.forward_path, go_on)
        return True

    def add_recipient(self, event: RecipientReceived) -> Reply:
        """Answer RCPT; each recipient is decided by itself."""
        transaction, service = self._open(), self._service
        rules = service.rules
        transaction.asked = True
        exists, unreadable = self._look_up(event.forward_path)
        request = Request(
            at=service.now(),
            client=transaction.client,
            reverse_path=transaction.mail.reverse_path,
            forward_path=event.forward_path,
            recipient_exists=exists,
            recipient_unreadable=unreadable,
            recipients=transaction.granted_paths,
            usage=service.counts.now(transaction, event.forward_path),
            taken=transaction.taken,
        )
        service.facts.take_note(request)
        decision = decide_recipient(request, rules, self._lasting(request, rules))
        if not decision.accepted:
            return service.recorder.record(decision, request, rules).reply
        granted = service.recorder.grant(decision, request)
        transaction.accept(event, granted, self._destination(event.forward_path))
        return granted.reply

    def _destination(self, mailbox: Mailbox) -> Mailbox:
        """Our postmaster's mailbox for mail to postmaster at the host name; else as it is."""
        rules, postmaster = self._service.rules, self._service.postmaster
        if mailbox.domain != rules.hostname or rules.hostname in rules.local_domains:
            return mailbox
        is_ours = mailbox.local_part.lower() == "postmaster" and postmaster is not None
        return postmaster if is_ours and postmaster else mailbox

    def _look_up(self, mailbox: Mailbox) -> tuple[bool | None, bool]:
        """Whether the local mailbox exists, and whether that could not be found out."""
        returns = self._service.returns
        if returns is not None and returns.is_rewritten(mailbox):
            path = self._open().mail.reverse_path
            target = returns.reverse(mailbox, self._service.now())
            return may_return(path) and isinstance(target, Mailbox), False
        try:
            return self._service.facts.recipient_exists(mailbox, self._service.rules), False
        except StoreError:
            return None, True

    def begin_content(self) -> Reply:
        """Answer DATA."""
        if (trouble := self._no_room()) is not None:
            return self._record(Judged(storage_decision(trouble), self._request())).reply
        self._open_content()
        return replies.SEND_CONTENT

    def _no_room(self) -> StorageError | None:
        """Why no content can be taken now; None if it can."""
        if self._service.census.contents < self._service.limits.contents_max:
            return self._service.spool.trouble
        return StorageError("full", "as many messages are arriving as there is memory for")

    def _open_content(self) -> IncomingContent:
        transaction, service = self._open(), self._service
        service.census.content_begun()
        transaction.content = IncomingContent(
            service.spool.open_intake(),
            self._screening(transaction),
            service.census.content_ended,
            hostname=service.rules.hostname,
            examined=self._examined(transaction),
        )
        return transaction.content

    def _screening(self, transaction: Transaction) -> Screening:
        service = self._service
        if not service.checks:
            return NO_SCREENING
        scanned = Scanned(
            at=service.now(),
            relayed=transaction.recognised,
            usage=lambda: service.counts.now(transaction, None),
        )
        return Screening(service.checks, scanned)

    def _examined(self, transaction: Transaction) -> ArrivingMessage | None:
        """What examines the message: those that strangers bring to us."""
        service = self._service
        listener = service.rules.listeners.get(transaction.client.listener)
        by_others = listener is not None and listener.service is Service.SMTP
        if service.examiner is None or transaction.recognised or not by_others:
            return None
        return service.examiner.begin()

    def take_content(self, octets: bytes) -> None:
        """Take part of the content; with BDAT nothing announced it, and a refusal must wait."""
        transaction = self._open()
        if transaction.content is None and transaction.no_room is None:
            transaction.no_room = self._no_room()
        if transaction.no_room is None:
            (transaction.content or self._open_content()).take(octets)

    def end_content(self, event: ContentEnded, *, extended: bool, tls: str) -> Reply | None:
        """Answer the end of the content; None while it is examined and made safe."""
        transaction, service = self._open(), self._service
        if transaction.no_room is not None:
            refused = Judged(storage_decision(transaction.no_room), self._request())
            self.abandon()
            return self._record(refused).reply
        content = transaction.content or self._open_content()
        content.finish()
        request, rules = self._request(), service.rules
        known = self._lasting(request, rules)
        judged = judge(transaction, event, request, service.facts, rules, known)
        if not judged.decision.accepted:
            self.abandon()
            return self._record(judged).reply
        stamp = Stamp(
            service.spool.new_id(), judged.request.at, extended, tls, judged.request.findings
        )
        if service.examiner is None or content.examined is None:
            self._commit(transaction, judged, stamp, Authenticity())
            return None
        sender = Sender(
            transaction.client.address, transaction.client.hello, transaction.mail.reverse_path
        )
        service.examiner.examine(
            content.examined,
            Asked(sender, service.rules.hostname, judged.request.at),
            partial(self._commit, transaction, judged, stamp),
        )
        return None

    def _commit(
        self, transaction: Transaction, judged: Judged, stamp: Stamp, found: Authenticity
    ) -> None:
        if self.transaction is not transaction:
            return  # the client left while its message was examined
        service, content = self._service, transaction.content
        assert content is not None, "judged"
        decision = judged.decision
        if found.steps:
            decision = replace(decision, trace=decision.trace + found.steps)
            decision = decide_confirmation(decision, found.confirmation, service.rules)
            judged = replace(judged, decision=decision)
        if not decision.accepted:
            self.abandon()
            self._answer(self._record(judged).reply)
            return
        before = found.field + fields_before(
            transaction, judged.request.client, stamp, service.rules
        )
        message_ids = content.header.fields("Message-ID")
        held = decision.verdict is Verdict.HOLD
        committing = Committing(
            id=stamp.message_id,
            case=service.recorder.new_case() if held else transaction.grants[1].case,
            judged=judged,
            grants=tuple(transaction.grants[1:]),
            envelope=transaction.envelope(judged.request.at),
            octets=len(before) + content.octets,
            message_id=message_ids[0].decode("utf-8", "replace") if message_ids else "",
            header=content.header.octets if held else b"",
        )
        self._service.counts.add(transaction)
        self.transaction = None
        content.surrender().commit(
            committing.envelope,
            id=committing.id,
            prepend=before,
            hold=_why_held(decision),
            case=committing.case,
            done=partial(self._tell_loop, committing),
        )

    def _tell_loop(self, committing: Committing, trouble: StorageError | None) -> None:
        """Called from a thread of the spool."""
        self._service.hop.call(partial(self._committed, committing, trouble))

    def _committed(self, committing: Committing, trouble: StorageError | None) -> None:
        judged = committing.judged
        if trouble is not None:
            recorder = self._service.recorder
            recorder.record_grants(committing.grants)
            judged = Judged(storage_decision(trouble), judged.request)
            self._answer(self._record(judged).reply)
            return
        self.accepted += 1
        reply = self._service.recorder.record_message(
            committing.grants,
            judged.decision,
            judged.request,
            self._service.rules,
            Particulars(
                committing.case, committing.id, judged.detail, header_id=committing.message_id
            ),
        )
        self._log(committing)
        self._answer(reply)

    def _log(self, committing: Committing) -> None:
        envelope, decision = committing.envelope, committing.judged.decision
        self._service.log(
            Accepted(
                message=committing.id,
                client=envelope.client,
                account=envelope.account,
                reverse_path=str(envelope.reverse_path),
                recipients=len(envelope.recipients),
                octets=committing.octets,
                message_id=committing.message_id,
                case=committing.case,
                reason=committing.grants[0].decision.reason,
            )
        )
        if decision.verdict is Verdict.HOLD:
            self._service.log(
                Held(committing.id, committing.case, decision.reason, str(envelope.reverse_path))
            )
            self._service.held.tell(
                committing.id, envelope, committing.case, decision, committing.header
            )

    def abandon(self) -> None:
        """Forget the transaction and what came of it; may be repeated."""
        if self.transaction is not None:
            self._service.recorder.record_grants(self.transaction.told_of)
            self.transaction.abandon()
            self.transaction = None

    def _open(self) -> Transaction:
        assert self.transaction is not None, "the core keeps the order of commands"
        return self.transaction

    def _request(self) -> Request:
        """What is known of the transaction at this moment."""
        transaction = self._open()
        return Request(
            at=self._service.now(),
            client=transaction.client,
            reverse_path=transaction.mail.reverse_path,
            recipients=transaction.mailboxes,
            taken=transaction.taken,
        )

    def _record(self, judged: Judged) -> Recorded:
        particulars = Particulars(detail=judged.detail)
        return self._service.recorder.record(
            judged.decision, judged.request, self._service.rules, particulars
        )


def _unreadable(problem: StoreError) -> Decision:
    """Nobody can tell whether the sign-in is still valid: its door does not open."""
    trace = (Step("sign-in is still valid", answer=False, because=str(problem)),)
    return Decision(Stage.MAIL, Verdict.DEFER, Reason.RECOGNITION_UNREADABLE, trace)


def _why_held(decision: Decision) -> str:
    if decision.verdict is not Verdict.HOLD:
        return ""
    return f"{decision.reason} ({decision.subject})" if decision.subject else str(decision.reason)
