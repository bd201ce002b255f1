"""TOML's own errors, in our words and with the slip that most likely made them."""

import re
import tomllib
from typing import Any, Final

from posthouse.config.catalogue import finding
from posthouse.config.diagnostic import ConfigurationError, Diagnostic
from posthouse.config.spans import Span

_PLACE: Final = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)$")
_RIGHT_SIDE: Final = re.compile(r"^[^=#]*=\s*([^\s\"'\[{#][^#\"']*?)\s*(?:#.*)?$")
_QUOTES: Final = "text, networks, sizes and times stand in quotes"

# How tomllib's message begins (Python 3.11 to 3.14), what we say, what we advise.
_WORDS: Final = (
    ("Expected newline or end", "the line goes on after its value", _QUOTES),
    ("Invalid value", "this is no value", _QUOTES),
    ("Illegal character '\\n'", "the text does not end on its line", 'add the closing "'),
    ("Illegal character", "a control character is in the text", "remove it"),
    ("Found invalid character", "a control character or line end is where none may be", ""),
    ("Unterminated string", "the text never ends", "add the closing quotes"),
    ('Expected "\'"', "the text does not end on its line", "add the closing '"),
    ("Expected '='", "after a key stands =", 'write key = "value"'),
    ("Expected ']'", "the heading of a table does not end", "write [table]"),
    ("Expected ']]'", "the heading of a list of tables does not end", "write [[table]]"),
    ("Unclosed array", "a comma or the closing ] is missing", "every entry but the last needs ,"),
    ("Unclosed inline table", "a comma or the closing } is missing", "all of it is on one line"),
    ("Invalid statement", "this is no key, table or comment", "comments begin with #"),
    ("Invalid initial character", "a key is missing here", 'write key = "value"'),
    ("Unescaped '\\'", "a \\ in quotes begins a special sign", "write \\\\, or 'text' instead"),
    ("Invalid hex", "\\u needs four hexadecimal digits, \\U eight", ""),
    ("Escaped character", "this number names no character", ""),
    ("Invalid date", "there is no such date or time", "write 2026-06-30 or 2026-06-30T18:00:00Z"),
    ("Unbalanced", "quotes are missing", ""),
)
_LISTS_OF_TABLES: Final = ("[may_relay]", "[outbound.route]", "[screening]", "[test]")
_TWICE: Final = ("Cannot", "Duplicate", "Can't")


def parse(text: str) -> dict[str, Any]:
    """Return the values of a TOML text.

    Raises:
        ConfigurationError: If it is no TOML; with one error, for what follows cannot be read.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigurationError((_in_our_words(str(problem), text),)) from None
    except RecursionError:
        raise _without_place("lists or tables are nested too deep") from None
    except (ValueError, OverflowError):  # int() refuses numbers of thousands of digits
        raise _without_place("a number is far too long") from None


def decode(octets: bytes) -> str:
    """Return the text of a file.

    Raises:
        ConfigurationError: If it is not UTF-8.
    """
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = octets[: problem.start].decode("utf-8", "replace")
        column = len(before) - (before.rfind("\n") + 1) + 1
        place = Span(before.count("\n") + 1, column, 1)
        message = f"octet {octets[problem.start]:#04x} is not UTF-8"
        error = finding("encoding", message, place, "save the file as UTF-8")
        raise ConfigurationError((error,)) from None


def _without_place(message: str) -> ConfigurationError:
    return ConfigurationError((finding("toml", message),))


def _in_our_words(problem: str, text: str) -> Diagnostic:
    lines = text.replace("\r\n", "\n").split("\n")
    place = _PLACE.search(problem)
    line, column = _last_place(lines)
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    if problem.startswith(_TWICE):
        return _written_twice(line, lines)
    message, words = next(
        ((ours, advice) for begin, ours, advice in _WORDS if problem.startswith(begin)),
        ("this is no TOML", ""),
    )
    source = lines[line - 1] if line <= len(lines) else ""
    bare = _RIGHT_SIDE.match(source)
    if bare and words is _QUOTES:
        words = f'did you mean "{bare[1]}"? {_QUOTES}'
        column = bare.start(1) + 1
    width = len(bare[1]) if bare and words.startswith("did you") else 1
    return finding("toml", message, Span(line, column, width), words)


def _last_place(lines: list[str]) -> tuple[int, int]:
    """Where a file that ends too early has its last sign."""
    for number in range(len(lines), 0, -1):
        if lines[number - 1].strip():
            return number, len(lines[number - 1]) + 1
    return 1, 1


def _written_twice(line: int, lines: list[str]) -> Diagnostic:
    source = lines[line - 1] if line <= len(lines) else ""
    written = source.partition("=")[0].strip() or source.strip()
    first = next(
        (number for number, each in enumerate(lines[: line - 1], 1) if _begins(each, written)), 0
    )
    words = f"it stands in line {first} already" if first else "put everything about it together"
    if written in _LISTS_OF_TABLES:
        words += f"; a list of tables has two brackets: [{written}]"
    column = len(source) - len(source.lstrip()) + 1
    message = "this key or table is in the file twice, or is a value and a table at once"
    return finding("toml-twice", message, Span(line, column, max(1, len(written))), words)


def _begins(line: str, written: str) -> bool:
    return (line.partition("=")[0].strip() or line.strip()) == written and bool(written)
