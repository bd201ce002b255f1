"""Events of the server as a whole."""

from posthouse.telemetry.event import Level, LogEvent


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


class WorkerStarted(LogEvent, frozen=True):
    """One of several workers takes mail.

    Attributes:
        number: Which.
        process: Its process id.
    """

    name = "worker-started"
    number: int
    process: int


class WorkerEnded(LogEvent, frozen=True):
    """A worker ended that nobody stopped; it is started again.

    Attributes:
        number: Which.
        process: Its process id.
        how: Exit code or signal.
        seconds: Until it is started again.
    """

    name = "worker-ended"
    level = Level.ERROR
    number: int
    process: int
    how: str
    seconds: float = 0.0


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


class AddressLost(LogEvent, frozen=True):
    """Many clients seem to share one address: where they come from is hidden from us.

    Attributes:
        address: The one.
        evidence: What shows it.
        stops_relaying: Doors that look at addresses are closed for it; signing in still works.
        advice: What to do.
    """

    name = "address-lost"
    level = Level.ERROR
    address: str
    evidence: str
    stops_relaying: bool
    advice: str


class AddressFound(LogEvent, frozen=True):
    """For long enough nothing has shown that many clients share an address.

    Attributes:
        address: The one.
    """

    name = "address-found"
    address: str


class ShadowDiffers(LogEvent, frozen=True):
    """The shadow configuration would have decided otherwise; nothing was done about it.

    Attributes:
        case: Id of the decision that was made; "" where it has none.
        active: What was decided: ``refuse not-recognised``.
        shadow: What the shadow would have decided.
        client: Address of the client.
        reverse_path: From MAIL.
        forward_path: From RCPT.
        because: What the shadow answered last, and the line that decided.
    """

    name = "shadow-differs"
    case: str
    active: str
    shadow: str
    client: str
    reverse_path: str = ""
    forward_path: str = ""
    because: str = ""


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
