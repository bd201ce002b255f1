"""`posthouse queue`: what waits and what is held, while the server runs."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import click

from posthouse.cli.exits import Exit
from posthouse.cli.installation import current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, plural, say, table
from posthouse.cli.queue_changes import CHANGES
from posthouse.cli.queue_choice import filter_options, matching
from posthouse.cli.running import ask_server
from posthouse.cli.spans_of_time import ago, moment, next_try, parse_end
from posthouse.server.requests import QueueList, QueueShow, QueueSummary

PAGE: Final = 10_000


@click.group(invoke_without_command=True)
@shared_options
@click.pass_context
def queue(ctx: click.Context) -> int:
    """Accepted mail that waits or is held; alone: how much, by destination."""
    if ctx.invoked_subcommand is None:
        _summarise(QueueSummary(limit=20), 20)
    return Exit.DONE


for change in CHANGES:
    queue.add_command(change)


@queue.command("list")
@filter_options
@click.option("-n", "limit", default=100, show_default=True, help="The oldest N; 0 for all.")
@click.option("--ids", "only_ids", is_flag=True, help="Only the ids, for other commands.")
@shared_options
def list_queue(*, limit: int, only_ids: bool, **filters: Any) -> None:  # noqa: ANN401 - of several types
    """List messages, the oldest first."""
    wanted = matching(filters)
    if current_options().json:
        document("queue", {"messages": list(_pages(wanted, limit))})
        return
    if only_ids:
        for message in _pages(wanted, limit):
            say(message["id"])
        return
    messages = list(_pages(wanted, limit + 1 if limit else 0))
    if not messages:
        note(_nothing(wanted))
        return
    shown = messages[:limit] if limit else messages
    answer = ask_server(open_installation(current_options()), QueueSummary(limit=0))
    row = partial(_row, {it["destination"] for it in answer["paused"]})
    table(("ID", "AGE", "SIZE", "STATE", "FROM", "TO", "LAST"), map(row, shown))
    if len(messages) > len(shown):
        note(f"these are the oldest {limit}; -n shows more, `posthouse queue` counts them")


def _pages(wanted: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    """Yield what matches, asked for in pages; 0 is without a limit."""
    after, left = "", limit
    while True:
        size = min(left, PAGE) if limit else PAGE
        page = ask_server(
            open_installation(current_options()), QueueList(**wanted, after=after, limit=size)
        )
        yield from page
        left -= len(page)
        if len(page) < size or (limit and left <= 0):
            return
        after = page[-1]["id"]


def _nothing(wanted: dict[str, Any]) -> str:
    if wanted == {"held": True}:
        return "nothing is held"
    return "nothing in the queue matches" if wanted else "the queue is empty"


def _row(paused: set[str], message: dict[str, Any]) -> tuple[str, ...]:
    envelope, states = message["envelope"], message["recipients"]
    waiting = [it for it in states if it["state"] == "waiting"]
    first = _mailbox(envelope["recipients"][waiting[0]["index"]]["mailbox"]) if waiting else "-"
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    last = message["hold"] or next((it["last_reply"] for it in waiting if it["last_reply"]), "")
    state = "held" if message["hold"] else _state(waiting, paused)
    return (
        message["id"],
        _when(envelope["accepted"]).removesuffix(" ago"),
        f"{message['octets'] / 1000:.1f} kB",
        state,
        _reverse_path(envelope),
        f"{first}{more}",
        last[:80] or "-",
    )


def _state(waiting: list[dict[str, Any]], paused: set[str]) -> str:
    """When it is tried next: at the first destination that is not paused."""
    open_ones = [it for it in waiting if it["destination"] not in paused]
    if waiting and not open_ones:
        return "paused"
    due = min((it["due"] for it in open_ones if it.get("due")), default=None)
    return f"next try {next_try(due, now())}" if due else "tried now"


def _when(text: str) -> str:
    return ago(parse_end(text), now())


def _reverse_path(envelope: dict[str, Any]) -> str:
    mailbox = envelope["reverse_path"]["mailbox"]
    return _mailbox(mailbox) if mailbox else "<>"


def _mailbox(mailbox: dict[str, str]) -> str:
    return f"{mailbox['local_part']}@{mailbox['domain']}"


@queue.command()
@filter_options
@click.option("-n", "limit", default=20, show_default=True, help="The busiest N destinations.")
@shared_options
def summary(*, limit: int, **filters: Any) -> None:  # noqa: ANN401 - of several types
    """Count what waits, by destination, with the oldest and the last reply."""
    _summarise(QueueSummary(**matching(filters), limit=limit), limit)


def _summarise(request: QueueSummary, limit: int) -> None:
    answer = ask_server(open_installation(current_options()), request)
    if current_options().json:
        document("queue-summary", answer)
        return
    megabytes = answer["octets"] / 1e6
    size = f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"
    say(f"{plural(answer['messages'], 'message')}, {answer['held']} of them held, {size}")
    paused = {it["destination"] for it in answer["paused"]}
    if answer["destinations"]:
        table(
            ("DESTINATION", "WAITING", "HELD", "OLDEST", "NEXT TRY", "LAST REPLY"),
            [_destination(it, paused) for it in answer["destinations"]],
        )
    if len(answer["destinations"]) == limit:
        note(f"these are the busiest {limit} destinations; -n shows more")
    for it in answer["paused"]:
        say(f"{it['destination']} is paused since {_when(it['since'])}: {it['why']}")


def _destination(it: dict[str, Any], paused: set[str]) -> tuple[object, ...]:
    due = it["next_due"]
    following = next_try(due, now()) if due else "-"
    return (
        it["destination"],
        it["waiting"],
        it["held"],
        _when(it["oldest"]) if it["oldest"] else "-",
        "paused" if it["destination"] in paused else following,
        it["last_reply"] or "-",
    )


@queue.command()
@click.argument("id")
@click.option("--content", is_flag=True, help="Show the beginning of the message too.")
@shared_options
def show(id: str, *, content: bool) -> None:  # noqa: A002 - what the person types
    """Show one message: envelope, state of each recipient, its journey so far."""
    request = QueueShow(id, octets=16_000 if content else 0)
    answer = ask_server(open_installation(current_options()), request)
    if current_options().json:
        document("message", answer)
        return
    if answer["message"]:
        _show_waiting(answer["message"])
    else:
        say(f"message {id}: all recipients are settled, nothing of it is kept here")
    for event in answer["journey"]:
        say(f"  {moment(event['at'])}  {event['text']}")
    if "content" in answer:
        say()
        say(answer["content"].replace("\r\n", "\n"))


def _show_waiting(message: dict[str, Any]) -> None:
    envelope = message["envelope"]
    when = moment(envelope["accepted"])
    say(f"message {message['id']}, {message['octets']} octets, accepted {when}")
    if message["via"]:
        say(f"  moved: goes by {message['via']}")
    if message["hold"]:
        case = f" (posthouse explain {message['hold_case']})" if message["hold_case"] else ""
        say(f"  held: {message['hold']}{case}")
    say(f"  from {_reverse_path(envelope)}, client {envelope['client'] or '-'}")
    summary = ask_server(open_installation(current_options()), QueueSummary(limit=0))
    paused = {it["destination"] for it in summary["paused"]}
    for state in message["recipients"]:
        recipient = _mailbox(envelope["recipients"][state["index"]]["mailbox"])
        due = f", next try {next_try(state['due'], now())}" if state.get("due") else ""
        if due and state["destination"] in paused:
            due = ", its destination is paused"
        tries = plural(state["attempts"], "attempt")
        said = f": {state['last_reply']}" if state["last_reply"] else ""
        say(f"  to {recipient}: {state['state']}, {tries}{due}{said}")
