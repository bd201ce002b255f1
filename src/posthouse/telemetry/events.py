"""Everything Posthouse logs: the complete list.

An event's name and fields are public, as reasons are: log readers depend on them. They are never
renamed; docs/reference/events.md is made from this file.
"""

from enum import Enum
from typing import ClassVar, Final

from msgspec import Struct


class Level(Enum):
    """How much an event matters."""

    DEBUG = "debug"  # for looking closely
    INFO = "info"  # the ordinary course
    WARNING = "warning"  # somebody may want to look
    ERROR = "error"  # something of ours failed


class LogEvent(Struct, frozen=True):
    """Something that happened. The moment is added by the log."""

    name: ClassVar[str]
    level: ClassVar[Level] = Level.INFO


class Started(LogEvent, frozen=True):
    """The server takes mail.

    Attributes:
        version: Of Posthouse.
        listeners: ``mx 0.0.0.0:25``, one for each socket.
        configuration: Path of the file.
    """

    name = "started"
    version: str
    listeners: tuple[str, ...]
    configuration: str = ""


class Stopped(LogEvent, frozen=True):
    """The server has ended.

    Attributes:
        why: Such as ``SIGTERM``.
    """

    name = "stopped"
    why: str


class Reloaded(LogEvent, frozen=True):
    """The configuration was read again and is in force.

    Attributes:
        configuration: Path of the file.
        changed: What is different, in a few words.
    """

    name = "reloaded"
    configuration: str
    changed: str = ""


class ReloadFailed(LogEvent, frozen=True):
    """The configuration was read again and is wrong; the old one stays in force.

    Attributes:
        configuration: Path of the file.
        problem: The first error.
    """

    name = "reload-failed"
    level = Level.ERROR
    configuration: str
    problem: str


class Connected(LogEvent, frozen=True):
    """A client came.

    Attributes:
        session: Short id of the session.
        client: Its address.
        listener: The listener it came to.
    """

    name = "connected"
    level = Level.DEBUG
    session: str
    client: str
    listener: str


class Disconnected(LogEvent, frozen=True):
    """A session ended.

    Attributes:
        session: Short id of the session.
        client: Its address.
        why: ``quit``, ``timeout``, ``lost``, ``abused``, ``shutdown``.
        messages: Messages accepted in it.
    """

    name = "disconnected"
    level = Level.DEBUG
    session: str
    client: str
    why: str
    messages: int = 0


class TlsStarted(LogEvent, frozen=True):
    """A connection is encrypted from here on.

    Attributes:
        session: Short id of the session.
        client: The other end.
        version: Such as ``TLSv1.3``.
        cipher: As OpenSSL calls it.
    """

    name = "tls-started"
    level = Level.DEBUG
    session: str
    client: str
    version: str
    cipher: str


class TlsFailed(LogEvent, frozen=True):
    """A TLS handshake failed.

    Attributes:
        session: Short id of the session.
        client: The other end.
        problem: What OpenSSL said.
    """

    name = "tls-failed"
    session: str
    client: str
    problem: str


class SignedIn(LogEvent, frozen=True):
    """Somebody signed in, by AUTH or by POP3.

    Attributes:
        session: Short id of the session.
        client: Address of the client.
        listener: The listener it came to.
        account: Who.
        mechanism: ``PLAIN``, ``LOGIN`` or ``USER``.
        password: ``account`` or the name of the submission password.
    """

    name = "signed-in"
    session: str
    client: str
    listener: str
    account: str
    mechanism: str
    password: str = "account"  # noqa: S105 - which password, not the password


class SignInFailed(LogEvent, frozen=True):
    """Somebody tried to sign in and could not.

    Attributes:
        session: Short id of the session.
        client: Address of the client.
        listener: The listener it came to.
        account: The name that was given; hostile text.
        why: A reason: ``sign-in-failed``, ``sign-in-locked``, ``sign-in-unreadable``.
        case: Case id.
    """

    name = "sign-in-failed"
    level = Level.WARNING
    session: str
    client: str
    listener: str
    account: str
    why: str
    case: str = ""


class Decided(LogEvent, frozen=True):
    """The policy decided: accept or hold. A refusal is `refused`.

    Attributes:
        case: Case id.
        stage: What was decided: ``recipient``.
        verdict: ``accept`` or ``hold``.
        reason: Why, a stable identifier.
        client: Address of the client.
        account: Who it is, if known.
        reverse_path: From MAIL.
        forward_path: From RCPT.
    """

    name = "decided"
    case: str
    stage: str
    verdict: str
    reason: str
    client: str
    account: str = ""
    reverse_path: str = ""
    forward_path: str = ""


class Refused(LogEvent, frozen=True):
    """The policy refused or deferred.

    Attributes:
        case: Case id: `posthouse explain CASE` tells all of it.
        stage: What was decided: ``recipient``.
        verdict: ``refuse`` or ``defer``.
        reason: Why, a stable identifier.
        reply: As it was sent.
        client: Address of the client.
        listener: The listener it came to.
        hello: The name given by EHLO; hostile text.
        account: Who it is, if known.
        reverse_path: From MAIL.
        forward_path: From RCPT.
    """

    name = "refused"
    case: str
    stage: str
    verdict: str
    reason: str
    reply: str
    client: str
    listener: str = ""
    hello: str = ""
    account: str = ""
    reverse_path: str = ""
    forward_path: str = ""


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
    """

    name = "accepted"
    message: str
    client: str
    account: str
    reverse_path: str
    recipients: int
    octets: int
    message_id: str = ""


class Delivered(LogEvent, frozen=True):
    """One recipient has the message, or the next hop took responsibility.

    Attributes:
        message: Id of the message.
        forward_path: The recipient.
        next_hop: ``mailbox``, or the host and address.
        reply: What the next hop said.
        attempts: How many it took.
        seconds: From acceptance to now.
    """

    name = "delivered"
    message: str
    forward_path: str
    next_hop: str
    reply: str = ""
    attempts: int = 1
    seconds: float = 0.0


class Deferred(LogEvent, frozen=True):
    """An attempt failed; there will be another.

    Attributes:
        message: Id of the message.
        forward_path: The recipient.
        next_hop: The host and address.
        reply: What went wrong.
        attempts: How many there were.
        due: When the next one is (RFC 3339).
    """

    name = "deferred"
    message: str
    forward_path: str
    next_hop: str
    reply: str
    attempts: int
    due: str


class Failed(LogEvent, frozen=True):
    """A recipient will not get the message.

    Attributes:
        message: Id of the message.
        forward_path: The recipient.
        next_hop: The host and address.
        reply: What went wrong.
        attempts: How many there were.
    """

    name = "failed"
    level = Level.WARNING
    message: str
    forward_path: str
    next_hop: str
    reply: str
    attempts: int


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


class MailFetched(LogEvent, frozen=True):
    """A POP3 session ended in order.

    Attributes:
        session: Short id of the session.
        account: Whose mail.
        client: Address of the client.
        retrieved: Messages fetched.
        deleted: Messages deleted.
    """

    name = "mail-fetched"
    session: str
    account: str
    client: str
    retrieved: int
    deleted: int


class GrantChanged(LogEvent, frozen=True):
    """Networks were listed, taken back, or came to their end.

    Attributes:
        grant: Its number.
        change: ``added``, ``removed`` or ``ended``.
        networks: As written.
        by: Who.
        until: Its end (RFC 3339); "" for none.
        because: Their words.
    """

    name = "grant-changed"
    grant: int
    change: str
    networks: tuple[str, ...]
    by: str = ""
    until: str = ""
    because: str = ""


class DiskFull(LogEvent, frozen=True):
    """There is no room; no mail is taken until there is.

    Attributes:
        directory: Where.
        problem: What the system said.
    """

    name = "disk-full"
    level = Level.ERROR
    directory: str
    problem: str = ""


class StoreFailed(LogEvent, frozen=True):
    """A file of ours cannot be read or written.

    Attributes:
        store: Which: ``accounts``, ``sign-ins``, ``usage``, ``cases``, ``spool``, ``mailbox``.
        problem: What went wrong and the way out.
    """

    name = "store-failed"
    level = Level.ERROR
    store: str
    problem: str


class NameUnreadable(LogEvent, frozen=True):
    """A watched host name could not be looked up; its door is closed until it can.

    Attributes:
        host: The name.
        problem: What the resolver said.
    """

    name = "name-unreadable"
    level = Level.WARNING
    host: str
    problem: str


class BugMet(LogEvent, frozen=True):
    """Something happened that cannot: please report it.

    Attributes:
        where: What was being done.
        problem: Exception and place.
    """

    name = "bug-met"
    level = Level.ERROR
    where: str
    problem: str


class Noted(LogEvent, frozen=True):
    """A remark of the server about itself, in plain words.

    Attributes:
        text: What it says.
    """

    name = "noted"
    text: str


class EventsDropped(LogEvent, frozen=True):
    """Events came faster than they could be written: mail goes first.

    Attributes:
        count: How many were not written.
    """

    name = "events-dropped"
    level = Level.WARNING
    count: int


EVENTS: Final[dict[str, type[LogEvent]]] = {kind.name: kind for kind in LogEvent.__subclasses__()}
