"""Everything Posthouse logs: the complete list.

An event's name and fields are public, as reasons are: log readers depend on them. They are never
renamed; docs/reference/events.md is made from this list.
"""

from typing import Final

from posthouse.telemetry.event import Level, LogEvent
from posthouse.telemetry.message_events import (
    Accepted,
    Bounced,
    Deferred,
    Delivered,
    Dropped,
    Failed,
    Held,
    Released,
)
from posthouse.telemetry.service_events import (
    AddressFound,
    AddressLost,
    BugMet,
    DiskFull,
    EventsDropped,
    GrantChanged,
    NameUnreadable,
    Noted,
    Reloaded,
    ReloadFailed,
    ShadowDiffers,
    Started,
    Stopped,
    StoreFailed,
    WorkerEnded,
    WorkerStarted,
)
from posthouse.telemetry.session_events import (
    Connected,
    Decided,
    Disconnected,
    MailFetched,
    Refused,
    SignedIn,
    SignInFailed,
    TlsFailed,
    TlsStarted,
)

__all__ = [
    "EVENTS",
    "Accepted",
    "AddressFound",
    "AddressLost",
    "Bounced",
    "BugMet",
    "Connected",
    "Decided",
    "Deferred",
    "Delivered",
    "Disconnected",
    "DiskFull",
    "Dropped",
    "EventsDropped",
    "Failed",
    "GrantChanged",
    "Held",
    "Level",
    "LogEvent",
    "MailFetched",
    "NameUnreadable",
    "Noted",
    "Refused",
    "Released",
    "ReloadFailed",
    "Reloaded",
    "ShadowDiffers",
    "SignInFailed",
    "SignedIn",
    "Started",
    "Stopped",
    "StoreFailed",
    "TlsFailed",
    "TlsStarted",
    "WorkerEnded",
    "WorkerStarted",
]

EVENTS: Final[dict[str, type[LogEvent]]] = {kind.name: kind for kind in LogEvent.__subclasses__()}
