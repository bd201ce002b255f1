"""All decisions of one mail transaction in their order: what `ask`, tests and replay run."""

from collections.abc import Callable, Iterator
from typing import Final

from posthouse.policy.content import decide_content
from posthouse.policy.decision import Decision, Stage, Verdict
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

    A recipient is asked about where the request names one, content where it says whose it is.
    """
    return tuple(_decisions(request, rules))


def deciding(decisions: tuple[Decision, ...]) -> Decision:
    """Return the decision that tells the story: what stopped the mail, or why it may pass.

    Where all was accepted, that is the recipient's: it names the door.
    """
    last = decisions[-1]
    if last.verdict is not Verdict.ACCEPT:
        return last
    return next((it for it in decisions if it.stage is Stage.RECIPIENT), last)


def _decisions(request: Request, rules: Rules) -> Iterator[Decision]:
    for decide in _IN_ORDER:
        if decide is decide_content and request.authorship is None and not request.findings:
            return
        if decide is decide_recipient and request.forward_path is None:
            continue  # a question about MAIL, or about the content for several recipients
        decision = decide(request, rules)
        yield decision
        if not decision.accepted:
            return
