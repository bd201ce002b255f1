"""Where each key and value stands in a TOML text (TOML 1.0.0).

`tomllib` gives values without places. This second reading gives the places: it trusts that
`tomllib` has read the text already, so it does not judge, it only finds. Columns and widths count
characters; what goes over several lines is as wide as its first one.
"""

import re
from typing import Final

from msgspec import Struct

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_ESCAPE: Final = re.compile(r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[btnfr"\\])')
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


class Span(Struct, frozen=True):
    """A place: line and column from 1, width in characters."""

    line: int
    column: int
    width: int


_START: Final = Span(1, 1, 1)


class Spans:
    """The places of all keys and values of one text, by path: ``("listen", "mx", "on", 0)``."""

    def __init__(self, text: str = "") -> None:
        self._text = text.replace("\r\n", "\n")
        self._keys: dict[Path, tuple[int, int]] = {}
        self._values: dict[Path, tuple[int, int]] = {}
        self._counts: dict[Path, int] = {}
        self._line_starts = [0] + [found.end() for found in re.finditer("\n", self._text)]
        self._read_document()

    def key(self, path: Path) -> Span:
        """Return the place of the key (or table header) that `path` ends in, or of its parent."""
        return self._nearest(path, self._keys)

    def value(self, path: Path) -> Span:
        """Return the place of the value of `path`, else of its key, else of its parent."""
        if path in self._values:
            return self._span(*self._values[path])
        return self._nearest(path, self._keys)

    def line(self, path: Path) -> int:
        """Return the line where `path` is written, or 0 if it is not in the text."""
        if path in self._keys:
            return self._span(*self._keys[path]).line
        if path in self._values:
            return self._span(*self._values[path]).line
        return 0

    def where(self, path: Path, name: str) -> str:
        """Return ``name:line`` for a trace, or "" if `path` is not in the text."""
        line = self.line(path)
        return f"{name}:{line}" if line else ""

    def below(self, path: Path) -> list[Path]:
        """Return the paths of all keys that stand directly below `path`."""
        depth = len(path) + 1
        return [each for each in self._keys if len(each) == depth and each[:-1] == path]

    def _nearest(self, path: Path, places: dict[Path, tuple[int, int]]) -> Span:
        while path:
            if path in places:
                return self._span(*places[path])
            if path in self._values:
                return self._span(*self._values[path])
            path = path[:-1]
        return _START

    def _span(self, start: int, end: int) -> Span:
        low, high = 0, len(self._line_starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._line_starts[middle] <= start else (low, middle)
        newline = self._text.find("\n", start, end)
        width = (end if newline < 0 else newline) - start
        return Span(low + 1, start - self._line_starts[low] + 1, max(1, width))

    def _read_document(self) -> None:
        table: Path = ()
        at = self._blank(0)
        while at < len(self._text):
            if self._text.startswith("[[", at):
                table, at = self._header(at, brackets=2)
            elif self._text.startswith("[", at):
                table, at = self._header(at, brackets=1)
            else:
                at = self._pair(at, table)
            at = self._blank(at)

    def _header(self, at: int, *, brackets: int) -> tuple[Path, int]:
        parts, inside = self._dotted(at + brackets)
        end = inside + brackets
        path: Path = ()
        for part, _ in parts[:-1]:
            path = self._into_last((*path, part))
            self._keys.setdefault(path, (at, end))
        path = (*path, parts[-1][0])
        if brackets == 2:
            self._keys.setdefault(path, (at, end))
            number = self._counts.get(path, 0)
            self._counts[path] = number + 1
            path = (*path, number)
        self._keys[path] = (at, end)
        return path, end

    def _into_last(self, path: Path) -> Path:
        """An array of tables is entered at its last table (TOML 1.0.0, "Array of Tables")."""
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _pair(self, at: int, table: Path) -> int:
        parts, at = self._dotted(at)
        path = table
        for part, place in parts:
            path = (*path, part)
            self._keys.setdefault(path, place)
        return self._value(self._space(at + 1), path)

    def _dotted(self, at: int) -> tuple[list[tuple[str, tuple[int, int]]], int]:
        """Read ``a."b".c``; return its parts with their places, and where it ends."""
        parts = []
        while True:
            start = self._space(at)
            if found := _BARE_KEY.match(self._text, start):
                name, end = found[0], found.end()
            else:
                end = self._string_end(start)
                name = _unquote(self._text[start:end])
            parts.append((name, (start, end)))
            at = self._space(end)
            if not self._text.startswith(".", at):
                return parts, at
            at += 1

    def _value(self, at: int, path: Path) -> int:
        sign = self._text[at : at + 1]
        if sign == "[":
            end = self._array(at + 1, path)
        elif sign == "{":
            end = self._inline_table(at + 1, path)
        elif sign in ('"', "'"):
            end = self._string_end(at)
        else:
            found = _SCALAR.match(self._text, at)
            end = at + len(found[0].rstrip()) if found else at
        self._values[path] = (at, end)
        return end

    def _array(self, at: int, path: Path) -> int:
        number = 0
        at = self._blank(at)
        while at < len(self._text) and self._text[at] != "]":
            at = self._blank(self._value(at, (*path, number)))
            if self._text.startswith(",", at):
                at = self._blank(at + 1)
            number += 1
        return at + 1

    def _inline_table(self, at: int, path: Path) -> int:
        at = self._blank(at)
        while at < len(self._text) and self._text[at] != "}":
            at = self._blank(self._pair(at, path))
            if self._text.startswith(",", at):
                at = self._blank(at + 1)
        return at + 1

    def _string_end(self, at: int) -> int:
        found = _STRING.match(self._text, at)
        assert found, "tomllib has read this text"
        return found.end()

    def _blank(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return found.end() if found else at

    def _space(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at


def _unquote(quoted: str) -> str:
    if quoted.startswith("'"):
        return quoted[1:-1]
    return _ESCAPE.sub(
        lambda found: chr(int(found[1][1:], 16)) if found[1][0] in "uU" else _ESCAPED[found[1]],
        quoted[1:-1],
    )
