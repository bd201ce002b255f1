"""Who failed to sign in too often lately: by account and address, never a whole network."""

from collections import OrderedDict, deque
from datetime import datetime
from typing import Final

from posthouse.policy.facts import Address
from posthouse.policy.rules import Budget

PAIRS_MAX: Final = 50_000  # remembered at once; the one least lately seen is forgotten first

Pair = tuple[str, Address]


class Lockout:
    """Counts failed sign-ins by (account name as given, address)."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._failures: OrderedDict[Pair, deque[datetime]] = OrderedDict()

    def is_locked(self, pair: Pair, now: datetime) -> bool:
        """Whether the budget is spent; true also for the right password then."""
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
        failures = self._failures.setdefault(pair, deque())
        failures.append(now)
        while len(failures) > self._count:
            failures.popleft()
        self._failures.move_to_end(pair)
        if len(self._failures) > PAIRS_MAX:
            self._failures.popitem(last=False)

    def note_success(self, pair: Pair) -> None:
        """Forget the failures of somebody who knew the password after all."""
        self._failures.pop(pair, None)

    @property
    def _count(self) -> int:
        return max(1, self.budget.count)

    def _lately(self, pair: Pair, now: datetime) -> deque[datetime]:
        failures = self._failures.get(pair)
        if failures is None:
            return deque()
        while failures and failures[0] <= now - self.budget.period:
            failures.popleft()
        if not failures:
            del self._failures[pair]
        return failures
