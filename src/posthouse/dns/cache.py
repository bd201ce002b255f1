"""Answers remembered for as long as they say, and look-ups shared by all who wait for them."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """At most `entries_max` answers; the one that was unused for longest makes room."""

    def __init__(self, entries_max: int, clock: Callable[[], float]) -> None:
        self._entries_max = entries_max
        self._clock = clock
        self._entries: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def find(self, key: Key) -> Value | None:
        """Return what is remembered and still good."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        ends, value = entry
        if ends <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def keep(self, key: Key, value: Value, seconds: float) -> None:
        """Remember `value`; nothing is remembered for 0 seconds."""
        if seconds <= 0:
            return
        self._entries[key] = (self._clock() + seconds, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


class SingleFlight(Generic[Key, Value]):
    """Whoever asks the same while it is being asked waits for the same answer."""

    def __init__(self) -> None:
        self._flying: dict[Key, asyncio.Task[Value]] = {}

    async def run(self, key: Key, ask: Callable[[], Awaitable[Value]]) -> Value:
        """Return what `ask` gives. A caller that is cancelled does not stop it for the others."""
        task = self._flying.get(key)
        if task is None:
            task = asyncio.ensure_future(_awaited(ask))
            self._flying[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel what is still asked."""
        tasks = list(self._flying.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, key: Key, task: asyncio.Task[Value]) -> None:
        del self._flying[key]
        if not task.cancelled():
            task.exception()  # looked at: nobody may be waiting any more


async def _awaited(ask: Callable[[], Awaitable[Value]]) -> Value:
    return await ask()
