"""When accepted mail leaves, and until when it is to be there."""

from datetime import datetime, timedelta

from msgspec import Struct

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import MailReceived


class Timing(Struct, frozen=True):
    """What the parameters of a MAIL command mean, counted from the moment it came.

    Attributes:
        release: Not tried before (RFC 4865); None: at once.
        deliver_by: The deadline (RFC 2852); None: there is none.
    """

    release: datetime | None = None
    deliver_by: datetime | None = None

    @property
    def refusal(self) -> Reply | None:
        """Why this cannot be done; None if it can."""
        if self.release is None or self.deliver_by is None or self.release < self.deliver_by:
            return None
        return replies.DEADLINE_BEFORE_RELEASE


def timing_of(mail: MailReceived, at: datetime) -> Timing:
    """Return what is asked for by HOLDFOR, HOLDUNTIL and BY."""
    release = at + mail.hold if isinstance(mail.hold, timedelta) else mail.hold
    by = mail.deliver_by
    return Timing(release, None if by is None else at + timedelta(seconds=by.seconds))
