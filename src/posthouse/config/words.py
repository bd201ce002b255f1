"""Words for people: what was most likely meant, and lists of what is possible."""

import difflib
from collections.abc import Iterable
from typing import Final

_LIKE: Final = 0.65  # of difflib: "submision" is like "submission", "smtp" is not like "pop3"
_LOOKED_AT_MAX: Final = 64
_SHOWN_MAX: Final = 60


def nearest(written: str, known: Iterable[str]) -> str:
    """Return the known word that was most likely meant, or ""."""
    plain = {_plain(each): each for each in known}
    close = difflib.get_close_matches(_plain(written), plain, 1, _LIKE)
    return plain[close[0]] if close else ""


def quoted(text: str) -> str:
    """Return the text in quotes, cut where it is long; `diagnostic.render` makes it harmless."""
    return f'"{text}"' if len(text) <= _SHOWN_MAX else f'"{text[:_SHOWN_MAX]}..."'


def either(options: Iterable[str]) -> str:
    """Return "a, b or c"."""
    *rest, last = list(options) or [""]
    return f"{', '.join(rest)} or {last}" if rest else last


def _plain(word: str) -> str:
    return word[:_LOOKED_AT_MAX].lower().replace("_", "-").replace(" ", "-")
