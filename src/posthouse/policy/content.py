"""May this message be taken, now that its content is known? Size, loops, authorship, screening."""

from collections.abc import Iterator

from msgspec.structs import replace

from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Finding, Request
from posthouse.policy.identity import Objection, may_send_from, objection_to_authorship
from posthouse.policy.limits import too_big
from posthouse.policy.reasons import Reason
from posthouse.policy.recognition import Known, Recognition, recognise
from posthouse.policy.rules import CheckRule, Rules


def decide_content(request: Request, rules: Rules, lasting: Known | None = None) -> Decision:
    """Decide a whole message, after its final dot (RFC 5321 §4.1.1.4, RFC 6409 §6.1).

    Who has it brings what `recognition.lasting` said at MAIL. What would be held is decided
    last: a message that is refused anyway is never kept.
    """
    trace: list[Step] = []
    held: Decision | None = None
    for decision in _objections(request, rules, trace, lasting):
        if decision.verdict is not Verdict.HOLD:
            return decision
        held = held or decision
    return held or Decision(Stage.CONTENT, Verdict.ACCEPT, Reason.CONTENT_FINE, tuple(trace))


def _objections(
    request: Request, rules: Rules, trace: list[Step], lasting: Known | None
) -> Iterator[Decision]:
    """Ask everything in order, and yield a decision for each thing that is wrong."""
    size = too_big(request, rules)
    if size is not None:
        trace.append(size)
        yield Decision(Stage.CONTENT, Verdict.REFUSE, Reason.MESSAGE_TOO_BIG, tuple(trace))
    hops, limit = request.hops, rules.limits.hops
    trace.append(Step("message goes in a loop", hops > limit, f"{hops} of {limit} Received fields"))
    if hops > limit:
        yield Decision(Stage.CONTENT, Verdict.REFUSE, Reason.MAIL_LOOP, tuple(trace))
    identity = _decide_authorship(request, rules, trace, lasting)
    if identity is not None:
        yield identity
    for finding in request.findings:
        rule = rules.checks.get(finding.check)
        if rule is not None and (decision := _decide_finding(finding, rule, trace)) is not None:
            yield _of_the_right_budget(decision, request, rules)


def _decide_authorship(
    request: Request, rules: Rules, trace: list[Step], lasting: Known | None
) -> Decision | None:
    """Check From, Sender and Reply-To of a recognised client; a stranger's are not our business.

    Any open door that allows all of them is enough.
    """
    if request.authorship is None:
        return None
    known = lasting or recognise(request, rules)
    fitting = [it for it in known.open if may_send_from(it, request.reverse_path, request, rules)]
    if not fitting:
        trace.append(Step("client is recognised", answer=False, because="a stranger may write"))
        return None
    first: tuple[Recognition, Objection] | None = None
    for recognition in fitting:
        objection = objection_to_authorship(recognition, request.authorship, request, rules)
        if objection is None:
            trace.append(Step("author is the client's own", answer=True, because=str(recognition)))
            return None
        first = first or (recognition, objection)
    assert first is not None
    recognition, objection = first
    because = f"{objection.field} {objection.subject}, sent by {recognition}"
    where = rules.identity.where
    trace.append(Step("author is the client's own", answer=False, because=because, where=where))
    return Decision(
        Stage.CONTENT,
        Verdict.HOLD if rules.identity.hold else Verdict.REFUSE,
        objection.reason,
        tuple(trace),
        allowed=objection.allowed,
        field=objection.field,
        subject=objection.subject,
        recognitions=tuple(map(str, fitting)),
    )


def _of_the_right_budget(decision: Decision, request: Request, rules: Rules) -> Decision:
    """A client without an account used up the budget of its address."""
    if decision.reason is not Reason.ACCOUNT_RECIPIENT_BUDGET:
        return decision
    if any(it.account is not None for it in recognise(request, rules).open):
        return decision
    return replace(decision, reason=Reason.ADDRESS_RECIPIENT_BUDGET)


def _decide_finding(finding: Finding, rule: CheckRule, trace: list[Step]) -> Decision | None:
    """Turn what a check said into what its entry wants: refuse, hold or defer; or nothing."""
    question = f"{rule.name} found something"
    if finding.found is None:
        trace.append(Step(question, answer=False, because=f"no answer: {finding.detail}"))
        if rule.no_answer == "accept":
            return None
        verdict, reason = Verdict.DEFER, Reason.SCREENING_SILENT
    else:
        trace.append(Step(question, finding.found, finding.detail, rule.where))
        if not finding.found or rule.found == "mark":
            return None
        verdict = Verdict.HOLD if rule.found == "hold" else Verdict.REFUSE
        reason = Reason.LOOKS_LIKE_SPAM
        if rule.ask == "recipient-budget":
            reason = Reason.ACCOUNT_RECIPIENT_BUDGET
    return Decision(Stage.CONTENT, verdict, reason, tuple(trace), subject=rule.name)
