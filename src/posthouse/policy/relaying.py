"""May this sender write, may this recipient be served, for this client? The heart of the server.

Pure: the same request and rules give the same decision, today and in next year's replay.
"""

from typing import Final

from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Request
from posthouse.policy.identity import allowed_texts, may_send_from, reverse_path_step
from posthouse.policy.limits import too_big, too_many_recipients, used_up_budget
from posthouse.policy.reasons import Reason
from posthouse.policy.recognition import Known, Recognition, recognise
from posthouse.policy.rules import Rules, Service

# Read by old mailers inside a local-part as "pass on to": never handed to a next hop.
ROUTE_SIGNS: Final = frozenset("%!@")


def decide_mail(request: Request, rules: Rules, lasting: Known | None = None) -> Decision:
    """Decide MAIL FROM (RFC 5321 §3.3, RFC 6409 §4.3 and §6.1).

    On a submission listener the client must come through a door. A recognised client must use a
    reverse-path of its own. Anybody may bring mail to a transfer listener. Who has it brings
    what `recognition.lasting` said.
    """
    size = too_big(request, rules)
    if size is not None:
        return Decision(Stage.MAIL, Verdict.REFUSE, Reason.MESSAGE_TOO_BIG, (size,))
    known = lasting or recognise(request, rules)
    trace = list(known.steps)
    if not known.open:
        if _is_submission(request, rules):
            return _not_recognised(Stage.MAIL, Reason.SIGN_IN_FIRST, known, trace)
        return Decision(Stage.MAIL, Verdict.ACCEPT, Reason.WELCOME, tuple(trace))
    fitting = _fitting(known, request, rules)
    trace.append(reverse_path_step(rules, allowed=bool(fitting)))
    if not fitting:
        return _sender_not_own(Stage.MAIL, known, request, rules, trace)
    return Decision(
        Stage.MAIL,
        Verdict.ACCEPT,
        fitting[0].reason,
        tuple(trace),
        subject=fitting[0].detail,
        recognitions=tuple(map(str, fitting)),
    )


def decide_recipient(request: Request, rules: Rules, lasting: Known | None = None) -> Decision:
    """Decide one RCPT TO (RFC 5321 §3.6.2, RFC 6409 §3.3). Recipients are decided one by one.

    Who has it brings what `recognition.lasting` said at MAIL.
    """
    recipient = request.forward_path
    assert recipient is not None, "a recipient is decided about"
    too_many = too_many_recipients(request, rules)
    if too_many is not None:
        return Decision(Stage.RECIPIENT, Verdict.DEFER, Reason.TOO_MANY_RECIPIENTS, (too_many,))
    local = _local_step(request, rules)
    known = lasting or recognise(request, rules)
    trace = [local, *known.steps]
    if local.answer and not _is_submission(request, rules):
        through = _served_by(known, request, rules)
        return _decide_local(request, rules, through, trace)
    if not known.open:
        reason = Reason.SIGN_IN_FIRST if local.answer else Reason.NOT_RECOGNISED
        return _not_recognised(Stage.RECIPIENT, reason, known, trace)
    fitting = _fitting(known, request, rules)
    trace.append(reverse_path_step(rules, allowed=bool(fitting)))
    if not fitting:
        return _sender_not_own(Stage.RECIPIENT, known, request, rules, trace)
    serving = [it for it in fitting if _sends_to(it, request)]
    if any(it.door.sends_to is not None for it in fitting):
        because = ", ".join(it.door.name for it in fitting)
        trace.append(Step("door is for this recipient", bool(serving), because))
    if not serving:
        return _recipient_not_in_door(fitting, trace)
    if local.answer:
        return _decide_local(request, rules, serving, trace)
    return _within_budget(serving, request, rules, trace) or Decision(
        Stage.RECIPIENT,
        Verdict.ACCEPT,
        serving[0].reason,
        tuple(trace),
        subject=serving[0].detail,
        recognitions=tuple(map(str, serving)),
    )


def _is_submission(request: Request, rules: Rules) -> bool:
    listener = rules.listeners.get(request.client.listener)
    return listener is not None and listener.service is Service.SUBMISSION


def _local_step(request: Request, rules: Rules) -> Step:
    """Is the recipient's domain one of ours? `postmaster` is, wherever we are (RFC 5321 §4.5.1)."""
    assert request.forward_path is not None
    domain = request.forward_path.domain
    local = rules.local_domains.get(domain)
    if local is not None:
        return Step(
            "recipient is local", answer=True, because=f"domain {domain}", where=local.where
        )
    if domain == rules.hostname and request.forward_path.local_part.lower() == "postmaster":
        return Step("recipient is local", answer=True, because="postmaster of this host")
    return Step("recipient is local", answer=False, because=f"domain {domain} is not ours")


def _fitting(known: Known, request: Request, rules: Rules) -> list[Recognition]:
    """The open doors that allow the reverse-path."""
    path = request.reverse_path
    return [it for it in known.open if may_send_from(it, path, request, rules)]


def _sends_to(recognition: Recognition, request: Request) -> bool:
    assert request.forward_path is not None
    limit = recognition.door.sends_to
    return limit is None or limit.holds(request.forward_path)


def _served_by(known: Known, request: Request, rules: Rules) -> list[Recognition]:
    return [it for it in _fitting(known, request, rules) if _sends_to(it, request)]


def _decide_local(
    request: Request, rules: Rules, through: list[Recognition], trace: list[Step]
) -> Decision:
    """Mail for our own domains is always welcome, where it can arrive."""
    recipient = request.forward_path
    assert recipient is not None
    if request.recipient_unreadable:
        trace.append(Step("recipient can be looked up", answer=False, because=str(recipient)))
        return Decision(Stage.RECIPIENT, Verdict.DEFER, Reason.RECIPIENT_UNREADABLE, tuple(trace))
    domain = rules.local_domains.get(recipient.domain)
    if domain is not None and domain.relayed and ROUTE_SIGNS & set(recipient.local_part):
        because = f"{recipient} would be passed on"
        trace.append(
            Step("recipient holds a route", answer=True, because=because, where=domain.where)
        )
        return Decision(Stage.RECIPIENT, Verdict.REFUSE, Reason.ROUTED_RECIPIENT, tuple(trace))
    exists = request.recipient_exists is not False
    known = "" if request.recipient_exists is not None else ", taken to exist"
    trace.append(Step("mailbox exists", exists, f"{recipient}{known}"))
    if not exists:
        return Decision(Stage.RECIPIENT, Verdict.REFUSE, Reason.RECIPIENT_UNKNOWN, tuple(trace))
    if through and (over := _within_budget(through, request, rules, trace)):
        return over
    return Decision(
        Stage.RECIPIENT,
        Verdict.ACCEPT,
        Reason.LOCAL_RECIPIENT,
        tuple(trace),
        recognitions=tuple(map(str, through)),
    )


def _within_budget(
    serving: list[Recognition], request: Request, rules: Rules, trace: list[Step]
) -> Decision | None:
    """Defer where every open door's budget is used up; a screening check may take that over."""
    if rules.holds_over_budget:
        return None
    over = None
    for recognition in serving:
        used_up = used_up_budget(recognition, request, rules)
        if used_up is None:
            return None
        over = over or used_up
    assert over is not None
    step, reason = over
    return Decision(Stage.RECIPIENT, Verdict.DEFER, reason, (*trace, step))


def _not_recognised(stage: Stage, otherwise: Reason, known: Known, trace: list[Step]) -> Decision:
    """Say why no door is open, the nearest miss first: an ended window is not a stranger."""
    verdict, reason = Verdict.REFUSE, otherwise
    if known.address_lost:
        reason = Reason.ADDRESS_LOST
    elif known.unreadable:
        verdict, reason = Verdict.DEFER, Reason.RECOGNITION_UNREADABLE
    elif known.other_sender:
        reason = Reason.POP_WINDOW_OTHER_SENDER
    elif known.minutes_ago is not None:
        reason = Reason.POP_WINDOW_ENDED
    elif known.ended is not None:
        reason = Reason.DOOR_ENDED
    subject = known.ended.name if reason is Reason.DOOR_ENDED and known.ended else known.unreadable
    return Decision(
        stage, verdict, reason, tuple(trace), minutes_ago=known.minutes_ago, subject=subject
    )


def _sender_not_own(
    stage: Stage, known: Known, request: Request, rules: Rules, trace: list[Step]
) -> Decision:
    allowed: dict[str, None] = {}
    for recognition in known.open:
        allowed.update(
            dict.fromkeys(allowed_texts(recognition, rules.identity.reverse_path, rules))
        )
    return Decision(
        stage,
        Verdict.REFUSE,
        Reason.SENDER_NOT_OWN,
        tuple(trace),
        allowed=tuple(allowed),
        subject=str(request.reverse_path),
        recognitions=tuple(map(str, known.open)),
    )


def _recipient_not_in_door(fitting: list[Recognition], trace: list[Step]) -> Decision:
    allowed: dict[str, None] = {}
    for recognition in fitting:
        if recognition.door.sends_to is not None:
            allowed.update(dict.fromkeys(recognition.door.sends_to.texts()))
    return Decision(
        Stage.RECIPIENT,
        Verdict.REFUSE,
        Reason.RECIPIENT_NOT_IN_DOOR,
        tuple(trace),
        allowed=tuple(allowed),
        recognitions=tuple(map(str, fitting)),
    )
