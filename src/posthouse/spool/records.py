"""What goes into the spool and comes out of it, as values."""

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from msgspec import Struct

from posthouse.mail.envelope import Envelope

Trouble: TypeAlias = Literal[
    "full", "broken", "corrupt", "newer", "locked", "unreadable", "missing", "refused"
]
Ending: TypeAlias = Literal["delivered", "failed", "bounced", "dropped", "expanded"]


class StorageError(Exception):
    """The spool could not do it. The message names the file and the way out.

    Attributes:
        kind: `full`: the disk is full; it recovers by itself when there is room, so answer 452.
            `broken`: a flush failed; nothing is promised until the server was restarted.
            `corrupt`, `newer`, `locked`, `unreadable`: the spool cannot be opened or read.
            `missing`: no such message, or its content is gone.
            `refused`: the change contradicts what is there (a bug of the caller).
    """

    def __init__(self, kind: Trouble, message: str) -> None:
        super().__init__(message)
        self.kind: Trouble = kind


class Settled(Struct, frozen=True):
    """A final outcome for one recipient; it is never tried again.

    Attributes:
        kind: `delivered`, `failed` (the sender is told), `bounced` (returned by an
            administrator), `dropped`, or `expanded` (became other messages).
        reply: What the next hop said, in one line.
        host: Who said it.
        tls: How the way there was protected, in words; "" if that means nothing.
    """

    kind: Ending
    reply: str = ""
    host: str = ""
    tls: str = ""


class Again(Struct, frozen=True):
    """To be tried again.

    Attributes:
        due: When; carries a zone.
        reply: What the next hop said, or what went wrong, in one line.
        host: Who said it.
        delay_told: The sender was told of the delay; once true it stays true.
        tls: How the way there was protected, in words; "" if that means nothing.
    """

    due: datetime
    reply: str = ""
    host: str = ""
    delay_told: bool = False
    tls: str = ""


Result: TypeAlias = Settled | Again


class Offspring(Struct, frozen=True):
    """A message that an outcome gives rise to: a report, or a forwarded copy.

    It is accepted in the same commit as the outcome, so neither can exist without the other.
    """

    id: str
    envelope: Envelope
    content: bytes


class RecipientState(Struct, frozen=True):
    """Where one recipient of a message stands.

    Attributes:
        index: Place in `Envelope.recipients`.
        destination: The recipient's domain.
        state: `waiting`, or how it was settled.
        attempts: Attempts that ended.
        due: When it is tried next; None while held and once settled.
        last_attempt: End of the last attempt; None before the first.
        last_reply: What was said then, in one line.
        last_host: Who said it.
        delay_told: The sender has been told of the delay.
    """

    index: int
    destination: str
    state: Literal["waiting"] | Ending
    attempts: int
    due: datetime | None
    last_attempt: datetime | None = None
    last_reply: str = ""
    last_host: str = ""
    delay_told: bool = False


class Message(Struct, frozen=True):
    """A message in the spool, without its content.

    Attributes:
        id: Its queue id.
        envelope: As accepted; settled recipients are still in it.
        octets: Size of the content.
        recipients: State of each recipient, in the order of the envelope.
        hold: Why it is held; "" if it is not.
        hold_case: Case id of the decision that held it.
        held: Since when.
        bounce: Why an administrator wants it returned; "" if nobody does.
        via: The next hop that an administrator chose for it; "" for its route.
    """

    id: str
    envelope: Envelope
    octets: int
    recipients: tuple[RecipientState, ...]
    hold: str = ""
    hold_case: str = ""
    held: datetime | None = None
    bounce: str = ""
    via: str = ""


class Backlog(Struct, frozen=True):
    """What was accepted a moment ago and is still in memory.

    Attributes:
        arrived: Messages since the start, with those that were delivered.
        seconds: Since the oldest one was accepted; 0 if there is none.
        memory_share: Of the memory that is meant for them.
    """

    arrived: int = 0
    seconds: float = 0.0
    memory_share: float = 0.0


class Work(Struct, frozen=True):
    """A message to be tried now at one destination.

    Attributes:
        id: Queue id of the message.
        destination: Domain of all `recipients`.
        envelope: Of the whole message.
        octets: Size of the content.
        recipients: Those that are due here.
        bounce: If not "": do not deliver, return it to its sender with this explanation.
        via: If not "": the next hop that an administrator chose instead of the route.
    """

    id: str
    destination: str
    envelope: Envelope
    octets: int
    recipients: tuple[RecipientState, ...]
    bounce: str = ""
    via: str = ""

    @property
    def indices(self) -> tuple[int, ...]:
        """Places of the recipients in the envelope: what `Spool.settle` wants as keys."""
        return tuple(recipient.index for recipient in self.recipients)


class Filters(Struct, frozen=True):
    """Which messages to list; all that is set must hold.

    Attributes:
        destination: A recipient's domain.
        sender: Part of the reverse-path, any case.
        recipient: Part of a recipient's address, any case.
        account: Who handed it in.
        accepted_before: Older than this.
        held: Only held (True) or only not held (False).
        reason: Part of a last reply or of the hold text, any case.
    """

    destination: str = ""
    sender: str = ""
    recipient: str = ""
    account: str = ""
    accepted_before: datetime | None = None
    held: bool | None = None
    reason: str = ""


class DestinationSummary(Struct, frozen=True):
    """What waits for one destination, counted in recipients.

    Attributes:
        destination: The domain.
        waiting: To be delivered.
        held: Kept for a person to look at.
        oldest: When the oldest of them was accepted.
        next_due: When the next is tried; None if all are held.
        last_reply: The last thing an attempt there ended with, other than delivery.
    """

    destination: str
    waiting: int
    held: int
    oldest: datetime | None
    next_due: datetime | None
    last_reply: str


class Postponed(Struct, frozen=True):
    """What waits for a destination that cannot be reached is put off, all at once.

    Attributes:
        destination: The domain.
        until: Not due before.
        tell_after: Age at which a sender is to be told: who has not been told stays due then.
        give_up_after: Age at which a message expires: it stays due then.
    """

    destination: str
    until: datetime
    tell_after: timedelta
    give_up_after: timedelta


class Paused(Struct, frozen=True):
    """A destination to which nothing is sent until somebody resumes it.

    Attributes:
        destination: The domain.
        since: When it was paused.
        why: In the administrator's words, with who it was.
    """

    destination: str
    since: datetime
    why: str


class Summary(Struct, frozen=True):
    """The whole spool at a glance.

    Attributes:
        messages: All of them.
        held: Of these, held.
        octets: Sum of their contents.
        destinations: The busiest first.
        paused: Destinations to which nothing is sent now.
    """

    messages: int
    held: int
    octets: int
    destinations: tuple[DestinationSummary, ...]
    paused: tuple[Paused, ...] = ()


class JourneyEvent(Struct, frozen=True):
    """One step on a message's way."""

    at: datetime
    text: str
