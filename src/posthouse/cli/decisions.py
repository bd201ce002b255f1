"""`posthouse decisions`: what was decided lately, and what is being decided now."""

import time

import click

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import Installation, current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, ndjson, note, say, styled, table
from posthouse.cli.spans_of_time import parse_span
from posthouse.policy.reasons import Reason
from posthouse.telemetry.case import Case
from posthouse.telemetry.case_file import CaseReader, Search
from posthouse.telemetry.database import StoreError

LOOK_EVERY_SECONDS = 0.3


@click.group()
def decisions() -> None:
    """Decisions that were made: search them, or watch them being made."""


@decisions.command()
@click.option("-n", "past", default=10, show_default=True, help="Begin with the last N.")
@click.option("--reason", default="", help="Only this reason.")
@click.option("--person", default="", help="Only this account or address.")
@click.option("--client", default="", help="Only this client address.")
@click.option("--no-follow", is_flag=True, help="Print what there is and end.")
@shared_options
def tail(past: int, reason: str, person: str, client: str, *, no_follow: bool) -> None:
    """Print decisions as they are made, one line each; ends with Ctrl-C."""
    reader = _open(open_installation(current_options()))
    wanted = Search(person=person, client=client, reason=_reason(reason), limit=max(past, 0))
    try:
        after = reader.newest()
        for case in reversed(reader.search(wanted) if past > 0 else ()):
            _print(case)
        while not no_follow:
            for number, case in reader.tail(after):
                after = number
                if _fits(case, wanted):
                    _print(case)
            time.sleep(LOOK_EVERY_SECONDS)
    except StoreError as problem:
        raise Failure(str(problem), Exit.TRY_AGAIN) from None
    finally:
        reader.close()


@decisions.command()
@click.option("--reason", default="", help="A reason, such as not-recognised.")
@click.option("--person", default="", help="An account or address, on either side.")
@click.option("--address", default="", help="A reverse-path or recipient; @domain for all of it.")
@click.option("--client", default="", help="A client address or network.")
@click.option("--since", "span", default="", metavar="TIME", help="Not older than 8h, 2d.")
@click.option("-n", "limit", default=100, show_default=True, help="The newest N.")
@shared_options
def search(reason: str, person: str, address: str, client: str, span: str, limit: int) -> int:
    """Search decisions by person, address, client, reason and time, the newest first."""
    reader = _open(open_installation(current_options()))
    wanted = Search(
        person=person,
        address=address,
        client=client,
        reason=_reason(reason),
        since=now() - parse_span(span) if span else None,
        limit=limit,
    )
    try:
        found = reader.search(wanted)
    except (StoreError, ValueError) as problem:
        raise Failure(str(problem), Exit.TRY_AGAIN) from None
    finally:
        reader.close()
    if current_options().json:
        document("decisions", {"decisions": found})
    elif found:
        table(("TIME", "CASE", "VERDICT", "REASON", "CLIENT", "FROM", "TO"), map(_row, found))
    else:
        note("no such decisions")
    return Exit.DONE if found else Exit.NO


def _open(installation: Installation) -> CaseReader:
    path = installation.directory / "cases.db"
    if not path.exists():
        raise Failure(f"no decisions were made yet in {installation.directory}", Exit.UNREACHABLE)
    try:
        return CaseReader(path)
    except StoreError as problem:
        raise Failure(str(problem), Exit.UNREACHABLE) from None


def _reason(text: str) -> str:
    if text and text not in {reason.value for reason in Reason}:
        raise Failure(f"there is no reason {text!a}: `posthouse reasons` lists them", Exit.USAGE)
    return text


def _fits(case: Case, wanted: Search) -> bool:
    people = (case.account, case.reverse_path, case.forward_path)
    return (
        (not wanted.reason or case.reason.value == wanted.reason)
        and (not wanted.client or case.client == wanted.client)
        and (not wanted.person or any(wanted.person.lower() in it.lower() for it in people))
    )


def _print(case: Case) -> None:
    if current_options().json:
        ndjson("case", {"case": case})
        return
    at, case_id, verdict, reason, client, sender, recipient = _row(case)
    way = f"{sender} -> {recipient}" if recipient != "-" else sender
    click.echo(f"{at}  {case_id}  {styled(f'{verdict:<6}', verdict)}  ", nl=False)
    say(f"{reason:<24}  {client:<15}  {way}")


def _row(case: Case) -> tuple[str, ...]:
    return (
        f"{case.at:%m-%d %H:%M:%S}",
        case.id,
        case.verdict.value,
        case.reason.value,
        case.client or "-",
        case.reverse_path or case.account or "-",
        case.forward_path or "-",
    )
