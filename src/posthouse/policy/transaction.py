"""All decisions of one mail transaction in their order: what `ask`, tests and replay run."""

from collections.abc import Callable, Iterator
from typing import Final

from posthouse.policy.content import decide_content
from posthouse.policy.decision import Decision
from posthouse.policy.facts import Request
from posthouse.policy.limits import decide_connection
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import Rules

Decide = Callable[[Request, Rules], Decision]

_IN_ORDER: Final[tuple[Decide, ...]] = (
    decide_connection,
    decide_mail,
    decide_recipient,
    decide_content,
)


def decide_transaction(request: Request, rules: Rules) -> tuple[Decision, ...]:
    """Decide connection, MAIL, RCPT and content until one says no; the last one counts.

    Content is asked about only where the request says whose the message is.
    """
    return tuple(_decisions(request, rules))


def _decisions(request: Request, rules: Rules) -> Iterator[Decision]:
    for decide in _IN_ORDER:
        if decide is decide_content and request.authorship is None and not request.findings:
            return
        decision = decide(request, rules)
        yield decision
        if not decision.accepted:
            return
