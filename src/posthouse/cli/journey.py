"""`posthouse journey`: what became of a message."""

from typing import Any

import click
import msgspec

from posthouse.cli.installation import current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, plural, say
from posthouse.cli.running import ask_server
from posthouse.cli.spans_of_time import moment, next_try
from posthouse.policy.reasons import WORDINGS
from posthouse.server.requests import Journey
from posthouse.telemetry.case import Case


@click.command()
@click.argument("what", metavar="ID|ADDRESS|MESSAGE-ID")
@click.option("-n", "limit", default=20, show_default=True, help="The newest N messages.")
@shared_options
def journey(what: str, limit: int) -> None:
    """Tell the whole way of a message: who brought it and why it was taken, each attempt, its end.

    ID stands in the reply that accepted it; ADDRESS is of either side; MESSAGE-ID is the header
    field.
    """
    answer = ask_server(open_installation(current_options()), Journey(what, limit))
    if current_options().json:
        document("journey", answer)
        return
    for number, way in enumerate(answer["messages"]):
        if number:
            say()
        _print(way)
    if len(answer["messages"]) >= limit > 1:
        note(f"these are the newest {len(answer['messages'])}; -n shows more, up to 200")


def _print(way: dict[str, Any]) -> None:
    say(f"message {way['id']}")
    cases = [
        msgspec.convert(it, Case) for it in (way["content_case"], *way["recipient_cases"]) if it
    ]
    if cases:
        _print_acceptance(cases)
    for event in way["journey"]:
        say(f"  {moment(event['at'])}  {event['text']}")
    _print_now(way)


def _print_acceptance(cases: list[Case]) -> None:
    """Who brought it, and the decisions that let it in."""
    one = cases[0]
    who = f", signed in as {one.account}" if one.account else ""
    tls = ", TLS" if one.tls else ", not encrypted"
    say(f"  from client {one.client} on {one.listener}{tls}{who}")
    for case in cases:
        about = f" <{case.forward_path}>" if case.forward_path else ""
        say(
            f"  {case.stage.value}{about}: {case.reason.value}: {WORDINGS[case.reason].meaning}"
            f" (posthouse explain {case.id})"
        )


def _print_now(way: dict[str, Any]) -> None:
    """Where it is at this moment, and when it is tried next."""
    message = way["message"]
    if message is None:
        say("  now: all recipients are settled, nothing of it is kept here")
        return
    if message["hold"]:
        say(f"  now: held for a person: {message['hold']}")
    if message["via"]:
        say(f"  moved: goes by {message['via']}")
    for state in message["recipients"]:
        mailbox = message["envelope"]["recipients"][state["index"]]["mailbox"]
        where = f"<{mailbox['local_part']}@{mailbox['domain']}>: {state['state']}"
        due = f", next try {next_try(state['due'], now())}" if state.get("due") else ""
        say(f"  now: {where}, {plural(state['attempts'], 'attempt')}{due}")
