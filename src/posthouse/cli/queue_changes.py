"""What `posthouse queue` changes: one message, several, or all that have something in common."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import click

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options, open_installation
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, plural, say
from posthouse.cli.queue_choice import Choice, choosing, chosen
from posthouse.cli.running import ask_server
from posthouse.server.requests import (
    AnyRequest,
    QueueBounce,
    QueueChange,
    QueueDrop,
    QueueHold,
    QueueMove,
    QueuePause,
    QueueRelease,
    QueueResume,
    QueueRetry,
    QueueSummary,
)

_yes: Final = click.option("--yes", is_flag=True, help="Do not ask first.")


@click.command()
@choosing
@shared_options
def retry(**choice: Any) -> int:  # noqa: ANN401 - of several types
    """Try messages now, but those for a paused destination."""
    wanted = chosen(choice)
    code = _change(QueueRetry, wanted, "due now")
    _tell_what_is_paused(wanted)
    return code


@click.command()
@choosing
@click.option("--because", default="held by an administrator", help="Why.")
@shared_options
def hold(because: str, **choice: Any) -> int:  # noqa: ANN401 - the same
    """Keep messages until they are released."""
    return _change(partial(QueueHold, because=because), chosen(choice), "held")


@click.command()
@choosing
@shared_options
def release(**choice: Any) -> int:  # noqa: ANN401 - the same
    """Let held messages go on their way."""
    return _change(QueueRelease, chosen(choice), "released")


@click.command()
@choosing
@click.option("--because", default="returned by an administrator", help="What the sender reads.")
@_yes
@shared_options
def bounce(because: str, *, yes: bool, **choice: Any) -> int:  # noqa: ANN401 - the same
    """Return messages to their senders; asks first, unless they are named."""
    wanted = chosen(choice)
    if not wanted.ids and not yes and not _agreed(wanted, "Return {}? The senders are told."):
        return Exit.NO
    return _change(partial(QueueBounce, because=because), wanted, "returned")


@click.command()
@choosing
@click.option("--because", default="", help="Why; it is recorded.")
@_yes
@shared_options
def drop(because: str, *, yes: bool, **choice: Any) -> int:  # noqa: ANN401 - the same
    """Remove messages for good; nobody is told. Asks first."""
    wanted = chosen(choice)
    if not yes and not _agreed(wanted, "Remove {} for good? Nobody will be told."):
        return Exit.NO
    return _change(partial(QueueDrop, because=because), wanted, "gone")


@click.command()
@choosing
@click.option(
    "--via", required=True, help="mx, smtp://HOST:PORT, lmtp://HOST:PORT, or route: as configured."
)
@shared_options
def move(via: str, **choice: Any) -> int:  # noqa: ANN401 - the same
    """Send messages by another way: now, or when a pause ends."""
    told = "given back to the configured route" if via == "route" else f"sent by {via}"
    wanted = chosen(choice)
    code = _change(partial(QueueMove, via=via), wanted, told)
    _tell_what_is_paused(wanted)
    return code


@click.command()
@click.argument("domain")
@click.option("--because", default="", help="Why; it is recorded.")
@shared_options
def pause(domain: str, because: str) -> None:
    """Send nothing to DOMAIN until it is resumed, also after a restart; mail is still accepted."""
    _ask(QueuePause(domain, because), f"mail for {domain} waits until `posthouse queue resume`")


@click.command()
@click.argument("domain")
@shared_options
def resume(domain: str) -> None:
    """Send to DOMAIN again."""
    _ask(QueueResume(domain), f"mail for {domain} goes on")


CHANGES: Final = (retry, hold, release, bounce, drop, move, pause, resume)


def _agreed(choice: Choice, question: str) -> bool:
    """Ask the person, and say how much it is about."""
    if choice.ids:
        number = len(choice.ids)
    else:
        counted = QueueSummary(**choice.wanted, limit=0)
        number = ask_server(open_installation(current_options()), counted)["messages"]
        if number == 0:
            note("nothing in the queue matches")
            return False
    try:
        agreed = click.confirm(question.format(plural(number, "message")), err=True)
    except click.Abort:
        raise Failure("nothing was changed: nobody answered; --yes does not ask") from None
    if not agreed:
        note("nothing was changed")
    return agreed


def _tell_what_is_paused(choice: Choice) -> None:
    """What is due for these waits all the same."""
    if current_options().quiet:
        return
    about = choice.wanted.get("destination", "").lower()
    for it in ask_server(open_installation(current_options()), QueueSummary(limit=0))["paused"]:
        if about in ("", it["destination"]):
            note(f"{it['destination']} is paused: its mail waits until `posthouse queue resume`")


def _change(make: Callable[..., QueueChange], choice: Choice, became: str) -> int:
    """Change what is meant; one that cannot be changed does not keep the others from it."""
    if not choice.ids:
        return _change_all(make(**choice.fields), became)
    failures: list[Failure] = []
    for message_id in choice.ids:
        try:
            _ask(make(id=message_id), f"{message_id}: {became}")
        except Failure as problem:
            failures.append(problem)
            if len(choice.ids) > 1:
                note(str(problem))
    if failures:
        raise failures[-1]
    return Exit.DONE


def _change_all(request: QueueChange, became: str) -> int:
    number = ask_server(open_installation(current_options()), request, patient=True)
    if current_options().json:
        document("queue-change", {"did": request.__struct_config__.tag, "answer": number})
    elif number == 0:
        note("nothing in the queue matches")
    elif not current_options().quiet:
        say(f"{number} {became}")
    return Exit.DONE if number else Exit.NO


def _ask(request: AnyRequest, told: str) -> None:
    answer = ask_server(open_installation(current_options()), request)
    if current_options().json:
        document("queue-change", {"did": request.__struct_config__.tag, "answer": answer})
    elif not current_options().quiet:
        say(told)
