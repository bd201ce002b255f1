"""How many sessions there are, in all and from each address, and how often each address comes."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from math import ceil
from typing import Final

from posthouse.policy.facts import Load
from posthouse.policy.rules import Budget

Address = IPv4Address | IPv6Address
ADDRESSES_MAX: Final = 50_000  # counted for the budget; the one longest quiet goes first


class Census:
    """Counts open sessions; one for all listeners of a server.

    Attributes:
        sessions: Open ones.
        contents: Messages that are arriving at this moment.
        shutting_down: The server is stopping.
        budget: How often one address may connect; None: as often as it likes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; `clock` tells seconds, from whenever."""
        self.sessions = 0
        self.contents = 0
        self.shutting_down = False
        self.budget: Budget | None = None
        self._by_address: dict[Address, int] = {}
        self._clock = clock
        # For each address when it was looked at, and how much of its budget was used up then. It
        # comes back evenly, so that nobody has to be kept beyond one period.
        self._used: OrderedDict[Address, tuple[float, float]] = OrderedDict()

    def enter(self, address: Address) -> Load:
        """Count a session that begins, and return the load with it."""
        self.sessions += 1
        here = self._by_address.get(address, 0) + 1
        self._by_address[address] = here
        return Load(self.sessions, here, self.shutting_down, self._count_connection(address))

    def leave(self, address: Address) -> None:
        """Count a session that ended; `enter` must have counted it."""
        self.sessions -= 1
        here = self._by_address[address] - 1
        if here:
            self._by_address[address] = here
        else:
            del self._by_address[address]

    def content_begun(self) -> None:
        """Count a message that begins to arrive."""
        self.contents += 1

    def content_ended(self) -> None:
        """Count a message that is handed over or thrown away."""
        self.contents -= 1

    def load(self, address: Address) -> Load:
        """Return what the server carries now."""
        here = self._by_address.get(address, 0)
        return Load(self.sessions, here, self.shutting_down, ceil(self._used_by(address)))

    def _used_by(self, address: Address) -> float:
        """How much of its budget an address has used."""
        if self.budget is None or address not in self._used:
            return 0.0
        at, used = self._used[address]
        back = (self._clock() - at) * self.budget.count / self.budget.period.total_seconds()
        return max(used - back, 0.0)

    def _count_connection(self, address: Address) -> int:
        """Count a connection; one beyond the budget uses up nothing, or nobody could come back."""
        if self.budget is None:
            return 0
        used = self._used_by(address) + 1
        if ceil(used) <= self.budget.count:
            self._used[address] = (self._clock(), used)
            self._used.move_to_end(address)
            if len(self._used) > ADDRESSES_MAX:
                self._used.popitem(last=False)
        return ceil(used)
