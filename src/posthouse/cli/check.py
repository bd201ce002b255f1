"""`posthouse check` and `posthouse config`: is the file right, and what does it say?"""

from pathlib import Path

import click

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, find_path, now, read_text
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, github_annotation, note, say
from posthouse.config.check import check as cross_check
from posthouse.config.diagnostic import ConfigurationError, Diagnostic, Severity, render
from posthouse.config.load import load
from posthouse.server.preflight import preflight


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["human", "github"]), default="human")
@shared_options
def check(file: Path | None, form: str) -> int:
    """Check a configuration: syntax, meaning, its tests, width of trust, files it names.

    Exit code 0 if it is right (warnings allowed), 3 if not. What is missing on this machine, such
    as a certificate, is a warning: a file may be checked elsewhere than where it serves.
    """
    options = current_options()
    path = file or find_path(options)
    text = read_text(path)
    findings = find_all(text, path)
    errors = sum(each.severity is Severity.ERROR for each in findings)
    warnings = len(findings) - errors
    if options.json:
        document(
            "check",
            {"file": str(path), "errors": errors, "warnings": warnings, "findings": findings},
        )
    elif form == "github":
        for it in findings:
            message = f"[{it.code}] {it.message}"
            github_annotation(it.severity.value, str(path), it.line, message)
    else:
        if findings:
            say(render(findings, text, str(path)))
        counted = f"{errors} errors, {warnings} warnings" if findings else "no findings"
        counted += _workers_in(text)
        say(f"{path}: {'not usable' if errors else 'usable'}, {counted}")
    return Exit.CONFIGURATION if errors else Exit.DONE


def _workers_in(text: str) -> str:
    """Say how many processes would run, where the file has them counted."""
    try:
        workers = load(text, "").configuration.workers
    except ConfigurationError:
        return ""
    return f"; {workers} workers" if workers not in (1, "auto") else ""


def find_all(text: str, path: Path) -> tuple[Diagnostic, ...]:
    """Return everything there is to say about a configuration, errors first found, then advice."""
    try:
        loaded = load(text, path.name)
    except ConfigurationError as problem:
        return problem.diagnostics
    found = cross_check(loaded.configuration, loaded.spans, now())
    return (*found, *preflight(loaded, path.parent))


def warn_of_errors(installation: Installation) -> bool:
    """Note errors of the configuration that another command worked on; whether there are any."""
    found = find_all(installation.text, installation.path)
    errors = [each for each in found if each.severity is Severity.ERROR]
    if errors:
        note(
            f"note: no server would start with {installation.path}: {errors[0].message}"
            f" ({len(errors)} errors; see `posthouse check`)"
        )
    return bool(errors)


@click.group()
def config() -> None:
    """Show the configuration, its reference and its schema for editors."""


@config.command()
@shared_options
def schema() -> None:
    """Print the JSON schema of the file, for editors."""
    from posthouse.config.reference import json_schema  # noqa: PLC0415 - rarely asked

    document("configuration-schema", json_schema())


@config.command()
def reference() -> None:
    """Print every key, what it means and what holds if it is left out."""
    from posthouse.config.reference import reference as manual  # noqa: PLC0415 - rarely asked

    say(manual())


@config.command()
@shared_options
@click.argument("name", required=False)
@click.option("-n", "changed", is_flag=True, help="Only what differs from the defaults.")
def show(name: str | None, *, changed: bool) -> None:
    """Print the values in force; NAME such as limits.message_size shows one."""
    path = find_path(current_options())
    text = read_text(path)
    try:
        loaded = load(text, path.name)
    except ConfigurationError as problem:
        shown = render(problem.diagnostics, text, str(path))
        raise Failure(f"the configuration has errors\n{shown}", Exit.CONFIGURATION) from None
    values = loaded.configuration.model_dump(
        mode="json", exclude_unset=changed, fallback=str, warnings=False
    )
    for key in name.split(".") if name else ():
        if not isinstance(values, dict) or key not in values:
            raise Failure(f"there is no value {name}: see `posthouse config reference`")
        values = values[key]
    document("configuration", {"file": str(path), "values": values})
