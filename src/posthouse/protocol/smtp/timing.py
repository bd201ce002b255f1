"""When mail is to leave, and until when it is to be there: parameters of MAIL on submission.

FUTURERELEASE (RFC 4865) and DELIVERBY (RFC 2852). What they mean is counted by the session, which
has a clock; here only their form is read.
"""

import re
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

HOLD_DIGITS_MAX: Final = 9  # RFC 4865 §3
BY_SECONDS_MAX: Final = 999_999_999  # RFC 2852 §4

_SECONDS: Final = re.compile(rf"[0-9]{{1,{HOLD_DIGITS_MAX}}}")
_INSTANT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})", re.ASCII
)
_BY: Final = re.compile(r"([+-]?\d{1,9});([NR])(T?)", re.ASCII)


class FutureRelease(Struct, frozen=True):
    """How far ahead a release may lie (RFC 4865 §3).

    Attributes:
        interval: Longest wait.
        until: Latest instant, as EHLO says it; carries a zone.
    """

    interval: timedelta
    until: datetime

    def __str__(self) -> str:
        """The arguments of the keyword in EHLO."""
        seconds = int(self.interval.total_seconds())
        return f"{seconds} {self.until:%Y-%m-%dT%H:%M:%SZ}"


class DeliverBy(Struct, frozen=True):
    """A deadline (RFC 2852 §4).

    Attributes:
        seconds: From the moment of MAIL on.
        returned: Mode R: what is late goes back to its sender. Else, mode N, the sender is told
            and delivery is tried on.
        traced: The sender is told where the mail leaves for servers that may not know deadlines.
    """

    seconds: int
    returned: bool
    traced: bool = False

    def __str__(self) -> str:
        """The value of BY."""
        return f"{self.seconds};{'R' if self.returned else 'N'}{'T' if self.traced else ''}"


def parse_wait(value: str) -> timedelta | None:
    """Return the wait that HOLDFOR asks for; None if it is malformed."""
    return timedelta(seconds=int(value)) if _SECONDS.fullmatch(value) else None


def parse_instant(value: str) -> datetime | None:
    """Return the instant of HOLDUNTIL (RFC 3339 §5.6); None if it is malformed."""
    value = value.upper()
    if not _INSTANT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def parse_by(value: str) -> DeliverBy | None:
    """Return the deadline that BY asks for; None if it is malformed.

    To return what is late, the deadline must lie ahead (RFC 2852 §4).
    """
    found = _BY.fullmatch(value.upper())
    if found is None:
        return None
    by = DeliverBy(int(found[1]), found[2] == "R", found[3] == "T")
    return None if by.returned and by.seconds <= 0 else by
