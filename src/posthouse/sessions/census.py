"""How many sessions there are, in all and from each address, and how often each address comes."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import ceil
from typing import Final

from posthouse.accounts.notices import Board, Ended, Notice
from posthouse.policy.facts import Load
from posthouse.policy.rules import Budget

Address = IPv4Address | IPv6Address
ADDRESSES_MAX: Final = 50_000  # counted for the budget; the one longest quiet goes first


class Came(Notice, frozen=True):
    """A session began at another worker."""

    address: str


class Left(Notice, frozen=True):
    """It ended."""

    address: str


class Elsewhere:
    """The sessions at other workers."""

    def __init__(self) -> None:
        self.sessions = 0
        self.by_address: Counter[str] = Counter()
        self._by_origin: dict[int, Counter[str]] = {}

    def came(self, origin: int, address: str) -> None:
        """Count one that began."""
        self.sessions += 1
        self.by_address[address] += 1
        self._by_origin.setdefault(origin, Counter())[address] += 1

    def left(self, origin: int, address: str) -> None:
        """Count one that ended; its beginning may be older than what is told us."""
        here = self._by_origin.get(origin)
        if here and here[address] > 0:
            self._take_away(here, address, 1)

    def ended(self, ended: Ended) -> None:
        """Forget the sessions of a worker that is gone."""
        here = self._by_origin.pop(ended.origin, Counter())
        for address, count in list(here.items()):
            self._take_away(here, address, count)

    def _take_away(self, here: Counter[str], address: str, count: int) -> None:
        self.sessions -= count
        for counter in (here, self.by_address):
            counter[address] -= count
            if counter[address] <= 0:
                del counter[address]


class Census:
    """Counts open sessions; one for all listeners of a server.

    Attributes:
        sessions: Open ones, at this worker.
        contents: Messages that are arriving at this moment.
        shutting_down: The server is stopping.
        budget: How often one address may connect; None: as often as it likes.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, board: Board | None = None
    ) -> None:
        """Begin.

        Args:
            clock: Tells seconds, from whenever.
            board: Where other workers tell of their sessions, and are told of ours.
        """
        self.sessions = 0
        self.contents = 0
        self.shutting_down = False
        self.budget: Budget | None = None
        self._by_address: dict[Address, int] = {}
        self._clock = clock
        # For each address when it was looked at, and how much of its budget was used up then. It
        # comes back evenly, so that nobody has to be kept beyond one period.
        self._used: OrderedDict[Address, tuple[float, float]] = OrderedDict()
        self._elsewhere = Elsewhere()
        self._board = board
        if board is not None:
            board.hear(Came, self._came_elsewhere)
            board.hear(Left, lambda origin, it: self._elsewhere.left(origin, it.address))
            board.hear(Ended, lambda _, it: self._elsewhere.ended(it))

    def enter(self, address: Address) -> Load:
        """Count a session that begins, and return the load with it."""
        if self._board is not None:
            self._board.pull()
        self.sessions += 1
        here = self._by_address.get(address, 0) + 1
        self._by_address[address] = here
        often = self._count_connection(address)
        if self._board is not None:
            self._board.post(Came(str(address)))
        return self._load(address, here, often)

    def leave(self, address: Address) -> None:
        """Count a session that ended; `enter` must have counted it."""
        self.sessions -= 1
        here = self._by_address[address] - 1
        if here:
            self._by_address[address] = here
        else:
            del self._by_address[address]
        if self._board is not None:
            self._board.post(Left(str(address)))

    def content_begun(self) -> None:
        """Count a message that begins to arrive."""
        self.contents += 1

    def content_ended(self) -> None:
        """Count a message that is handed over or thrown away."""
        self.contents -= 1

    def load(self, address: Address) -> Load:
        """Return what the server carries now."""
        here = self._by_address.get(address, 0)
        if self._board is not None:
            self._board.pull()
        return self._load(address, here, ceil(self._used_by(address)))

    def _load(self, address: Address, here: int, often: int) -> Load:
        if self._board is None:
            return Load(self.sessions, here, self.shutting_down, often)
        elsewhere = self._elsewhere
        here += elsewhere.by_address[str(address)]
        return Load(self.sessions + elsewhere.sessions, here, self.shutting_down, often)

    def _came_elsewhere(self, origin: int, came: Came) -> None:
        self._elsewhere.came(origin, came.address)
        if self.budget is not None and self._board is not None and not self._board.replaying:
            self._count_connection(ip_address(came.address))

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
