"""Outcomes of one message at several destinations, told to its sender in one report.

Works of a message that are in our hands at the same time end one after another. Those that have bad
news wait for the others, a while at most, and are settled together with them. Until then they stay
leased: a crash only means that they are tried again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import structs

from posthouse.delivery.content import Content
from posthouse.delivery.tally import Tally

WAIT_SECONDS: Final = 20.0

Settle = Callable[[Tally, Content], Awaitable[None]]


class Gathering:
    """What is in our hands by message, and what waits to be told."""

    def __init__(self, settle: Settle, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._settle = settle
        self._wait_seconds = wait_seconds
        self._in_hand: dict[str, int] = {}
        self._waiting: dict[str, list[tuple[Tally, Content]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def expect(self, message_id: str) -> None:
        """A work of this message was taken: `end` or `give_back` follows."""
        self._in_hand[message_id] = self._in_hand.get(message_id, 0) + 1

    def give_back(self, message_id: str) -> None:
        """It was not tried. What waited only for it is settled soon."""
        if self._less(message_id) == 0 and message_id in self._waiting:
            self._settle_soon(message_id)

    async def end(self, tally: Tally, content: Content) -> None:
        """It was tried: settle it, now or together with others."""
        message_id = tally.work.id
        others = self._less(message_id)
        if others and (tally.lost or tally.delays):
            self._waiting.setdefault(message_id, []).append((tally, content))
            self._set_timer(message_id)
            return
        gathered = [] if others or not self._waiting else self._take(message_id)
        if gathered:
            tally = _together([*(it for it, _ in gathered), tally])
        await self._settle(tally, content)

    async def end_all(self) -> None:
        """Settle all that waits."""
        for message_id in list(self._waiting):
            await self._settle_waiting(message_id)
        await asyncio.gather(*self._tasks)

    def _less(self, message_id: str) -> int:
        left = self._in_hand.pop(message_id, 1) - 1
        if left <= 0:
            return 0
        self._in_hand[message_id] = left
        return left

    def _set_timer(self, message_id: str) -> None:
        if message_id not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[message_id] = loop.call_later(
                self._wait_seconds, self._settle_soon, message_id
            )

    def _settle_soon(self, message_id: str) -> None:
        task = asyncio.create_task(self._settle_waiting(message_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle_waiting(self, message_id: str) -> None:
        if gathered := self._take(message_id):
            await self._settle(_together([it for it, _ in gathered]), gathered[0][1])

    def _take(self, message_id: str) -> list[tuple[Tally, Content]]:
        if timer := self._timers.pop(message_id, None):
            timer.cancel()
        return self._waiting.pop(message_id, [])


def _together(tallies: list[Tally]) -> Tally:
    """One tally of all recipients, at the time of the last."""
    last = tallies[-1]
    ended = tuple(one for tally in tallies for one in tally.ended)
    return structs.replace(last, ended=ended)
