"""Hostile text made harmless for terminals, logs and pages."""

import re
from typing import Final

_CODE: Final = re.compile(r"[^\x20-\x7e]")


def escaped(text: str) -> str:
    r"""Return `text` with everything that does not print as itself written as ``\x1b``, ``\u202e``.

    Control characters, escape sequences, bidi overrides, invisible and unpaired characters and
    line ends of every kind are gone; letters of all scripts stay.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _code(char) for char in text)


def escaped_to_ascii(text: str) -> str:
    """Return `text` with everything outside ASCII escaped too: for SMTP replies."""
    return _CODE.sub(lambda found: _code(found[0]), text)


def _code(char: str) -> str:
    number = ord(char)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
