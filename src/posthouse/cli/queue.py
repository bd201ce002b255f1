"""`posthouse queue`: what waits and what is held, while the server runs."""

from typing import Any

import click

from posthouse.cli.exits import Exit
from posthouse.cli.installation import current_options, now, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say, table
from posthouse.cli.running import ask_server
from posthouse.cli.spans_of_time import ago, parse_end, parse_span
from posthouse.server.requests import (
    AnyRequest,
    QueueBounce,
    QueueDrop,
    QueueHold,
    QueueList,
    QueueRelease,
    QueueRetry,
    QueueShow,
    QueueSummary,
)


@click.group()
def queue() -> None:
    """Accepted mail that waits or is held."""


@queue.command("list")
@click.option("--held", is_flag=True, help="Only held mail.")
@click.option("--domain", default="", help="Only for this destination.")
@click.option("--sender", default="", help="Part of the reverse-path.")
@click.option("--recipient", default="", help="Part of a recipient.")
@click.option("--account", default="", help="Who handed it in.")
@click.option("--reason", default="", help="Part of the last reply, or of why it is held.")
@click.option("--older-than", "age", default="", metavar="TIME", help="30min, 2d.")
@click.option("-n", "limit", default=100, show_default=True, help="The oldest N.")
@shared_options
def list_queue(*, held: bool, age: str, domain: str, limit: int, **filters: str) -> None:
    """List messages, the oldest first."""
    request = QueueList(
        destination=domain,
        accepted_before=now() - parse_span(age) if age else None,
        held=True if held else None,
        limit=limit,
        **filters,
    )
    messages = _ask(request)
    if current_options().json:
        document("queue", {"messages": messages})
        return
    if not messages:
        note("nothing is held" if held else "the queue is empty")
        return
    table(("ID", "AGE", "SIZE", "STATE", "FROM", "TO", "LAST"), map(_row, messages))


def _row(message: dict[str, Any]) -> tuple[str, ...]:
    envelope, states = message["envelope"], message["recipients"]
    waiting = [it for it in states if it["state"] == "waiting"]
    first = _mailbox(envelope["recipients"][waiting[0]["index"]]["mailbox"]) if waiting else "-"
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    last = message["hold"] or next((it["last_reply"] for it in waiting if it["last_reply"]), "")
    due = waiting[0].get("due") if waiting else None
    state = "held" if message["hold"] else f"next try {_when(due)}" if due else "now"
    return (
        message["id"],
        _when(envelope["accepted"]).removesuffix(" ago"),
        f"{message['octets'] / 1000:.1f} kB",
        state,
        _reverse_path(envelope),
        f"{first}{more}",
        last[:80] or "-",
    )


def _when(text: str) -> str:
    return ago(parse_end(text), now())


def _reverse_path(envelope: dict[str, Any]) -> str:
    mailbox = envelope["reverse_path"]["mailbox"]
    return _mailbox(mailbox) if mailbox else "<>"


def _mailbox(mailbox: dict[str, str]) -> str:
    return f"{mailbox['local_part']}@{mailbox['domain']}"


@queue.command()
@shared_options
def summary() -> None:
    """Count what waits, by destination, with the oldest and the last reply."""
    answer = _ask(QueueSummary())
    if current_options().json:
        document("queue-summary", answer)
        return
    say(f"{answer['messages']} messages, {answer['held']} of them held")
    table(
        ("DESTINATION", "WAITING", "HELD", "OLDEST", "LAST REPLY"),
        [
            (
                it["destination"],
                it["waiting"],
                it["held"],
                _when(it["oldest"]) if it["oldest"] else "-",
                it["last_reply"] or "-",
            )
            for it in answer["destinations"]
        ],
    )


@queue.command()
@click.argument("id")
@click.option("--content", is_flag=True, help="Show the beginning of the message too.")
@shared_options
def show(id: str, *, content: bool) -> None:  # noqa: A002 - what the person types
    """Show one message: envelope, state of each recipient, its journey so far."""
    answer = _ask(QueueShow(id, octets=16_000 if content else 0))
    if current_options().json:
        document("message", answer)
        return
    message = answer["message"]
    envelope = message["envelope"]
    say(f"message {message['id']}, {message['octets']} octets, accepted {envelope['accepted']}")
    if message["hold"]:
        case = f" (posthouse explain {message['hold_case']})" if message["hold_case"] else ""
        say(f"  held: {message['hold']}{case}")
    say(f"  from {_reverse_path(envelope)}, client {envelope['client'] or '-'}")
    for state in message["recipients"]:
        recipient = _mailbox(envelope["recipients"][state["index"]]["mailbox"])
        due = f", next try {_when(state['due'])}" if state.get("due") else ""
        said = f": {state['last_reply']}" if state["last_reply"] else ""
        say(f"  to {recipient}: {state['state']}, {state['attempts']} attempts{due}{said}")
    for event in answer["journey"]:
        say(f"  {event['at']}  {event['text']}")
    if content:
        say()
        say(answer["content"])


@queue.command()
@click.argument("id", required=False)
@click.option("--domain", default="", help="All for this destination.")
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@shared_options
def retry(id: str | None, domain: str, *, everything: bool) -> None:  # noqa: A002 - as typed
    """Try a message now, or all for a destination."""
    if sum((bool(id), bool(domain), everything)) != 1:
        raise click.UsageError("name one message, --domain D, or --all")
    _do(QueueRetry(id or "", domain), "is tried now")


@queue.command()
@click.argument("id")
@click.option("--because", default="held by an administrator", help="Why.")
@shared_options
def hold(id: str, because: str) -> None:  # noqa: A002 - as typed
    """Keep a message until it is released."""
    _do(QueueHold(id, because), f"{id} is held")


@queue.command()
@click.argument("id")
@shared_options
def release(id: str) -> None:  # noqa: A002 - as typed
    """Let a held message go on its way."""
    _do(QueueRelease(id), f"{id} is released")


@queue.command()
@click.argument("id")
@click.option("--because", default="returned by an administrator", help="What the sender reads.")
@shared_options
def bounce(id: str, because: str) -> None:  # noqa: A002 - as typed
    """Return a message to its sender."""
    _do(QueueBounce(id, because), f"{id} is returned to its sender")


@queue.command()
@click.argument("id")
@click.option("--because", default="", help="Why; it is recorded.")
@click.confirmation_option("--yes", prompt="Remove the message for good? Nobody will be told.")
@shared_options
def drop(id: str, because: str) -> None:  # noqa: A002 - as typed
    """Remove a message for good; nobody is told."""
    _do(QueueDrop(id, because), f"{id} is gone")


def _ask(request: AnyRequest) -> Any:  # noqa: ANN401 - JSON
    return ask_server(open_installation(current_options()), request)


def _do(request: AnyRequest, told: str) -> int:
    answer = _ask(request)
    if current_options().json:
        document("queue-change", {"did": request.__struct_config__.tag, "answer": answer})
    elif not current_options().quiet:
        say(told)
    return Exit.DONE
