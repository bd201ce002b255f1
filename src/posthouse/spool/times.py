"""Instants as the database keeps them: microseconds since 1970, UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_number(instant: datetime) -> int:
    """Return the microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def to_instant(number: int) -> datetime:
    """Return the instant, in UTC."""
    return _EPOCH + timedelta(microseconds=number)


def to_instant_or_none(number: int | None) -> datetime | None:
    """The same for a column that may be NULL."""
    return None if number is None else to_instant(number)
