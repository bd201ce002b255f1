"""Events in the life of a message."""

from posthouse.telemetry.event import Level, LogEvent


class Accepted(LogEvent, frozen=True):
    """We took responsibility for a message.

    Attributes:
        message: Id of the message.
        client: Address it came from; "" for reports of our own.
        account: Who handed it in; "" for transfer from outside.
        reverse_path: Where reports go.
        recipients: How many.
        octets: Size.
        message_id: The Message-ID field; hostile text.
        case: Case id of the decision that let it in; several recipients have one each.
        reason: Why, a stable identifier.
    """

    name = "accepted"
    message: str
    client: str
    account: str
    reverse_path: str
    recipients: int
    octets: int
    message_id: str = ""
    case: str = ""
    reason: str = ""


class Delivered(LogEvent, frozen=True):
    """One recipient has the message, or the next hop took responsibility.

    Attributes:
        message: Id of the message.
        forward_path: The recipient.
        next_hop: ``mailbox``, or the host and address.
        reply: What the next hop said.
        attempts: How many it took.
        seconds: From acceptance to now.
        tls: How the way was protected: version, cipher, and by whose word the certificate was
            verified; ``not encrypted``, or "" for our own mailboxes.
    """

    name = "delivered"
    message: str
    forward_path: str
    next_hop: str
    reply: str = ""
    attempts: int = 1
    seconds: float = 0.0
    tls: str = ""


class Deferred(LogEvent, frozen=True):
    """An attempt failed; there will be another.

    Attributes:
        message: Id of the message.
        forward_path: The recipient.
        next_hop: The host and address.
        reply: What went wrong.
        attempts: How many there were.
        due: When the next one is (RFC 3339).
        tls: How the way was protected, if anything was said on it.
    """

    name = "deferred"
    message: str
    forward_path: str
    next_hop: str
    reply: str
    attempts: int
    due: str
    tls: str = ""


class Failed(LogEvent, frozen=True):
    """A recipient will not get the message.

    Attributes:
        message: Id of the message.
        forward_path: The recipient.
        next_hop: The host and address.
        reply: What went wrong.
        attempts: How many there were.
        tls: How the way was protected, if anything was said on it.
    """

    name = "failed"
    level = Level.WARNING
    message: str
    forward_path: str
    next_hop: str
    reply: str
    attempts: int
    tls: str = ""


class Bounced(LogEvent, frozen=True):
    """A report of non-delivery or delay was made.

    Attributes:
        message: Id of the message it is about.
        report: Id of the report; "" if none may be sent (null reverse-path).
        reverse_path: Where it goes.
        kind: ``failure``, ``delay``, ``success`` or ``held``.
    """

    name = "bounced"
    message: str
    report: str
    reverse_path: str
    kind: str


class Held(LogEvent, frozen=True):
    """A message waits for a person to look at it.

    Attributes:
        message: Id of the message.
        case: Case id.
        reason: Why, a stable identifier.
        reverse_path: From whom.
    """

    name = "held"
    level = Level.WARNING
    message: str
    case: str
    reason: str
    reverse_path: str


class Released(LogEvent, frozen=True):
    """A held message goes its way.

    Attributes:
        message: Id of the message.
        by: Who let it go.
    """

    name = "released"
    message: str
    by: str


class Dropped(LogEvent, frozen=True):
    """An administrator removed a message from the queue.

    Attributes:
        message: Id of the message.
        by: Who removed it.
        why: Their words.
    """

    name = "dropped"
    level = Level.WARNING
    message: str
    by: str
    why: str = ""
