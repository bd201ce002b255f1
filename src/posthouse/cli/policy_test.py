"""`posthouse test`: the `[[test]]` tables of a configuration, put to its rules."""

from pathlib import Path

import click

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options, now, open_installation, read_text
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, github_annotation, say, styled
from posthouse.cli.tree import print_trace
from posthouse.config.compile import compile_rules
from posthouse.config.diagnostic import ConfigurationError, render
from posthouse.config.policy_tests import Outcome, load_tests, run_tests
from posthouse.config.schema import PolicyTest
from posthouse.config.spans import Spans


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["human", "github"]), default="human")
@shared_options
def test(file: Path | None, form: str) -> int:
    """Run the tests of the configuration, or those of FILE, against its rules.

    Of FILE only the [[test]] tables count. Exit code 0 if all pass, 1 if one fails.
    """
    installation = open_installation(current_options())
    loaded, path = installation.loaded, installation.path
    rules = compile_rules(loaded.configuration, loaded.spans, (), path.name)
    tests, spans = loaded.configuration.test, loaded.spans
    if file is not None:
        path = file
        tests, spans = _load(file)
    outcomes = run_tests(tests, rules, now())
    failed = sum(not outcome.passed for outcome in outcomes)
    if current_options().json:
        rows = [
            {"name": it.name, "passed": it.passed, "expected": it.expected, "found": it.found,
             "trace": it.decision.trace}
            for it in outcomes
        ]  # fmt: skip
        document("tests", {"file": str(path), "failed": failed, "tests": rows})
    elif form == "github":
        for outcome in outcomes:
            if not outcome.passed:
                line = spans.line(("test", outcome.number, "expect"))
                github_annotation(
                    "error", str(path), line, f"{outcome.name}: {_difference(outcome)}"
                )
    else:
        _print(outcomes, failed)
    return Exit.NO if failed else Exit.DONE


def _load(file: Path) -> tuple[tuple[PolicyTest, ...], Spans]:
    text = read_text(file)
    try:
        return load_tests(text)
    except ConfigurationError as problem:
        shown = render(problem.diagnostics, text, str(file))
        raise Failure(f"the tests have errors\n{shown}", Exit.CONFIGURATION) from None


def _print(outcomes: tuple[Outcome, ...], failed: int) -> None:
    for outcome in outcomes:
        mark = styled("ok   ", "ok") if outcome.passed else styled("wrong", "wrong")
        click.echo(f"{mark}  ", nl=False)
        say(outcome.name if outcome.passed else f"{outcome.name}: {_difference(outcome)}")
        if not outcome.passed:
            print_trace(outcome.decision.trace)
    say(f"{len(outcomes) - failed} passed, {failed} failed")


def _difference(outcome: Outcome) -> str:
    return f"expected {outcome.expected}, found {outcome.found}"
