"""`posthouse queue`: what waits and what is held, while the server runs."""

from collections.abc import Sequence
from typing import Any

import click

from posthouse.cli.exits import Exit, Failure
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
    QueueMove,
    QueuePause,
    QueueRelease,
    QueueResume,
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
@click.option("--ids", "only_ids", is_flag=True, help="Only the ids, for other commands.")
@shared_options
def list_queue(
    *, held: bool, age: str, domain: str, limit: int, only_ids: bool, **filters: str
) -> None:
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
    if only_ids:
        for message in messages:
            say(message["id"])
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
    for it in answer["paused"]:
        say(f"{it['destination']} is paused since {_when(it['since'])}: {it['why']}")


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
    if message["via"]:
        say(f"  moved: goes by {message['via']}")
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
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--domain", default="", help="All for this destination.")
@click.option("--all", "everything", is_flag=True, help="All that wait.")
@shared_options
def retry(ids: tuple[str, ...], domain: str, *, everything: bool) -> None:
    """Try messages now, or all for a destination."""
    if sum((bool(ids), bool(domain), everything)) != 1:
        raise click.UsageError("name messages, --domain D, or --all")
    _do_each([QueueRetry(id) for id in ids] or [QueueRetry("", domain)], "tried now")  # noqa: A001 - short


@queue.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--because", default="held by an administrator", help="Why.")
@shared_options
def hold(ids: tuple[str, ...], because: str) -> None:
    """Keep messages until they are released."""
    _do_each([QueueHold(each, because) for each in ids], "held")


@queue.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@shared_options
def release(ids: tuple[str, ...]) -> None:
    """Let held messages go on their way."""
    _do_each([QueueRelease(each) for each in ids], "released")


@queue.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--because", default="returned by an administrator", help="What the sender reads.")
@shared_options
def bounce(ids: tuple[str, ...], because: str) -> None:
    """Return messages to their senders."""
    _do_each([QueueBounce(each, because) for each in ids], "returned to its sender")


@queue.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--because", default="", help="Why; it is recorded.")
@click.confirmation_option("--yes", prompt="Remove for good? Nobody will be told.")
@shared_options
def drop(ids: tuple[str, ...], because: str) -> None:
    """Remove messages for good; nobody is told."""
    _do_each([QueueDrop(each, because) for each in ids], "gone")


@queue.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--domain", default="", help="All that waits for this destination.")
@click.option(
    "--via", required=True, help="mx, smtp://HOST:PORT, lmtp://HOST:PORT, or route: as configured."
)
@shared_options
def move(ids: tuple[str, ...], domain: str, via: str) -> None:
    """Send messages, or all that waits for a destination, by another way; they are tried now."""
    if bool(ids) == bool(domain):
        raise click.UsageError("name messages, or --domain D")
    moves = [QueueMove(via, each) for each in ids] or [QueueMove(via, destination=domain)]
    _do_each(moves, f"sent by {via}")


@queue.command()
@click.argument("domain")
@click.option("--because", default="", help="Why; it is recorded.")
@shared_options
def pause(domain: str, because: str) -> None:
    """Send nothing to DOMAIN until it is resumed, also after a restart; mail is still accepted."""
    _do(QueuePause(domain, because), f"mail for {domain} waits until `posthouse queue resume`")


@queue.command()
@click.argument("domain")
@shared_options
def resume(domain: str) -> None:
    """Send to DOMAIN again."""
    _do(QueueResume(domain), f"mail for {domain} goes on")


def _ask(request: AnyRequest) -> Any:  # noqa: ANN401 - JSON
    return ask_server(open_installation(current_options()), request)


def _do(request: AnyRequest, told: str) -> int:
    answer = _ask(request)
    if current_options().json:
        document("queue-change", {"did": request.__struct_config__.tag, "answer": answer})
    elif not current_options().quiet:
        say(told)
    return Exit.DONE


def _do_each(requests: Sequence[AnyRequest], became: str) -> None:
    """Ask for each; one that cannot be done does not keep the others from it."""
    failures: list[Failure] = []
    for request in requests:
        named = getattr(request, "id", "") or "all that was meant"
        try:
            _do(request, f"{named}: {became}")
        except Failure as problem:
            failures.append(problem)
            if len(requests) > 1:
                note(str(problem))
    if failures:
        raise failures[-1]
