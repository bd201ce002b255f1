"""Which messages of the queue a command is about: ids, or what they have in common."""

from collections.abc import Callable
from typing import Any

import click
from msgspec import Struct

from posthouse.cli.installation import now
from posthouse.cli.spans_of_time import parse_span

_FILTERS = (
    click.option("--domain", default="", help="Only for this destination."),
    click.option("--sender", default="", help="Part of the reverse-path."),
    click.option("--recipient", default="", help="Part of a recipient."),
    click.option("--account", default="", help="Who handed it in."),
    click.option("--reason", default="", help="Part of the last reply, or of why it is held."),
    click.option("--older-than", "age", default="", metavar="TIME", help="30min, 2d."),
    click.option("--held", is_flag=True, help="Only held mail."),
)


class Choice(Struct, frozen=True):
    """What a change is about.

    Attributes:
        ids: Messages by name.
        wanted: Or fields of `requests.Matching`.
        everything: Or all there is.
    """

    ids: tuple[str, ...]
    wanted: dict[str, Any]
    everything: bool

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of `requests.Chosen` for what has something in common."""
        return {**self.wanted, "everything": self.everything}


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take filters."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take ids, or filters, or --all."""
    function = filter_options(function)
    function = click.option("--all", "everything", is_flag=True, help="All of them.")(function)
    return click.argument("ids", metavar="[ID]...", nargs=-1)(function)


def matching(filters: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `requests.Matching` that were asked for."""
    wanted = {
        "destination": filters["domain"],
        **{name: filters[name] for name in ("sender", "recipient", "account", "reason")},
        "accepted_before": now() - parse_span(filters["age"]) if filters["age"] else None,
        "held": filters["held"] or None,
    }
    return {name: value for name, value in wanted.items() if value}


def chosen(filters: dict[str, Any]) -> Choice:
    """Return what a command line says.

    Raises:
        click.UsageError: If it says nothing, or two things.
    """
    ids, wanted, everything = filters["ids"], matching(filters), filters["everything"]
    if sum((bool(ids), bool(wanted), everything)) != 1:
        raise click.UsageError("name messages, or say what they have in common, or --all")
    return Choice(ids, wanted, everything)
