"""A decision as a person reads it: verdict, why, what would pass, who can fix it."""

from collections.abc import Sequence

from posthouse.cli.output import headline, say
from posthouse.policy.decision import Decision, Step
from posthouse.policy.reasons import WORDINGS, Fixer

FIXERS = {
    Fixer.SENDER: "the sender",
    Fixer.OPERATOR: "who runs this server",
    Fixer.RECIPIENT: "the other side",
    Fixer.NOBODY: "nobody needs to",
}
VERDICTS = {"accept": "accepted", "refuse": "refused", "defer": "deferred", "hold": "held"}


def print_decision(decision: Decision, reply: str, would_help: Sequence[str]) -> None:
    """Print a decision with its trace."""
    wording = WORDINGS[decision.reason]
    headline(decision.verdict.value, f"{VERDICTS[decision.verdict.value]}, {reply}")
    print_trace(decision.trace)
    print_help(decision.accepted, would_help, wording.fixer)


def print_trace(trace: Sequence[Step]) -> None:
    """Print every question with its answer, the fact behind it and the line that decided."""
    if not trace:
        return
    questions = max(len(step.question) for step in trace)
    facts = min(max(len(step.because) for step in trace), 60)
    for step in trace:
        answer = "yes" if step.answer else " no"
        line = f"  {answer}  {step.question:<{questions}}  {step.because:<{facts}}  {step.where}"
        say(line.rstrip())


def print_help(accepted: bool, would_help: Sequence[str], fixer: Fixer) -> None:  # noqa: FBT001 - a verdict, not a switch
    """Print what would let the mail through, and who can do it."""
    if accepted:
        return
    if would_help:
        say("would pass if (smallest first)")
        for number, text in enumerate(would_help, 1):
            say(f"  {number}  {text}")
    say(f"who can fix it: {FIXERS[fixer]}")
