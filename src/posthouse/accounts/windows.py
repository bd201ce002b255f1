"""How many in the last hour, day or month: a sliding window in bounded memory."""

import math
from collections.abc import Iterable
from typing import Final

# Counts this young (in seconds) are kept by slots this wide. A slot counts until all of it is out
# of the period, so that a budget is never exceeded, and by under one part in 100 too strict.
_GRAINS: Final = ((7_200, 30), (172_800, 600))
_GRAIN_MAX: Final = 14_400
_AHEAD_MAX: Final = 3_600.0  # what lies further ahead was dated before the clock was set back
ENTRIES_MAX: Final = 900

Entry = tuple[float, int]


class Window:
    """Counts with their times, in seconds since 1970."""

    __slots__ = ("entries",)

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = list(entries)

    def add(self, at: float, count: int) -> None:
        """Count some more."""
        last, before = self.entries[-1] if self.entries else (0.0, 0)
        if last // _GRAINS[0][1] >= at // _GRAINS[0][1] and last <= at + _AHEAD_MAX:
            self.entries[-1] = (max(last, at), before + count)
            return
        self.entries.append((at, count))
        if len(self.entries) > ENTRIES_MAX:
            self._merge(at)

    def total(self, since: float, now: float = math.inf) -> int:
        """Return how many came after `since`, but for what lies in the future."""
        total = 0
        for at, count in reversed(self.entries):
            if at <= since:
                break
            if at <= now + _AHEAD_MAX:
                total += count
        return total

    def forget(self, until: float) -> None:
        """Forget what came before or at `until`."""
        self.entries = [entry for entry in self.entries if entry[0] > until]

    def _merge(self, now: float) -> None:
        merged: dict[tuple[int, int], Entry] = {}
        for at, count in self.entries:
            grain = next((wide for age, wide in _GRAINS if now - at < age), _GRAIN_MAX)
            slot = (grain, int(at // grain))
            merged[slot] = (at, merged.get(slot, (at, 0))[1] + count)
        self.entries = list(merged.values())[-ENTRIES_MAX:]
