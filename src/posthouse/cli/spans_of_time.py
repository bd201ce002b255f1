"""Times as people type them: `8h`, `30 min`, `2026-06-30`."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final

from posthouse.cli.exits import Exit, Failure

_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "day": timedelta(days=1),
    "days": timedelta(days=1),
    "w": timedelta(weeks=1),
    "week": timedelta(weeks=1),
    "weeks": timedelta(weeks=1),
}
_SPAN: Final = re.compile(r"(\d{1,6})\s*([a-z]+)")


def parse_span(text: str) -> timedelta:
    """Return a span such as ``8h``, ``30 min`` or ``2 days``.

    Raises:
        Failure: If it is none.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS or int(match[1]) == 0:
        raise Failure(f"{text!r} is no span of time: write 30min, 8h or 2d", Exit.USAGE)
    try:
        return int(match[1]) * _UNITS[match[2]]
    except OverflowError:
        raise Failure(f"{text!r} is too long a time", Exit.USAGE) from None


def parse_end(text: str) -> datetime:
    """Return the first moment after a last day such as ``2026-06-30`` (UTC), or a moment itself.

    Raises:
        Failure: If it is neither.
    """
    try:
        if len(text) == len("2026-06-30"):
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
            return datetime.combine(day.date() + timedelta(days=1), time(), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Failure(f"{text!r} is no date: write 2026-06-30", Exit.USAGE) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago, in one unit: ``3 min ago``, ``in 2 h``."""
    seconds = (now - then).total_seconds()
    span = brief(abs(seconds))
    return f"{span} ago" if seconds >= 0 else f"in {span}"


def next_try(due: str, now: datetime) -> str:
    """Return when mail is tried next: what is due already only waits for its turn."""
    then = parse_end(due)
    return "now" if then <= now else ago(then, now)


def moment(text: str) -> str:
    """Return a moment as people read it, to the second."""
    return text[:19].replace("T", " ")


def brief(seconds: float) -> str:
    """Return a span in one unit."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"
