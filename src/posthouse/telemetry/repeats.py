"""Refusals by the thousand: some are told in full, the rest of the same kind are counted."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

FULL_PER_MINUTE: Final = 30  # for one client and one reason
KINDS_MAX: Final = 10_000  # remembered at once
_MINUTE: Final = timedelta(minutes=1)


class _Kind:
    __slots__ = ("full", "last_id", "since")

    def __init__(self, since: datetime) -> None:
        self.since = since
        self.full = 0
        self.last_id = ""


class Repeats:
    """Counts cases by (client, reason). Not safe for threads: its owner locks."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()

    def standing_for(self, client: str, reason: str, at: datetime) -> str:
        """Return the id of the case that stands for one more of this kind; "" if none does."""
        kind = self._kinds.get((client, reason))
        if kind is None or at - kind.since >= _MINUTE or kind.full < FULL_PER_MINUTE:
            return ""
        return kind.last_id

    def is_repeat(self, client: str, reason: str, case_id: str, at: datetime) -> bool:
        """Take note of a case; whether it is one that another stands for."""
        key = (client, reason)
        kind = self._kinds.get(key)
        if kind is not None and kind.last_id == case_id:
            return True
        if kind is None or at - kind.since >= _MINUTE:
            kind = self._kinds[key] = _Kind(at)
            self._kinds.move_to_end(key)
            if len(self._kinds) > KINDS_MAX:
                self._kinds.popitem(last=False)
        kind.full += 1
        kind.last_id = case_id
        return False
