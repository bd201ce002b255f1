"""What is decided and written at the end of a content, before the spool has it."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from posthouse.mail.message import (
    Arrival,
    authorship,
    count_received,
    received_field,
    transmission_type,
)
from posthouse.policy.content import decide_content
from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Client, Finding, Request
from posthouse.policy.reasons import Reason
from posthouse.policy.recognition import Known
from posthouse.policy.rules import Rules, Service
from posthouse.protocol.smtp.events import ContentEnded
from posthouse.protocol.smtp.replies import FOR_BAD_CONTENT
from posthouse.sessions.content import IncomingContent
from posthouse.sessions.gathering import Facts, addresses_used, authorship_of
from posthouse.sessions.submission import missing_fields
from posthouse.sessions.transaction import Transaction
from posthouse.spool.records import StorageError
from posthouse.telemetry.escaping import escaped_to_ascii

TOO_BIG = "too-big"  # in `ContentEnded.bad`


class Judged(Struct, frozen=True):
    """A content and what is said to it.

    Attributes:
        decision: Accept, hold, refuse or defer.
        request: What was asked.
        detail: What is wrong with its form, for the reply.
    """

    decision: Decision
    request: Request
    detail: str = ""


def judge(
    transaction: Transaction,
    ended: ContentEnded,
    base: Request,
    facts: Facts,
    rules: Rules,
    lasting: Known | None,
) -> Judged:
    """Decide about a whole content.

    Args:
        transaction: To which it belongs.
        ended: What the protocol core says of its form.
        base: What is known without the content: time, client, reverse-path, recipients.
        facts: To look up addresses that the header names.
        rules: What the operator allows.
        lasting: What the doors say, where no moment can change it.
    """
    content = transaction.content
    assert content is not None, "content has come"
    request = replace(base, octets=ended.octets_total)
    if ended.bad == TOO_BIG:
        octets = max(ended.octets_total, rules.limits.message_octets + 1)
        request = replace(request, octets=octets)
        return Judged(decide_content(request, rules), request)
    if content.trouble is not None:
        return Judged(storage_decision(content.trouble), request)
    if ended.bad:
        return _misformed(request, FOR_BAD_CONTENT[ended.bad].text)
    if content.header_is_too_big:
        return _misformed(request, "its header section is larger than 64 KiB")
    if transaction.mail.body == "BINARYMIME" and content.header.malformed:
        return _misformed(request, content.header.malformed)  # only its body may be binary
    return _judge_whole(content, request, facts, rules, lasting)


def _judge_whole(
    content: IncomingContent, request: Request, facts: Facts, rules: Rules, lasting: Known | None
) -> Judged:
    request = replace(
        request,
        authorship=authorship_of(authorship(content.header)),
        hops=count_received(content.header),
        findings=content.findings(),
    )
    taken = facts.taken(request.client, addresses_used(request))
    if taken:
        request = replace(request, taken=taken)
    return Judged(decide_content(request, rules, lasting), request)


def _misformed(request: Request, detail: str) -> Judged:
    trace = (Step("content keeps to the format", answer=False, because=detail),)
    decision = Decision(Stage.CONTENT, Verdict.REFUSE, Reason.BREAKS_FORMAT, trace)
    return Judged(decision, request, detail)


def storage_decision(trouble: StorageError) -> Decision:
    """Return what is said when the spool cannot take a message: 452 if full, else 451."""
    reason = Reason.STORAGE_FULL if trouble.kind == "full" else Reason.STORAGE_FAILED
    trace = (Step("message can be stored", answer=False, because=str(trouble)),)
    return Decision(Stage.CONTENT, Verdict.DEFER, reason, trace)


class Stamp(Struct, frozen=True):
    """What our Received field tells of the session besides its client.

    Attributes:
        message_id: Our id of the message.
        at: When it was received.
        extended: The client said EHLO.
        tls: TLS version and cipher, for people.
        findings: What screening found.
    """

    message_id: str
    at: datetime
    extended: bool
    tls: str = ""
    findings: tuple[Finding, ...] = ()


def fields_before(transaction: Transaction, client: Client, stamp: Stamp, rules: Rules) -> bytes:
    """Return what is put before the content: Received, and on submission what is missing there."""
    content = transaction.content
    assert content is not None, "content has come"
    only = transaction.mailboxes[0] if len(transaction.mailboxes) == 1 else None
    received = received_field(
        Arrival(
            hello=client.hello,
            address=client.address,
            hostname=rules.hostname,
            transmission=transmission_type(
                extended=stamp.extended,
                tls=client.tls,
                signed_in=client.signed_in is not None,
                smtputf8=transaction.mail.smtputf8,
            ),
            message_id=stamp.message_id,
            at=stamp.at,
            recipient=only,
            tls=stamp.tls,
        )
    )
    received += _marks(stamp.findings, rules)
    listener = rules.listeners.get(client.listener)
    if listener is None or listener.service is not Service.SUBMISSION:
        return received
    return received + missing_fields(
        content.header, at=stamp.at, message_id=stamp.message_id, hostname=rules.hostname
    )


def _marks(findings: tuple[Finding, ...], rules: Rules) -> bytes:
    """Return a field for each finding that the operator wants marked, for filters further on."""
    marked = [
        escaped_to_ascii(f"X-Screening: {finding.check}; {finding.detail}")
        for finding in findings
        if finding.found and finding.check in rules.checks
        if rules.checks[finding.check].found == "mark"
    ]
    return "".join(f"{field}\r\n" for field in marked).encode("ascii")
