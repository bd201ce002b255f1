"""What one may ask a running server over its control socket: JSON lines, one request each.

``{"do": "queue-list", "held": true}`` is answered by ``{"result": ...}`` or
``{"error": "...", "exit": 1}``; a stream gives a line ``{"item": ...}`` for each item until the
asker hangs up.
"""

from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct


class Request(Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    """Something asked for."""


class Status(Request, frozen=True, tag="status"):
    """How the server is."""


class Reload(Request, frozen=True, tag="reload"):
    """Read the configuration again; if it is wrong, nothing changes and the answer says why."""


class Stop(Request, frozen=True, tag="stop"):
    """Stop gracefully."""


class QueueSummary(Request, frozen=True, tag="queue-summary"):
    """What waits, by destination."""


class QueueList(Request, frozen=True, tag="queue-list"):
    """Messages in the queue, oldest first; `held` true is the list of held mail."""

    destination: str = ""
    sender: str = ""
    recipient: str = ""
    account: str = ""
    accepted_before: datetime | None = None
    held: bool | None = None
    reason: str = ""
    after: str = ""
    limit: int = 100


class QueueShow(Request, frozen=True, tag="queue-show"):
    """One message: its recipients and journey, and with `octets` the beginning of its content."""

    id: str
    octets: int = 0


class QueueRetry(Request, frozen=True, tag="queue-retry"):
    """Try a message now; without an id all that wait, or all for a destination."""

    id: str = ""
    destination: str = ""


class QueueHold(Request, frozen=True, tag="queue-hold"):
    """Keep a message for a person to look at."""

    id: str
    because: str = "held by an administrator"


class QueueRelease(Request, frozen=True, tag="queue-release"):
    """Let a held message go."""

    id: str


class QueueBounce(Request, frozen=True, tag="queue-bounce"):
    """Return a message to its sender."""

    id: str
    because: str = "returned by an administrator"


class QueueDrop(Request, frozen=True, tag="queue-drop"):
    """Remove a message for good; nobody is told."""

    id: str
    because: str = ""


class QueueMove(Request, frozen=True, tag="queue-move"):
    """Send a message, or all for a destination, by another way; "route" gives them back."""

    via: str
    id: str = ""
    destination: str = ""


class QueuePause(Request, frozen=True, tag="queue-pause"):
    """Send nothing to a destination until it is resumed, also after a restart."""

    destination: str
    because: str = ""


class QueueResume(Request, frozen=True, tag="queue-resume"):
    """Send to a destination again."""

    destination: str


class Journey(Request, frozen=True, tag="journey"):
    """The way of a message: by its id, a Message-ID field, or an address that has to do with it."""

    what: str
    limit: int = 20


class DecisionsTail(Request, frozen=True, tag="decisions-tail"):
    """A stream of decisions as they are made; `past` of them from before."""

    past: int = 0
    person: str = ""
    client: str = ""
    reason: str = ""


class GrantsChanged(Request, frozen=True, tag="grants-changed"):
    """Networks were added or removed: use them from now on."""


class ClientFacts(Request, frozen=True, tag="client-facts"):
    """What the running server knows of an address: POP sign-ins, watched names."""

    address: str


AnyRequest: TypeAlias = (
    Status
    | Reload
    | Stop
    | QueueSummary
    | QueueList
    | QueueShow
    | QueueRetry
    | QueueHold
    | QueueRelease
    | QueueBounce
    | QueueDrop
    | QueueMove
    | QueuePause
    | QueueResume
    | Journey
    | DecisionsTail
    | GrantsChanged
    | ClientFacts
)


class Answered(Struct, frozen=True, omit_defaults=True):
    """A line of an answer; exactly one of `result`, `item` and `error` counts.

    Attributes:
        result: The whole answer.
        item: One of a stream.
        error: Why not, in one sentence.
        exit: The exit code for a command line.
    """

    result: Any = None
    item: Any = None
    error: str = ""
    exit: int = 0


DECODER: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
