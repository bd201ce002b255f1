"""What a command prints: for people by default, one JSON document with `--json`.

Data goes to standard output, notes and progress to standard error. Text that came from outside
never steers a terminal.
"""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
import msgspec

from posthouse.telemetry.escaping import escaped, json_escaped

GAP: Final = "  "
_STYLES: Final = {
    "accept": "green",
    "delivered": "green",
    "ok": "green",
    "refuse": "red",
    "failed": "red",
    "wrong": "red",
    "defer": "yellow",
    "hold": "yellow",
    "held": "yellow",
}


def encode(value: object) -> bytes:
    """Return the value as indented JSON; structs, dates and addresses included."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=_as_text), indent=2)


def _as_text(value: object) -> str:
    return str(value)


def document(thing: str, content: dict[str, Any]) -> None:
    """Print one JSON document: ``{"schema": "posthouse.THING/1", ...}``."""
    _write(json_escaped(encode({"schema": f"posthouse.{thing}/1", **content}).decode()))


def ndjson(thing: str, content: dict[str, Any]) -> None:
    """Print one line of a stream of JSON documents, at once."""
    value = {"schema": f"posthouse.{thing}/1", **content}
    _write(json_escaped(msgspec.json.encode(value, enc_hook=_as_text).decode()))
    sys.stdout.flush()


def say(text: str = "") -> None:
    """Print a line of data; control characters are shown, not obeyed."""
    _write("\n".join(escaped(line) for line in text.split("\n")))


def note(text: str) -> None:
    """Print a note for the person, on standard error."""
    click.echo("\n".join(escaped(line) for line in text.split("\n")), err=True)


def styled(word: str, style: str = "") -> str:
    """Return a word in its colour where standard output is a terminal that wants colours."""
    colour = _STYLES.get(style or word)
    return click.style(word, fg=colour, bold=True) if colour else word


def github_annotation(severity: str, file: str, line: int, message: str) -> None:
    """Print a finding as continuous integration of GitHub shows it beside the line."""
    plain = escaped(message).replace("%", "%25")
    place = f"file={file}" + (f",line={line}" if line else "")
    click.echo(f"::{severity} {place}::{plain}")


def headline(verdict: str, rest: str) -> None:
    """Print a verdict in its colour, then the rest of the line."""
    click.echo(f"{styled(verdict)}{GAP}{escaped(rest)}")


def plural(number: int, thing: str) -> str:
    """Return a number with its noun: ``1 message``, ``2 messages``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headings, aligned; the last column may be of any width."""
    cells = [tuple(escaped(str(cell)) for cell in row) for row in rows]
    widths = [
        max(map(_width, (column, *(row[number] for row in cells))))
        for number, column in enumerate(columns)
    ]
    for number, row in enumerate([tuple(columns), *cells]):
        line = GAP.join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        click.echo(click.style(line.rstrip(), bold=number == 0))


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _write(text: str) -> None:
    click.echo(text)
