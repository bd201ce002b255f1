"""Contents that were just accepted: most mail is delivered at once, and then need not be read."""

import threading
from collections import OrderedDict
from typing import Final

BUDGET_OCTETS: Final = 16 * 1024 * 1024
ENTRY_OCTETS: Final = 300  # that an entry costs beside its content


class RecentContents:
    """The newest contents within a budget of memory."""

    def __init__(self, budget_octets: int = BUDGET_OCTETS) -> None:
        self._budget = budget_octets
        self._octets = 0
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, message_id: str, content: bytes) -> None:
        """Remember a content; the oldest make room for it."""
        with self._lock:
            assert message_id not in self._contents, "an id is given once"
            self._contents[message_id] = content
            self._octets += len(content) + ENTRY_OCTETS
            while self._octets > self._budget:
                _, oldest = self._contents.popitem(last=False)
                self._octets -= len(oldest) + ENTRY_OCTETS

    def find(self, message_id: str) -> bytes | None:
        """Return a content if it is still here."""
        with self._lock:
            return self._contents.get(message_id)

    def forget(self, message_id: str) -> None:
        """It will not be asked for again."""
        with self._lock:
            content = self._contents.pop(message_id, None)
            if content is not None:
                self._octets -= len(content) + ENTRY_OCTETS
