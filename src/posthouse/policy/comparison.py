"""Two sets of rules, the same requests: what would be decided otherwise."""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from posthouse.policy.content import decide_content
from posthouse.policy.decision import Decision, Stage
from posthouse.policy.facts import Request
from posthouse.policy.limits import decide_connection
from posthouse.policy.reasons import Reason
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import Rules
from posthouse.policy.transaction import decide_transaction, deciding

EXAMPLES_EACH: Final = 5  # kept of each kind of difference

_DECIDE: Final[dict[Stage, Callable[[Request, Rules], Decision]]] = {
    Stage.CONNECTION: decide_connection,
    Stage.MAIL: decide_mail,
    Stage.RECIPIENT: decide_recipient,
    Stage.CONTENT: decide_content,
}
# Decided by other parts of the server than the rules.
_NOT_BY_RULES: Final = frozenset(
    {
        Reason.SIGN_IN_FAILED,
        Reason.SIGN_IN_LOCKED,
        Reason.SIGN_IN_UNREADABLE,
        Reason.BREAKS_FORMAT,
        Reason.STORAGE_FULL,
        Reason.STORAGE_FAILED,
        Reason.SHUTTING_DOWN,
    }
)


class Asked(Struct, frozen=True):
    """A request to be decided by both.

    Attributes:
        request: The facts.
        stage: Which decision is wanted; None for the whole transaction.
        times: How often it came.
    """

    request: Request
    stage: Stage | None = None
    times: int = 1


class Difference(Struct, frozen=True):
    """One request that is decided otherwise.

    Attributes:
        request: The facts.
        old: By the old rules.
        new: By the new ones.
        times: How often it came.
    """

    request: Request
    old: Decision
    new: Decision
    times: int


class Kind(Struct, frozen=True):
    """All differences of one kind.

    Attributes:
        old: Verdict and reason by the old rules: ``refuse not-recognised``.
        new: By the new ones.
        times: How many.
        examples: The first few.
    """

    old: str
    new: str
    times: int
    examples: tuple[Difference, ...]

    @property
    def opens(self) -> bool:
        """Whether mail passes that did not."""
        first = self.examples[0]
        return first.new.accepted and not first.old.accepted


class Comparison(Struct, frozen=True):
    """What was found.

    Attributes:
        asked: How many requests were decided.
        different: How many of them otherwise.
        kinds: By verdict and reason: what would newly pass first, then the most frequent.
    """

    asked: int
    different: int
    kinds: tuple[Kind, ...]


def compare(requests: Iterable[Asked], old: Rules, new: Rules) -> Comparison:
    """Decide every request by both rules."""
    total = 0
    found: dict[tuple[str, str], tuple[int, tuple[Difference, ...]]] = {}
    for asked in requests:
        total += asked.times
        before, after = _decide(asked, old), _decide(asked, new)
        kind = (in_words(before), in_words(after))
        if kind[0] == kind[1]:
            continue
        times, examples = found.get(kind, (0, ()))
        if len(examples) < EXAMPLES_EACH:
            examples += (Difference(asked.request, before, after, asked.times),)
        found[kind] = (times + asked.times, examples)
    kinds = [Kind(*kind, times, examples) for kind, (times, examples) in found.items()]
    return Comparison(
        total,
        sum(it.times for it in kinds),
        tuple(sorted(kinds, key=lambda it: (not it.opens, -it.times, it.old, it.new))),
    )


def decide_again(stage: Stage, request: Request, rules: Rules) -> Decision | None:
    """Return what the rules say at this stage; None where it is not for rules to decide."""
    decide = _DECIDE.get(stage)
    if decide is None or (stage is Stage.RECIPIENT and request.forward_path is None):
        return None
    return decide(request, rules)


def is_by_rules(reason: Reason) -> bool:
    """Whether such a decision is made by rules alone."""
    return reason not in _NOT_BY_RULES


def in_words(decision: Decision) -> str:
    """Return verdict and reason: ``refuse not-recognised``."""
    return f"{decision.verdict.value} {decision.reason.value}"


def _decide(asked: Asked, rules: Rules) -> Decision:
    if asked.stage is not None:
        decision = decide_again(asked.stage, asked.request, rules)
        if decision is not None:
            return decision
    return deciding(decide_transaction(asked.request, rules))
