"""How much: sessions, sizes, recipients, budgets."""

from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Load, Request
from posthouse.policy.reasons import Reason
from posthouse.policy.recognition import Recognition
from posthouse.policy.rules import Budget, Limits, Rules


def decide_connection(request: Request, rules: Rules) -> Decision:
    """Decide whether a new connection is served."""
    load, limits = request.load, rules.limits
    trace: list[Step] = []
    questions = (
        ("server is stopping", load.shutting_down, "", Reason.SHUTTING_DOWN),
        (
            "server is full",
            load.sessions >= limits.sessions,
            f"{load.sessions} of {limits.sessions} sessions",
            Reason.TOO_MANY_SESSIONS,
        ),
        (
            "address has too many sessions",
            load.sessions_from_address >= limits.sessions_per_address,
            f"{load.sessions_from_address} of {limits.sessions_per_address} sessions",
            Reason.TOO_MANY_SESSIONS_FROM_ADDRESS,
        ),
    )
    for question, answer, because, reason in (*questions, *_too_often(load, limits)):
        trace.append(Step(question, answer, because))
        if answer:
            return Decision(Stage.CONNECTION, Verdict.DEFER, reason, tuple(trace))
    return Decision(Stage.CONNECTION, Verdict.ACCEPT, Reason.WELCOME, tuple(trace))


def _too_often(load: Load, limits: Limits) -> tuple[tuple[str, bool, str, Reason], ...]:
    """Ask about the budget of connections, where there is one."""
    budget, made = limits.address_connections, load.connections_from_address
    if budget is None:
        return ()
    because = f"{made} of {budget.count} in {budget.period}"
    reason = Reason.ADDRESS_CONNECTION_BUDGET
    return (("address connects too often", made >= budget.count, because, reason),)


def too_big(request: Request, rules: Rules) -> Step | None:
    """Return a step if the message, declared or received, is over the limit (RFC 1870)."""
    limit = rules.limits.message_octets
    if request.octets <= limit:
        return None
    return Step("message is too big", answer=True, because=f"{request.octets} of {limit} octets")


def too_many_recipients(request: Request, rules: Rules) -> Step | None:
    """Return a step if the message has as many recipients as it may."""
    limit, count = rules.limits.recipients_per_message, len(request.recipients)
    if count < limit:
        return None
    return Step("message has too many recipients", answer=True, because=f"{count} of {limit}")


def used_up_budget(
    recognition: Recognition, request: Request, rules: Rules
) -> tuple[Step, Reason] | None:
    """Return the first budget that one more recipient would exceed, or None."""
    limits, usage = rules.limits, request.usage
    budgets: tuple[tuple[Budget | None, int, Reason], ...]
    if recognition.account is None:
        budgets = (
            (limits.address_recipients, usage.address_recipients, Reason.ADDRESS_RECIPIENT_BUDGET),
        )
    else:
        budgets = (
            (limits.account_recipients, usage.account_recipients, Reason.ACCOUNT_RECIPIENT_BUDGET),
            (
                limits.account_new_recipients,
                usage.account_new_recipients,
                Reason.ACCOUNT_NEW_RECIPIENT_BUDGET,
            ),
        )
    for budget, used, reason in budgets:
        if budget is not None and used >= budget.count:
            because = f"{recognition.detail}: {used} of {budget.count} in {budget.period}"
            return Step("budget of recipients is used up", answer=True, because=because), reason
    return None
