"""Queue ids: 11 letters and digits that sort by time and are never given out twice.

An id is the count of microseconds since 2000 in Crockford's base 32, whose alphabet lacks the
letters that are misread (I, L, O, U); the count itself is the key in the database. Where several
workers give ids, the last sign tells which: two of them never give the same.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

ID_LENGTH: Final = 11
PLACES_MAX: Final = 32  # workers that give ids
_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(one + other for one in _DIGITS for other in _DIGITS)
_VALUE: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def id_of(number: int) -> str:
    """Return the id for a count of microseconds since 2000."""
    return (
        _DIGITS[number >> 50 & 31]
        + _PAIRS[number >> 40 & 1023]
        + _PAIRS[number >> 30 & 1023]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )


def number_of(message_id: str) -> int:
    """Return the count behind an id, or -1 (which no message has) if it is not an id."""
    number = 0
    for digit in message_id.upper():
        value = _VALUE.get(digit)
        if value is None:
            return -1
        number = number * 32 + value
    return number if len(message_id) == ID_LENGTH else -1


class IdSource:
    """Gives out ids in rising order, also when the clock stands still or jumps back."""

    def __init__(self, now: Callable[[], datetime], last: int, place: int | None = None) -> None:
        """Begin behind `last`, the highest number that any earlier process recorded.

        With a `place` below 32, all ids end with its sign.
        """
        self._now = now
        self._last = last
        self._place = place
        self._lock = threading.Lock()

    def new(self) -> str:
        """Return an id higher than all before."""
        past = self._now() - _EPOCH
        count = (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds
        with self._lock:
            last = max(self._last + 1, count)
            if self._place is not None:
                last += (self._place - last) % PLACES_MAX
            self._last = last
            return id_of(last)
