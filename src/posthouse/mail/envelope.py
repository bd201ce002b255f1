"""What SMTP moves beside the content (RFC 5321 §2.3.1)."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from posthouse.mail.address import Mailbox, ReversePath


class Notify(StrEnum):
    """When a recipient's sender wants a report (RFC 3461 §4.1)."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


class Recipient(Struct, frozen=True):
    """One entry of the envelope: an accepted forward-path.

    Attributes:
        mailbox: Where the mail goes.
        notify: Reports asked for; empty means the default: failure, and delay if we like.
        original: ORCPT, ``type;xtext`` as received (RFC 3461 §4.2); "" where absent.
        case: Case id of the decision that accepted it.
    """

    mailbox: Mailbox
    notify: frozenset[Notify] = frozenset()
    original: str = ""
    case: str = ""


class Envelope(Struct, frozen=True):
    """Reverse-path and recipients, and what the next hops and reports need to know.

    Attributes:
        reverse_path: Where reports go.
        recipients: At least one.
        accepted: When we took responsibility; carries a zone.
        account: Primary address of the account that handed it in; "" for transfer from outside.
        client: Address of the client as text; "" for mail made here (reports).
        listener: Name of the listener that took it; "" for mail made here.
        body: ``7BIT``, ``8BITMIME`` or ``BINARYMIME`` as declared (RFC 6152).
        smtputf8: The transaction asked for SMTPUTF8 (RFC 6531).
        envelope_id: ENVID as received, xtext (RFC 3461 §4.4); "" where absent.
        return_content: RET: ``FULL``, ``HDRS`` or "" (RFC 3461 §4.3).
        recognised: The client came through a door; such a sender may be told of held mail.
        requiretls: Every hop must be by TLS with a verified server (REQUIRETLS, RFC 8689).
        release: Not tried before (FUTURERELEASE, RFC 4865); carries a zone.
        deliver_by: Deadline (DELIVERBY, RFC 2852); carries a zone.
        returned_when_late: What is late goes back (mode R); else the sender is told (mode N).
        traced: The sender is told where the mail leaves us (by-trace, RFC 2852 §4).
    """

    reverse_path: ReversePath
    recipients: tuple[Recipient, ...]
    accepted: datetime
    account: str = ""
    client: str = ""
    listener: str = ""
    body: str = "7BIT"
    smtputf8: bool = False
    envelope_id: str = ""
    return_content: str = ""
    recognised: bool = False
    requiretls: bool = False
    release: datetime | None = None
    deliver_by: datetime | None = None
    returned_when_late: bool = False
    traced: bool = False

    @property
    def due(self) -> datetime:
        """When it is tried for the first time."""
        return self.accepted if self.release is None else max(self.accepted, self.release)
