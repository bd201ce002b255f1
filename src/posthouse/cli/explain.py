"""`posthouse explain`: one verb for every id that is ever printed."""

import difflib
import re

import click

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, headline, say, table
from posthouse.cli.spans_of_time import ago
from posthouse.cli.tree import FIXERS, VERDICTS, print_help, print_trace
from posthouse.config.catalogue import explain as explain_code
from posthouse.policy.reasons import WORDINGS, Reason
from posthouse.telemetry.case import Case
from posthouse.telemetry.case_file import CaseReader
from posthouse.telemetry.database import StoreError


@click.command()
@click.argument("what")
@shared_options
def explain(what: str) -> None:
    """Explain a case (7Q4KX2MB), a reason (pop-window-ended) or a code (C012, W103).

    A case is a decision this server made; its id stands in the reply that was sent.
    """
    what = what.strip().strip("[]")
    if pasted := re.search(r"\bcase ([0-9A-Za-z-]{8,10})\b", what):  # a whole reply was pasted
        what = pasted[1]
    if re.fullmatch(r"[CcWw]\d{3}", what):
        _explain_code(what.upper())
    elif what in {reason.value for reason in Reason}:
        _explain_reason(Reason(what))
    else:
        _explain_case(what)


def _nearest_reason(text: str) -> str:
    """A reason that was perhaps meant."""
    near = difflib.get_close_matches(text.lower(), [reason.value for reason in Reason], 1)
    return f"; did you mean {near[0]}?" if near else ""


@click.command()
@shared_options
def reasons() -> None:
    """List every reason, with its codes and who can fix it."""
    if current_options().json:
        rows = [
            {"reason": reason, "code": it.code, "status": it.status, "fixer": it.fixer,
             "text": it.text, "meaning": it.meaning}
            for reason, it in WORDINGS.items()
        ]  # fmt: skip
        document("reasons", {"reasons": rows})
        return
    table(
        ("REASON", "CODES", "WHO CAN FIX IT", "MEANING"),
        [
            (reason.value, f"{it.code} {it.status}", FIXERS[it.fixer], it.meaning)
            for reason, it in WORDINGS.items()
        ],
    )


def find_case(installation: Installation, case_id: str) -> Case | None:
    """Return a recorded case, or None.

    Raises:
        Failure: If the cases cannot be read.
    """
    path = installation.directory / "cases.db"
    if not path.exists():
        return None
    try:
        reader = CaseReader(path)
        try:
            return reader.find(case_id)
        finally:
            reader.close()
    except StoreError as problem:
        raise Failure(str(problem), Exit.UNREACHABLE) from None


def _explain_code(code: str) -> None:
    text = explain_code(code)
    if text is None:
        raise Failure(f"there is no code {code}")
    if current_options().json:
        document("code", {"code": code, "meaning": text})
    else:
        say(f"{code}  {text}")


def _explain_reason(reason: Reason) -> None:
    wording = WORDINGS[reason]
    if current_options().json:
        document("reason", {"reason": reason, "wording": wording})
        return
    say(f"{reason.value}  {wording.code} {wording.status}")
    say(f"  {wording.meaning}")
    say(f"  said as: {wording.text}")
    say(f"  who can fix it: {FIXERS[wording.fixer]}")


def _explain_case(case_id: str) -> None:
    installation = open_installation(current_options())
    case = find_case(installation, case_id)
    if case is None:
        keep = installation.loaded.configuration.storage.keep.decisions
        raise Failure(
            f"there is no case {case_id!a} in {installation.directory}: it may be older than"
            f" {keep.days} days, or from another server{_nearest_reason(case_id)}"
        )
    if current_options().json:
        wording = WORDINGS[case.reason]
        document("case", {"case": case, "meaning": wording.meaning, "fixer": wording.fixer})
    else:
        print_case(case)


def print_case(case: Case) -> None:
    """Print a recorded decision with all that is known of it."""
    wording = WORDINGS[case.reason]
    headline(
        case.verdict.value,
        f"{VERDICTS[case.verdict.value]} at {case.stage.value}, because {case.reason.value}:"
        f" {wording.meaning}",
    )
    facts = {
        "case": f"{case.id}, {case.at:%Y-%m-%d %H:%M:%S} UTC ({ago(case.at, now())})",
        "client": _client(case),
        "from": case.reverse_path,
        "to": case.forward_path,
        "signed in": case.account,
        "recognised": ", ".join(case.recognitions),
        "about": f"{case.field} {case.subject}".strip(),
        "may use": ", ".join(case.allowed),
        "message": case.message_id,
        "reply": case.reply.replace("\n", " | "),
    }
    for name, value in facts.items():
        if value:
            say(f"  {name:<10}  {value}")
    if case.repeats:
        last = f", last {ago(case.last_at, now())}" if case.last_at else ""
        say(f"  repeated    {case.repeats} more like it were only counted{last}")
    print_trace(case.trace)
    print_help(case.verdict.value in ("accept", "hold"), case.would_help, wording.fixer)


def _client(case: Case) -> str:
    if not case.client:
        return ""
    hello = f', EHLO "{case.hello}"' if case.hello else ""
    return f"{case.client} on {case.listener}{', TLS' if case.tls else ''}{hello}"
