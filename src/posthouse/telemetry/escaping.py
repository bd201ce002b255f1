"""Hostile text made harmless for terminals, logs and pages."""

import json
import re
from typing import Final

_CODE: Final = re.compile(r"[^\x20-\x7e]")
_WORD: Final = re.compile(r"[^\W\d_]+")
# Letters of other scripts that look like Latin ones: in these fonts nobody can tell them apart.
_LOOK_ALIKES: Final = frozenset(
    "аеорсухіјѕԁԛԝһӏьАВЕКМНОРСТУХІЈЅҮ"  # Cyrillic
    "αιοκνρτυχγϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"  # Greek
    "օսոցհԼՏՕ"  # Armenian
)
_FULL_WIDTH: Final = ("\uff01", "\uff5e")  # first and last of the wide forms of ASCII


def escaped(text: str) -> str:
    r"""Return `text` with everything that does not print as itself written as ``\x1b``, ``\u202e``.

    Control characters, escape sequences, bidi overrides, invisible and unpaired characters and
    line ends of every kind are gone; letters of all scripts stay, but not those that pass for
    Latin: ``p\u0430ypal`` is shown so.
    """
    if text.isascii() and text.isprintable():
        return text
    text = "".join(char if char.isprintable() else _code(char) for char in text)
    return text if text.isascii() else _WORD.sub(_without_look_alikes, text)


def json_escaped(document: str) -> str:
    """Return a JSON document with what does not print, or passes for ASCII, as JSON escapes."""
    if document.isascii() and "\x7f" not in document:
        return document
    return "".join(
        char if char == "\n" or _is_harmless(char) else _json_code(char) for char in document
    )


def _without_look_alikes(found: re.Match[str]) -> str:
    """Write the look-alikes of a word as codes where it mixes scripts, or has nothing else."""
    word = found[0]
    foreign = [char for char in word if not char.isascii()]
    if not foreign:
        return word
    likes = [char for char in foreign if char in _LOOK_ALIKES]
    mixed = len(foreign) < len(word) and bool(likes)
    all_alike = len(likes) == len(word)
    if not (mixed or all_alike or any(_is_full_width(char) for char in foreign)):
        return word
    return "".join(
        _code(char) if char in _LOOK_ALIKES or _is_full_width(char) else char for char in word
    )


def _is_harmless(char: str) -> bool:
    return char.isprintable() and char not in _LOOK_ALIKES and not _is_full_width(char)


def _is_full_width(char: str) -> bool:
    return _FULL_WIDTH[0] <= char <= _FULL_WIDTH[1]


def _json_code(char: str) -> str:
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]


def escaped_to_ascii(text: str) -> str:
    """Return `text` with everything outside ASCII escaped too: for SMTP replies."""
    if text.isascii() and text.isprintable():
        return text
    return _CODE.sub(lambda found: _code(found[0]), text)


def _code(char: str) -> str:
    number = ord(char)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
