"""Tests as data: the questions of a file, put to the rules of the same file (or of another)."""

from collections.abc import Iterable
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated

from msgspec import Struct
from pydantic import ValidationError

from posthouse.config.catalogue import finding
from posthouse.config.diagnostic import ConfigurationError, Diagnostic
from posthouse.config.schema import PolicyTest
from posthouse.config.section import Section, meaning
from posthouse.config.spans import Spans
from posthouse.config.syntax import parse
from posthouse.config.wrong_values import diagnose
from posthouse.policy.decision import Decision
from posthouse.policy.networks import fold
from posthouse.policy.questions import AssumedDirectory, Question, request_of
from posthouse.policy.rules import Rules
from posthouse.policy.transaction import decide_transaction, deciding


class Outcome(Struct, frozen=True):
    """How one test ended.

    Attributes:
        number: Of the test in its file, from 0.
        name: What it shows.
        expected: ``refuse not-recognised``.
        decision: What the policy decided; the last of the transaction.
        passed: Whether they agree.
    """

    number: int
    name: str
    expected: str
    decision: Decision
    passed: bool

    @property
    def found(self) -> str:
        """What was decided, in the words of `expect`."""
        return f"{self.decision.verdict.value} {self.decision.reason.value}"


class _TestFile(Section):
    """A file of tests and nothing else."""

    test: Annotated[tuple[PolicyTest, ...], meaning("Questions with their answers.")]


def load_tests(text: str) -> tuple[tuple[PolicyTest, ...], Spans]:
    """Return the ``[[test]]`` tables of a file, and where they stand.

    The file may be a whole configuration; whatever else it holds is not looked at.

    Raises:
        ConfigurationError: With every error there is.
    """
    raw = parse(text)
    spans = Spans(text)
    try:
        return _TestFile.model_validate({"test": raw.get("test", [])}).test, spans
    except ValidationError as problem:
        errors = problem.errors(include_url=False)
        raise ConfigurationError(tuple(diagnose(errors, spans))) from None


def run_tests(tests: Iterable[PolicyTest], rules: Rules, now: datetime) -> tuple[Outcome, ...]:
    """Put every test to the rules. Addresses of our domains are taken to exist."""
    directory = AssumedDirectory(rules)
    return tuple(_outcome(number, test, rules, directory, now) for number, test in enumerate(tests))


def failures(outcomes: Iterable[Outcome], spans: Spans) -> list[Diagnostic]:
    """Return a diagnostic for each test that failed, at its `expect`."""
    found = []
    for outcome in outcomes:
        if outcome.passed:
            continue
        span = spans.value(("test", outcome.number, "expect"))
        because = "\n".join(
            f"{'yes' if step.answer else ' no'}  {step.question}: {step.because}"
            for step in outcome.decision.trace
        )
        message = f"{outcome.name!r} expects {outcome.expected}; the rules say {outcome.found}"
        found.append(finding("policy-test", message, span, because))
    return found


def question_of(test: PolicyTest, now: datetime) -> Question:
    """Return the question that a test asks."""
    return Question(
        client=fold(ip_address(test.client)),
        reverse_path=test.from_,
        recipient=test.to,
        at=test.time or now,
        listener=test.listener or "",
        tls=test.tls,
        signed_in=test.signed_in,
        fetched_ago=test.fetched_ago,
        author=test.header_from,
    )


def _outcome(
    number: int, test: PolicyTest, rules: Rules, directory: AssumedDirectory, now: datetime
) -> Outcome:
    request = request_of(question_of(test, now), rules, directory)
    decision = deciding(decide_transaction(request, rules))
    expected = test.expect
    passed = decision.verdict is expected.verdict and expected.reason in (None, decision.reason)
    return Outcome(number, test.name or f"test {number + 1}", str(expected), decision, passed)
