"""A second set of rules that sees every request: what it would decide otherwise is counted."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from posthouse.policy.comparison import decide_again, in_words, is_by_rules
from posthouse.policy.decision import Decision, Step
from posthouse.policy.facts import Request
from posthouse.policy.reasons import Reason
from posthouse.policy.rules import Rules
from posthouse.telemetry.events import LogEvent, ShadowDiffers

LOGGED_EACH_MINUTE: Final = 30  # of one kind; the rest are counted only
_MINUTE: Final = timedelta(minutes=1)


class Shadow:
    """Decides after the active rules, and changes nothing.

    Attributes:
        rules: Those that are tried.
        name: Their file, for people.
        asked: How many requests it saw.
        differences: How often, by what was decided and what it would have decided.
    """

    def __init__(self, rules: Rules, name: str, log: Callable[[LogEvent], None]) -> None:
        self.rules = rules
        self.name = name
        self.asked = 0
        self.differences: Counter[tuple[str, str]] = Counter()
        self._log = log
        self._minute: datetime | None = None
        self._logged: Counter[tuple[str, str]] = Counter()

    def look(self, decision: Decision, request: Request, case: str) -> None:
        """Decide the same request; never raises for what the policy can be asked."""
        if decision.reason is Reason.RECOGNITION_UNREADABLE or not is_by_rules(decision.reason):
            return
        other = decide_again(decision.stage, request, self.rules)
        if other is None:
            return
        self.asked += 1
        kind = (in_words(decision), in_words(other))
        if kind[0] == kind[1]:
            return
        self.differences[kind] += 1
        if self._may_log(kind, request.at):
            self._log(_event(case, kind, request, other))

    def in_words(self) -> dict[str, int]:
        """Return the differences for people: ``refuse not-recognised -> accept signed-in``."""
        return {f"{old} -> {new}": count for (old, new), count in self.differences.most_common(50)}

    def _may_log(self, kind: tuple[str, str], at: datetime) -> bool:
        if self._minute is None or at - self._minute >= _MINUTE:
            self._minute = at
            self._logged.clear()
        self._logged[kind] += 1
        return self._logged[kind] <= LOGGED_EACH_MINUTE


def _event(case: str, kind: tuple[str, str], request: Request, other: Decision) -> ShadowDiffers:
    path, recipient = request.reverse_path, request.forward_path
    return ShadowDiffers(
        case=case,
        active=kind[0],
        shadow=kind[1],
        client=str(request.client.address),
        reverse_path="" if path is None else str(path.mailbox or "<>"),
        forward_path="" if recipient is None else str(recipient),
        because=_told(other.trace[-1]) if other.trace else "",
    )


def _told(step: Step) -> str:
    answer = "yes" if step.answer else "no"
    return f"{step.question}? {answer}, {step.because} {step.where}".rstrip()
