"""Messages that were just accepted: most are delivered within seconds, straight from memory.

The journal makes them safe; what is here is all that delivery needs. Bounded by a budget of
memory: who asks `oldest_beyond` shelves the rest.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from posthouse.spool.entries import Kept
from posthouse.spool.lane import Segment
from posthouse.spool.records import Backlog, RecipientState, Settled, Work

ENTRY_OCTETS: Final = 2000  # that an entry costs beside its content


class Fresh(Struct, eq=False):
    """One message.

    Attributes:
        kept: What the journal has of it.
        segment: Where.
        since: Monotonic time of its acceptance.
        places: Of its recipients, by destination.
        leased: Destinations for which it was taken.
        settled: How and when recipients were settled, by place.
    """

    kept: Kept
    segment: Segment
    since: float
    places: dict[str, tuple[int, ...]]
    leased: set[str]
    settled: dict[int, tuple[Settled, datetime]]

    @property
    def size(self) -> int:
        """Octets of memory it costs."""
        return len(self.kept.content) + ENTRY_OCTETS

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done."""
        return len(self.settled) == len(self.kept.envelope.recipients)

    def work_for(self, destination: str) -> Work | None:
        """Return what is to be done at a destination."""
        kept, places = self.kept, self.places[destination]
        if self.settled:
            places = tuple(it for it in places if it not in self.settled)
        if not places:
            return None
        due = kept.envelope.accepted
        states = [RecipientState(it, destination, "waiting", 0, due) for it in places]
        return Work(kept.id, destination, kept.envelope, len(kept.content), tuple(states))


def fresh(kept: Kept, segment: Segment, since: float) -> Fresh:
    """Return a message of which nothing is settled or taken."""
    recipients = kept.envelope.recipients
    if len(recipients) == 1:
        return Fresh(kept, segment, since, {recipients[0].mailbox.domain: (0,)}, set(), {})
    places: dict[str, tuple[int, ...]] = {}
    for place, recipient in enumerate(recipients):
        domain = recipient.mailbox.domain
        places[domain] = (*places.get(domain, ()), place)
    return Fresh(kept, segment, since, places, set(), {})


class FreshMessages:
    """All of them. Any thread may call; nothing here waits.

    Attributes:
        octets: Of memory they cost.
    """

    def __init__(self, budget_octets: int) -> None:
        self._budget = budget_octets
        self.octets = 0
        self._arrived = 0
        self._all: dict[str, Fresh] = {}  # the oldest first
        self._due: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()  # ids by destination
        self._latest: datetime | None = None  # when one of them was accepted
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, messages: Iterable[Fresh]) -> None:
        """Take messages that are safe now."""
        with self._lock:
            for it in messages:
                self._arrived += 1
                self._all[it.kept.id] = it
                accepted = it.kept.envelope.accepted
                if self._latest is None or accepted > self._latest:
                    self._latest = accepted
                self.octets += it.size
                for destination in it.places:
                    self._due.setdefault(destination, OrderedDict())[it.kept.id] = None

    def find(self, message_id: str) -> Fresh | None:
        """Return a message if it is here."""
        return self._all.get(message_id)

    def take(self, limit: int, exclude: Collection[str], each: int) -> list[Work]:
        """Lease what nobody has, the destinations one after another: all of it is due."""
        works: list[Work] = []
        with self._lock:
            for destination in list(self._due):
                if len(works) >= limit:
                    break
                if destination not in exclude:
                    works += self._take_at(destination, min(each, limit - len(works)))
        return works

    def _take_at(self, destination: str, room: int) -> list[Work]:
        works: list[Work] = []
        waiting = self._due[destination]
        while waiting and len(works) < room:
            message_id, _ = waiting.popitem(last=False)
            it = self._all[message_id]
            if (work := it.work_for(destination)) is not None:
                it.leased.add(destination)
                works.append(work)
        if not waiting:
            del self._due[destination]
        else:
            self._due.move_to_end(destination)
        return works

    def next_due(self, after: datetime) -> datetime | None:
        """Return the earliest time behind `after` at which something becomes due."""
        if self._latest is None or self._latest <= after:
            return None  # as ever, unless the clock was set back
        with self._lock:
            dues = [it.kept.envelope.accepted for it in self._all.values()]
        return min((due for due in dues if due > after), default=None)

    def give_back(self, message_id: str, destination: str) -> None:
        """End a lease: it is due as before."""
        with self._lock:
            it = self._all.get(message_id)
            if it is not None and destination in it.leased:
                it.leased.discard(destination)
                self._due.setdefault(destination, OrderedDict())[message_id] = None

    def settle(self, message_id: str, results: Mapping[int, Settled], at: datetime) -> Fresh | None:
        """Note final outcomes; a message of which all are settled is here no more.

        Returns:
            The message, None if it is not here.
        """
        with self._lock:
            it = self._all.get(message_id)
            if it is None:
                return None
            for place, result in results.items():
                if 0 <= place < len(it.kept.envelope.recipients):
                    it.settled.setdefault(place, (result, at))
            if it.is_settled:
                self._remove(it)
                return it
            for destination in tuple(it.leased):
                if all(place in it.settled for place in it.places[destination]):
                    it.leased.discard(destination)
            return it

    def surrender(self, message_id: str) -> Fresh | None:
        """Give a message away; None if it is not here."""
        with self._lock:
            it = self._all.get(message_id)
            if it is not None:
                self._remove(it)
            return it

    def older_than(self, since: float) -> list[str]:
        """Return the ids of what was accepted before, and of the oldest beyond the budget."""
        with self._lock:
            octets, ids = self.octets, []
            for it in self._all.values():
                if it.since >= since and octets <= self._budget:
                    break
                octets -= it.size
                ids.append(it.kept.id)
            return ids

    def backlog(self, at: float) -> Backlog:
        """Return how much is here at a monotonic time."""
        with self._lock:
            oldest = next(iter(self._all.values()), None)
            seconds = at - oldest.since if oldest is not None else 0.0
            return Backlog(self._arrived, seconds, self.octets / max(1, self._budget))

    def is_over_budget(self) -> bool:
        """Whether more is here than should be."""
        return self.octets > self._budget

    def ids(self) -> list[str]:
        """Return all ids, the oldest first."""
        with self._lock:
            return list(self._all)

    def _remove(self, it: Fresh) -> None:
        del self._all[it.kept.id]
        self.octets -= it.size
        for destination in it.places:
            waiting = self._due.get(destination)
            if waiting is not None:
                waiting.pop(it.kept.id, None)
                if not waiting:
                    del self._due[destination]
