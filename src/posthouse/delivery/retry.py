"""When to try again, when to tell the sender, when to give up (RFC 5321 §4.5.4.1)."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.mail.envelope import Envelope

FIRST_PAUSE: Final = timedelta(minutes=15)
LONGEST_PAUSE: Final = timedelta(hours=8)
SPREAD_MAX: Final = 0.1


class Patience(Struct, frozen=True):
    """How long we try.

    Attributes:
        give_up_after: Age at which the sender gets a failure report. RFC 5321 wants 4-5 days.
        tell_sender_after: Age at which the sender is told of the delay, once.
        first_pause: After the first attempt; the pause then doubles.
        longest_pause: It grows no further.
    """

    give_up_after: timedelta = timedelta(days=5)
    tell_sender_after: timedelta = timedelta(hours=4)
    first_pause: timedelta = FIRST_PAUSE
    longest_pause: timedelta = LONGEST_PAUSE

    def with_deadline(self, envelope: Envelope) -> "Patience":
        """Return the patience with a message, which may bring a deadline (RFC 2852 §4)."""
        if envelope.deliver_by is None:
            return self
        left = max(envelope.deliver_by - envelope.due, timedelta(0))
        if envelope.returned_when_late:
            return replace(self, give_up_after=min(self.give_up_after, left))
        return replace(self, tell_sender_after=min(self.tell_sender_after, left))


def next_attempt(
    accepted: datetime, last: datetime, attempts: int, patience: Patience, *, spread: float
) -> datetime | None:
    """Return when to try next, or None when the message has expired.

    The pause doubles up to the longest and is then varied by `spread`, so that messages which were
    deferred together do not come back together. Attempts that somebody hurried do not lengthen it:
    after each attempt in its time the next pause is as long as the message is old, and one more
    first pause; so that is the most at any age. One attempt is made when the sender is to be told
    of the delay, and the last when the message expires, not a long pause earlier or later.

    Args:
        accepted: When we took responsibility. All times carry a zone.
        last: End of the last attempt.
        attempts: Attempts made so far, 1 or more.
        patience: How long we try.
        spread: Uniform in [-0.1, 0.1]; passed in, because this function is pure.

    Returns:
        A time after `last`, and not after the expiry.
    """
    assert attempts >= 1
    assert -SPREAD_MAX <= spread <= SPREAD_MAX
    expires = accepted + patience.give_up_after
    if last >= expires:
        return None
    doublings = min(attempts - 1, 30)
    pause = min(
        patience.first_pause * (1 << doublings),
        patience.first_pause + max(last - accepted, timedelta(0)),
        patience.longest_pause,
    )
    warns = accepted + patience.tell_sender_after
    return min(last + pause * (1 + spread), expires, warns if last < warns else expires)


def should_tell_sender(accepted: datetime, now: datetime, patience: Patience) -> bool:
    """Return whether a message that still waits is old enough for a warning."""
    return now - accepted >= patience.tell_sender_after
