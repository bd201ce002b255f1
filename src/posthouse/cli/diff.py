"""`posthouse diff`: which requests two configurations decide otherwise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from posthouse.accounts.store import Grant
from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, find_path, now, read_text
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, headline, note, say, table
from posthouse.cli.spans_of_time import parse_span
from posthouse.config.compile import compile_rules
from posthouse.config.diagnostic import ConfigurationError, render
from posthouse.config.load import load
from posthouse.config.policy_tests import question_of
from posthouse.config.schema import PolicyTest
from posthouse.policy.comparison import Asked, Comparison, Difference, Kind, compare, is_by_rules
from posthouse.policy.decision import Decision, Stage, Step
from posthouse.policy.questions import AssumedDirectory, request_of
from posthouse.policy.rules import Rules
from posthouse.policy.systematic import every_request
from posthouse.sessions.granted import doors_of
from posthouse.telemetry.case import Case
from posthouse.telemetry.case_file import CaseReader, Search
from posthouse.telemetry.database import StoreError

CASES_MAX = 1_000_000
KINDS_SHOWN_MAX = 8  # with an example


class Replayed:
    """Requests to be decided again, and how many could not be."""

    def __init__(self) -> None:
        self.left_out = 0

    def of_cases(self, cases: Iterator[Case]) -> Iterator[Asked]:
        """Yield the requests of recorded decisions."""
        for case in cases:
            if case.stage is Stage.SIGN_IN or not is_by_rules(case.reason):
                continue
            request = case.request()
            if request is None:
                self.left_out += 1
            else:
                # The case of an accepted message tells of its content too.
                whole = case.stage is Stage.RECIPIENT and request.authorship is not None
                yield Asked(request, None if whole else case.stage, 1 + case.repeats)

    def of_lines(self, path: Path, rules: Rules) -> Iterator[Asked]:
        """Yield the requests of a JSON-lines file: cases, or questions with the keys of a test."""
        directory = AssumedDirectory(rules)
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if not line.strip():
                continue
            try:
                value = msgspec.json.decode(line)
                inner = value.get("case", value)
                if "stage" in inner:
                    case = msgspec.convert(inner, Case)
                    yield from self.of_cases(iter((case,)))
                else:
                    question = question_of(_as_test(inner), now())
                    yield Asked(request_of(question, rules, directory))
            except (AttributeError, ValueError, msgspec.MsgspecError) as problem:
                text = str(problem).splitlines()[0]
                raise Failure(f"{path} line {number} is no request: {text}", Exit.USAGE) from None


def _as_test(keys: dict[str, Any]) -> PolicyTest:
    return PolicyTest.model_validate({"expect": "accept", **keys})


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--replay",
    default="",
    metavar="FILE|TIME",
    help="Recorded decisions of the last 7d, or a JSON-lines file of cases or questions.",
)
@shared_options
def diff(files: tuple[Path, ...], replay: str) -> int:
    """Show which requests [OLD] and NEW decide otherwise; OLD is the configuration in use.

    Without --replay, one request of every kind that the two can tell apart is decided by both.
    Exit code 1 if something is different.
    """
    if len(files) > 2:
        raise Failure("name two files at most: posthouse diff [OLD] NEW", Exit.USAGE)
    old_path = files[0] if len(files) == 2 else find_path(current_options())
    installation = _load(old_path)
    changed = _load(files[-1])
    grants = _grants(installation)
    old, new = _rules(installation, grants), _rules(changed, grants)
    replayed = Replayed()
    requests: Iterator[Asked]
    if not replay:
        requests = (Asked(it) for it in every_request(old, new, now()))
    elif Path(replay).exists():
        requests = replayed.of_lines(Path(replay), old)
    else:
        requests = replayed.of_cases(_recorded(installation, replay))
    found = compare(requests, old, new)
    _print(found, replayed.left_out)
    return Exit.NO if found.different else Exit.DONE


def _load(path: Path) -> Installation:
    text = read_text(path)
    try:
        return Installation(path, text, load(text, path.name))
    except ConfigurationError as problem:
        shown = render(problem.diagnostics, text, str(path))
        raise Failure(f"{path} has errors\n{shown}", Exit.CONFIGURATION) from None


def _rules(installation: Installation, grants: tuple[Grant, ...]) -> Rules:
    loaded = installation.loaded
    doors = doors_of(grants)
    return compile_rules(loaded.configuration, loaded.spans, doors, installation.path.name)


def _grants(installation: Installation) -> tuple[Grant, ...]:
    if not (installation.directory / "accounts.db").exists():
        return ()
    with installation.accounts() as store:
        return tuple(store.grants())


def _recorded(installation: Installation, span: str) -> Iterator[Case]:
    since = now() - parse_span(span)
    path = installation.directory / "cases.db"
    if not path.exists():
        raise Failure(f"no decisions were made yet in {installation.directory}", Exit.UNREACHABLE)
    try:
        reader = CaseReader(path)
        try:
            yield from reader.search(Search(since=since, limit=CASES_MAX))
        finally:
            reader.close()
    except StoreError as problem:
        raise Failure(str(problem), Exit.TRY_AGAIN) from None


# ------------------------------------------------------------------ the answer


def _print(found: Comparison, left_out: int) -> None:
    if current_options().json:
        kinds = [_as_json(it) for it in found.kinds]
        counts = {"asked": found.asked, "different": found.different, "left_out": left_out}
        document("diff", {**counts, "kinds": kinds})
        return
    if left_out:
        note(f"{left_out:,} decisions were recorded without what they depended on: left out")
    if not found.different:
        headline("ok", f"none of {found.asked:,} decisions would change")
        return
    headline("wrong", f"{found.different:,} of {found.asked:,} decisions would change")
    for kind in found.kinds[:KINDS_SHOWN_MAX]:
        _print_example(kind.examples[0])
    say()
    rows = [(f"{it.times:,}", it.old, it.new) for it in found.kinds]
    table(("COUNT", "OLD", "NEW"), rows)


def _print_example(it: Difference) -> None:
    client = it.request.client
    signed_in = f" signed in as {client.signed_in.account.name}" if client.signed_in else ""
    say(f"{client.address} on {client.listener}{signed_in}: {_way(it)}")
    for name, decision, other in (("old", it.old, it.new), ("new", it.new, it.old)):
        step = _telling_step(decision, other)
        why = f"{step.question}? {'yes' if step.answer else 'no'}, {step.because}" if step else ""
        where = f"  {step.where}" if step else ""
        say(f"  {name}  {decision.verdict.value} {decision.reason.value}: {why}{where}".rstrip())


def _way(it: Difference) -> str:
    recipient = it.request.forward_path
    sender = str(it.request.reverse_path or "-")
    return f"{sender} -> {recipient}" if recipient is not None else sender


def _telling_step(decision: Decision, other: Decision) -> Step | None:
    """The first question that the other answered otherwise, else the last one."""
    answers = {step.question: step.answer for step in other.trace}
    told = [
        step
        for step in decision.trace
        if step.question in answers and answers[step.question] is not step.answer
    ]
    return next(iter(told), decision.trace[-1] if decision.trace else None)


def _as_json(kind: Kind) -> dict[str, Any]:
    return {
        "old": kind.old,
        "new": kind.new,
        "times": kind.times,
        "examples": [
            {
                "client": str(it.request.client.address),
                "listener": it.request.client.listener,
                "account": it.request.client.signed_in.account.name
                if it.request.client.signed_in
                else "",
                "way": _way(it),
                "old": it.old,
                "new": it.new,
                "times": it.times,
            }
            for it in kind.examples
        ],
    }
