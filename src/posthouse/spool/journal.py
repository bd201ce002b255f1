"""What the journal answers for: messages that are not on the shelf yet, and how they are told."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from msgspec import Struct

from posthouse.mail.envelope import Envelope
from posthouse.spool.entries import Delivered, Gone, Kept, encode
from posthouse.spool.fresh import Fresh, FreshMessages
from posthouse.spool.identifiers import number_of
from posthouse.spool.journeys import accepted_text, ended_text
from posthouse.spool.lane import Record, Segment, Told
from posthouse.spool.lanes import Lanes
from posthouse.spool.records import Message, RecipientState, Result, Settled, StorageError
from posthouse.spool.recovery import Recovered
from posthouse.spool.shelf import Arrival, Shelf
from posthouse.spool.times import to_instant, to_number

ALLOWED_OCTETS: Final = 1024 * 1024
ALLOWED_SECONDS: Final = 0.05
_QUICK: Final = frozenset({"delivered", "expanded"})  # outcomes that nobody has to hear about


class Past(Struct, frozen=True):
    """A message that was settled before it came to the shelf: only its journey is kept."""

    id: str
    envelope: Envelope
    octets: int
    settled: Mapping[int, tuple[Settled, datetime]]

    def notes(self) -> Iterator[tuple[int, int, str]]:
        """Yield its journey: number, time and text."""
        number = number_of(self.id)
        accepted = to_number(self.envelope.accepted)
        yield number, accepted, accepted_text(self.envelope, self.octets)
        for place, (result, at) in self.settled.items():
            address = str(self.envelope.recipients[place].mailbox)
            yield number, to_number(at), ended_text(address, result.kind, result)


class Allowance:
    """What may be taken before the disk is asked again how much room it has."""

    def __init__(self) -> None:
        self._octets = 0
        self._until = 0.0

    def covers(self, octets: int) -> bool:
        """Whether so much may be taken; it is then used up."""
        self._octets -= octets
        return self._octets >= 0 and time.monotonic() < self._until

    def renew(self) -> None:
        """The disk has room for more than the allowance."""
        self._octets = ALLOWED_OCTETS
        self._until = time.monotonic() + ALLOWED_SECONDS


class Journal:
    """The lanes, and what they answer for."""

    def __init__(self, memory_octets: int) -> None:
        self.fresh = FreshMessages(memory_octets)
        self.moving: dict[str, Fresh] = {}  # on their way to the shelf
        self.moving_octets = 0
        self.past: list[Past] = []
        self.lanes: Lanes | None = None
        self.looked = time.monotonic()
        # Of the step from here to the shelf: an outcome must not overtake its message.
        self.lock = threading.RLock()

    def find(self, message_id: str) -> Fresh | None:
        """Return a message that is not on the shelf yet."""
        wanted = message_id.upper()
        return self.fresh.find(wanted) or self.moving.get(wanted)

    @property
    def owed_octets(self) -> int:
        """Room that it takes to bring to the shelf what is not there: database and its WAL."""
        return 2 * (self.fresh.octets + self.moving_octets)

    @property
    def is_empty(self) -> bool:
        """Whether the shelf has everything."""
        return not (len(self.fresh) or self.moving or self.past)

    def append(self, record: Record) -> None:
        """Queue a new message."""
        assert self.lanes is not None, "opened"
        self.lanes.append(record)

    def forget(self, it: Fresh, done: Told = lambda _, __: None) -> None:
        """Note that the journal need not answer for a message any more."""
        lane = it.segment.lane
        lane.release(it.segment)
        lane.append(Record(partial(encode, Gone(it.kept.id)), done, lazy=True))

    def close(self) -> None:
        """Write what waits in the lanes."""
        if self.lanes is not None:
            self.lanes.close()


def nobody(_: Segment | None, __: StorageError | None) -> None:
    """Stand for a `done` that nobody waits for."""


def arrival_of(kept: Kept) -> Arrival:
    """Return a message for the shelf."""
    return Arrival(kept.id, kept.envelope, kept.content, len(kept.content))


def quick_results(results: Mapping[int, Result]) -> dict[int, Settled]:
    """Return the results if all are final and nobody has to hear of them; else nothing."""
    quick = {
        place: result
        for place, result in results.items()
        if isinstance(result, Settled) and result.kind in _QUICK
    }
    return quick if len(quick) == len(results) else {}


def delivered_word(message_id: str, place: int, result: Settled, at: datetime) -> Delivered:
    """Return what the journal says of a recipient that has the message."""
    kind, reply, host = result.kind, result.reply, result.host
    return Delivered(message_id, (place,), kind, reply, host, to_number(at), result.tls)


def message_of(it: Fresh) -> Message:
    """Return what is known of a message that is not on the shelf."""
    kept, states = it.kept, []
    for place, recipient in enumerate(kept.envelope.recipients):
        domain = recipient.mailbox.domain
        if place in it.settled:
            result, at = it.settled[place]
            states.append(
                RecipientState(place, domain, result.kind, 1, None, at, result.reply, result.host)
            )
        else:
            due = kept.envelope.accepted
            states.append(RecipientState(place, domain, "waiting", 0, due))
    return Message(kept.id, kept.envelope, len(kept.content), tuple(states))


def shelve_fresh(shelf: Shelf, it: Fresh) -> None:
    """Put a message on the shelf with what is settled of it."""
    shelf.accept(arrival_of(it.kept))
    for place, (result, at) in it.settled.items():
        shelf.settle(it.kept.id, {place: result}, (), at)


def shelve_recovered(shelf: Shelf, found: Sequence[Recovered]) -> None:
    """Do the same after a restart, unless an earlier one did it already."""
    for it in found:
        if shelf.accept_once(arrival_of(it.kept)):
            for word in it.delivered:
                kind = word.kind
                outcome = Settled(kind, word.reply, word.host, word.tls)  # type: ignore[arg-type]  # as written
                results = dict.fromkeys(word.places, outcome)
                shelf.settle(it.kept.id, results, (), to_instant(word.at))
