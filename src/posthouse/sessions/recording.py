"""From a decision to its reply, its case and its line in the log: all three tell the same.

A refusal is recorded at once. What is granted to a mail transaction is recorded when it is known
what became of the mail: a message that was accepted has one case for each recipient, which tells
its way from RCPT to the final dot.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from posthouse.mail.reply import Reply
from posthouse.policy.decision import Decision, Stage, Verdict
from posthouse.policy.facts import Request
from posthouse.policy.networks import address_text
from posthouse.policy.rules import Rules
from posthouse.sessions.advice import Advice
from posthouse.sessions.shadow import Shadow
from posthouse.sessions.wording import reply_to, welcome
from posthouse.sessions.wording_fields import Particulars, SiteWords
from posthouse.telemetry.case import Case, case_of
from posthouse.telemetry.events import Decided, LogEvent, Refused

KINDS_MAX: Final = 10_000  # of refusals remembered, by client and reason


class Recorded(Struct, frozen=True):
    """A decision that was put into words.

    Attributes:
        case: Its id.
        reply: What the client hears.
    """

    case: str
    reply: Reply


class Granted(Struct, frozen=True):
    """A yes to MAIL or RCPT, not yet recorded.

    Attributes:
        case: Id that its case will have; "" for a MAIL, which seldom gets one.
        decision: The yes.
        request: What was asked.
        reply: What the client heard.
    """

    case: str
    decision: Decision
    request: Request
    reply: Reply


class CaseKeeper(Protocol):
    """Keeps decisions; never waits, never fails."""

    def new_id(self, client: str = "", reason: str = "") -> str:
        """Return the id for the next case, or of one that stands for its kind."""
        ...

    def record(self, case: Case) -> None:
        """Keep a case."""
        ...


class Recorder:
    """Records every decision of a server.

    Attributes:
        site: How the site speaks; replaced by a reload.
        shadow: Other rules that are tried beside; None for none.
    """

    def __init__(
        self,
        cases: CaseKeeper,
        log: Callable[[LogEvent], None],
        site: SiteWords,
        advised: Callable[[Request], Request],
    ) -> None:
        """Begin.

        Args:
            cases: Where decisions are kept.
            log: Takes events; never blocks.
            site: How the site speaks.
            advised: Adds to a refused request what only advice may use (`sender_account`).
        """
        self.site = site
        self.shadow: Shadow | None = None
        self._cases = cases
        self._log = log
        self._advised = advised
        self._advice = Advice()
        self._latest: dict[tuple[str, str], str] = {}  # case by client and reason

    def new_case(self) -> str:
        """Return an id for a decision that is recorded later."""
        return self._cases.new_id()

    def record(
        self,
        decision: Decision,
        request: Request,
        rules: Rules,
        particulars: Particulars = Particulars(),  # noqa: B008 - frozen
    ) -> Recorded:
        """Put a decision into words, keep it as a case, and log it. Never waits, never fails."""
        recorded = self._record(decision, request, rules, particulars)
        if self.shadow is not None:
            self.shadow.look(decision, request, recorded.case)
        return recorded

    def grant(self, decision: Decision, request: Request) -> Granted:
        """Put a yes to MAIL or RCPT into words; `record_message` or `record_grants` follows."""
        wanted = decision.stage is Stage.RECIPIENT or self.shadow is not None
        case = self._cases.new_id() if wanted else ""
        granted = Granted(case, decision, request, welcome(decision))
        if self.shadow is not None:
            self.shadow.look(decision, request, granted.case)
        return granted

    def record_message(
        self,
        grants: Iterable[Granted],
        decision: Decision,
        request: Request,
        rules: Rules,
        particulars: Particulars,
    ) -> Reply:
        """Keep what let a message in, recipient by recipient, and return the answer to its end.

        Args:
            grants: Those of its recipients.
            decision: About its content; one that holds it has a case of its own.
            request: What was asked about its content.
            rules: What the operator allows.
            particulars: What reply and cases mention besides.
        """
        further = decision.trace
        if decision.verdict is Verdict.HOLD:
            reply, further = self.record(decision, request, rules, particulars).reply, ()
        else:
            reply = reply_to(decision, request, rules, self.site, particulars)
            if self.shadow is not None:
                self.shadow.look(decision, request, particulars.case)
        heard = str(reply)
        for one in grants:
            asked = replace(
                one.request,
                authorship=request.authorship,
                octets=request.octets,
                hops=request.hops,
                findings=request.findings,
                taken=request.taken,
            )
            case = case_of(
                one.case,
                asked,
                one.decision,
                reply=heard,
                message_id=particulars.message,
                header_id=particulars.header_id,
                further=further,
            )
            self._cases.record(case)
        return reply

    def record_grants(self, grants: Iterable[Granted]) -> None:
        """Keep what was granted to a transaction that came to nothing."""
        for one in grants:
            case_id = one.case or self._cases.new_id()
            case = case_of(case_id, one.request, one.decision, reply=str(one.reply))
            self._cases.record(case)
            self._log(_decided(case))

    def _record(
        self, decision: Decision, request: Request, rules: Rules, particulars: Particulars
    ) -> Recorded:
        if decision.accepted:
            return self._record_accepted(decision, request, rules, particulars)
        client = address_text(request.client.address)
        case_id = particulars.case or self._cases.new_id(client, decision.reason)
        told = replace(particulars, case=case_id)
        reply = reply_to(decision, request, rules, self.site, told)
        repeated = self._is_repeated(client, decision.reason, case_id)
        help_texts = (
            () if repeated else self._advice.would_help(self._advised(request), rules, decision)
        )
        case = case_of(
            case_id,
            request,
            decision,
            reply=str(reply),
            would_help=help_texts,
            account=particulars.account,
        )
        self._cases.record(case)
        self._log(_refused(case))
        return Recorded(case_id, reply)

    def _is_repeated(self, client: str, reason: str, case_id: str) -> bool:
        """Whether an earlier case stands for this one too: what would help was told there."""
        if self._latest.get((client, reason)) == case_id:
            return True
        if len(self._latest) >= KINDS_MAX:
            self._latest.clear()
        self._latest[client, reason] = case_id
        return False

    def _record_accepted(
        self, decision: Decision, request: Request, rules: Rules, particulars: Particulars
    ) -> Recorded:
        case_id = particulars.case or self._cases.new_id()
        told = replace(particulars, case=case_id)
        reply = reply_to(decision, request, rules, self.site, told)
        case = case_of(
            case_id,
            request,
            decision,
            reply=str(reply),
            message_id=particulars.message,
            header_id=particulars.header_id,
        )
        self._cases.record(case)
        self._log(_decided(case))
        return Recorded(case_id, reply)


def _decided(case: Case) -> Decided:
    return Decided(
        case=case.id,
        stage=case.stage.value,
        verdict=case.verdict.value,
        reason=case.reason,
        client=case.client,
        account=case.account,
        reverse_path=case.reverse_path,
        forward_path=case.forward_path,
    )


def _refused(case: Case) -> Refused:
    return Refused(
        case=case.id,
        stage=case.stage.value,
        verdict=case.verdict.value,
        reason=case.reason,
        reply=case.reply,
        client=case.client,
        listener=case.listener,
        hello=case.hello,
        account=case.account,
        reverse_path=case.reverse_path,
        forward_path=case.forward_path,
    )
