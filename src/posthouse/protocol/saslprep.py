"""SASLprep: names and passwords in the form that is compared (RFC 4013, RFC 3454)."""

import stringprep
import unicodedata
from typing import Final

_PROHIBITED: Final = (  # RFC 4013 §2.3; unassigned code points are let through, as in queries
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class SaslprepError(ValueError):
    """The text cannot be a name or a password; the message says why."""


def saslprep(text: str) -> str:
    """Return text as it is compared: however a keyboard composes or spaces it, it is the same.

    Raises:
        SaslprepError: If nothing is left, or a character may not be in it.
    """
    if text and text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared:
        raise SaslprepError("has only invisible characters" if text else "is empty")
    for char in prepared:
        if any(prohibited(char) for prohibited in _PROHIBITED):
            raise SaslprepError(f"has a character that may not be in it: {char!a}")
    _check_directions(prepared)
    return prepared


def _check_directions(text: str) -> None:
    """Right-to-left and left-to-right letters do not mix (RFC 3454 §6)."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return
    if any(stringprep.in_table_d2(char) for char in text):
        raise SaslprepError("mixes letters of both writing directions")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise SaslprepError("runs right to left, so it must begin and end with such a letter")
