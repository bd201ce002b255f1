"""Who failed to sign in too often lately: by account and address, never a whole network."""

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from posthouse.accounts.notices import Board, Notice
from posthouse.policy.facts import Address
from posthouse.policy.rules import Budget

AHEAD_MAX: Final = timedelta(minutes=1)
PAIRS_MAX: Final = 50_000  # remembered at once; the one least lately seen is forgotten first

Pair = tuple[str, Address]


class SignInFailed(Notice, frozen=True):
    """Somebody failed to sign in at another worker."""

    name: str
    address: str
    at: datetime


class SignInSucceeded(Notice, frozen=True):
    """He knew the password after all."""

    name: str
    address: str


class Lockout:
    """Counts failed sign-ins by (account name as given, address).

    Args:
        budget: How many there may be.
        board: Where other workers count too; None: there are none.
    """

    def __init__(self, budget: Budget, board: Board | None = None) -> None:
        self.budget = budget
        self._failures: OrderedDict[Pair, deque[datetime]] = OrderedDict()
        self._board = board
        if board is not None:
            board.hear(SignInFailed, lambda _, it: self._count_failure(_pair(it), it.at))
            board.hear(SignInSucceeded, lambda _, it: self._forget(_pair(it)))

    def is_locked(self, pair: Pair, now: datetime) -> bool:
        """Whether the budget is spent; true also for the right password then."""
        if self._board is not None:
            self._board.pull()
        return len(self._lately(pair, now)) >= self._count

    def minutes_left(self, pair: Pair, now: datetime) -> int:
        """Return after how many minutes, rounded up, one more attempt is possible; 0 at once."""
        failures = self._lately(pair, now)
        if len(failures) < self._count:
            return 0
        wait = failures[-self._count] + self.budget.period - now
        return max(1, -(-int(wait.total_seconds()) // 60))

    def note_failure(self, pair: Pair, now: datetime) -> None:
        """Count a failure."""
        self._count_failure(pair, now)
        if self._board is not None:
            self._board.post(SignInFailed(pair[0], str(pair[1]), now))

    def _count_failure(self, pair: Pair, now: datetime) -> None:
        failures = self._failures.setdefault(pair, deque())
        failures.append(now)
        while len(failures) > self._count:
            failures.popleft()
        self._failures.move_to_end(pair)
        if len(self._failures) > PAIRS_MAX:
            self._failures.popitem(last=False)

    def note_success(self, pair: Pair) -> None:
        """Forget the failures of somebody who knew the password after all."""
        if self._forget(pair) and self._board is not None:
            self._board.post(SignInSucceeded(pair[0], str(pair[1])))

    def _forget(self, pair: Pair) -> bool:
        return self._failures.pop(pair, None) is not None

    @property
    def _count(self) -> int:
        return max(1, self.budget.count)

    def _lately(self, pair: Pair, now: datetime) -> deque[datetime]:
        failures = self._failures.get(pair)
        if failures is None:
            return deque()
        since = now - self.budget.period
        while failures and not since < failures[0] <= now + AHEAD_MAX:
            failures.popleft()  # also what was dated before the clock was set back
        if not failures:
            del self._failures[pair]
        return failures


def _pair(told: SignInFailed | SignInSucceeded) -> Pair:
    return told.name, ip_address(told.address)
