"""What is wrong with a configuration, and how it is shown: like rustc, with the line itself."""

import textwrap
import unicodedata
from collections.abc import Iterable
from enum import Enum
from typing import Final

from msgspec import Struct

_SHOWN_COLUMNS_MAX: Final = 160
_HELP_COLUMNS_MAX: Final = 90
_TAB: Final = "    "


class Severity(Enum):
    """Whether the server may start with it."""

    ERROR = "error"
    WARNING = "warning"


class Diagnostic(Struct, frozen=True):
    """One finding.

    Attributes:
        code: Stable: ``C012`` for errors, ``W103`` for warnings; `catalogue.explain` tells more.
        severity: Whether the server may start with it.
        message: One sentence without a full stop, in our own words.
        line: From 1; 0 if it belongs to no line.
        column: From 1, in characters.
        width: Characters to underline.
        help: What to write instead; "" if the message says it all. May have several lines.
    """

    code: str
    severity: Severity
    message: str
    line: int = 0
    column: int = 1
    width: int = 1
    help: str = ""


class ConfigurationError(Exception):
    """The configuration cannot be used; `diagnostics` holds everything that is wrong with it."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(f"{len(diagnostics)} errors in the configuration")
        self.diagnostics = diagnostics


def is_fatal(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether one of the findings is an error."""
    return any(each.severity is Severity.ERROR for each in diagnostics)


def render(diagnostics: Iterable[Diagnostic], text: str, name: str) -> str:
    """Return the findings as plain text for a terminal, each with its line of `text`.

    Nothing that could steer a terminal gets through unescaped.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_render_one(each, lines, showable(name)) for each in diagnostics)


def _render_one(diagnostic: Diagnostic, lines: list[str], name: str) -> str:
    shown = [f"{diagnostic.severity.value}[{diagnostic.code}]: {showable(diagnostic.message)}"]
    margin = " " * (len(str(diagnostic.line)) + 1)
    if 1 <= diagnostic.line <= len(lines):
        source, caret = _underline(lines[diagnostic.line - 1], diagnostic)
        shown += [
            f"{margin}--> {name}:{diagnostic.line}:{diagnostic.column}",
            f"{margin} |",
            f" {diagnostic.line} | {source}".rstrip(),
            f"{margin} | {caret}",
        ]
    else:
        shown.append(f"{margin}--> {name}")
    first = "help: "
    for line in _help_lines(diagnostic.help):
        shown.append(f"{margin} = {first}{line}")
        first = "      "
    shown.append(f"{margin} = more: posthouse explain {diagnostic.code}")
    return "\n".join(shown) + "\n"


def _help_lines(words: str) -> list[str]:
    shown = [showable(line) for line in words.split("\n")]
    return [part for line in shown for part in textwrap.wrap(line, _HELP_COLUMNS_MAX)]


def _underline(line: str, diagnostic: Diagnostic) -> tuple[str, str]:
    """The line as shown, and the carets beneath it; very long lines are cut around the place."""
    start = min(diagnostic.column - 1, len(line))
    end = max(start, min(start + diagnostic.width, len(line)))
    cut = max(0, start - _SHOWN_COLUMNS_MAX // 2)
    before, marked = showable(line[cut:start]), showable(line[start:end])
    after = showable(line[end : cut + _SHOWN_COLUMNS_MAX])
    marked = marked[:_SHOWN_COLUMNS_MAX]
    lead = "..." if cut else ""
    tail = "..." if len(line) > max(end, cut + _SHOWN_COLUMNS_MAX) else ""
    caret = " " * (len(lead) + _columns(before)) + "^" * max(1, _columns(marked))
    return lead + before + marked + after + tail, caret


def showable(text: str) -> str:
    """Return the text on one line, with everything a terminal might obey or hide written out.

    That is whatever Unicode does not call printable: controls, marks that reorder text, odd spaces.
    """
    text = text.replace("\t", _TAB)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


def _columns(text: str) -> int:
    """Terminal columns: wide East Asian characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )
