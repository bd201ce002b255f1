"""What one may ask a running server over its control socket: JSON lines, one request each.

``{"do": "queue-list", "held": true}`` is answered by ``{"result": ...}`` or
``{"error": "...", "exit": 1}``; a stream gives a line ``{"item": ...}`` for each item until the
asker hangs up.
"""

from datetime import datetime
from typing import Any, Final, TypeAlias

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


class Matching(Request, frozen=True):
    """Which messages; all that is set must hold (see `spool.records.Filters`)."""

    destination: str = ""
    sender: str = ""
    recipient: str = ""
    account: str = ""
    accepted_before: datetime | None = None
    held: bool | None = None
    reason: str = ""


class QueueSummary(Matching, frozen=True, tag="queue-summary"):
    """How much there is, by destination: of all, or of what matches."""

    limit: int = 100


class QueueList(Matching, frozen=True, tag="queue-list"):
    """Messages in the queue, oldest first; `held` true is the list of held mail."""

    after: str = ""
    limit: int = 100


class Chosen(Matching, frozen=True):
    """Something to be done to one message, to all that match, or with `everything` to all.

    The answer is true for one message, and a number for several.
    """

    id: str = ""
    everything: bool = False


class QueueShow(Request, frozen=True, tag="queue-show"):
    """One message: its recipients and journey, and with `octets` the beginning of its content."""

    id: str
    octets: int = 0


class QueueRetry(Chosen, frozen=True, tag="queue-retry"):
    """Try now. Without anything said: all that waits."""


class QueueHold(Chosen, frozen=True, tag="queue-hold"):
    """Keep for a person to look at."""

    because: str = "held by an administrator"


class QueueRelease(Chosen, frozen=True, tag="queue-release"):
    """Let what is held go."""


class QueueBounce(Chosen, frozen=True, tag="queue-bounce"):
    """Return to the sender."""

    because: str = "returned by an administrator"


class QueueDrop(Chosen, frozen=True, tag="queue-drop"):
    """Remove for good; nobody is told."""

    because: str = ""


class QueueMove(Chosen, frozen=True, tag="queue-move", kw_only=True):
    """Send by another way; "route" gives back to the configured one."""

    via: str


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


QueueChange: TypeAlias = QueueRetry | QueueHold | QueueRelease | QueueBounce | QueueDrop | QueueMove
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


class OnBehalfOf(Request, frozen=True, tag="on-behalf-of"):
    """To a worker: who asks what comes next."""

    by: str


class StandIn(Request, frozen=True, tag="stand-in"):
    """To a worker: take the connections of another one too, or no more."""

    number: int
    serves: bool


class TakeOver(Request, frozen=True, tag="take-over"):
    """To a worker: move all that is in the spool of another one, which is not running."""

    number: int


class TakeNoMore(Request, frozen=True, tag="take-no-more"):
    """To a worker: close the ports; SIGTERM follows once all have."""


AnyWorkerRequest: TypeAlias = AnyRequest | OnBehalfOf | StandIn | TakeOver | TakeNoMore


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


DECODER: Final[msgspec.json.Decoder[AnyRequest]] = msgspec.json.Decoder(AnyRequest)
WORKER_DECODER: Final[msgspec.json.Decoder[AnyWorkerRequest]] = msgspec.json.Decoder(
    AnyWorkerRequest
)
