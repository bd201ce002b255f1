"""Connecting to whichever address of a host answers first (happy eyeballs, RFC 8305 §5)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from posthouse.delivery.link import Link, LinkError
from posthouse.delivery.next_hosts import Host

STAGGER_SECONDS: Final = 0.25
"""So long an address is waited for before the next one is tried beside it (RFC 8305 §8)."""

Open = Callable[[Host], Awaitable[Link]]


async def reach(hosts: Sequence[Host], open_link: Open) -> tuple[Link, Host]:
    """Return the first connection that is made, and to where; the others are given up.

    Args:
        hosts: At least one: the addresses of one host, the preferred one first.
        open_link: Makes a connection; raises LinkError.

    Raises:
        LinkError: If none can be made; it says why the first one could not.
    """
    if len(hosts) == 1:
        return await open_link(hosts[0]), hosts[0]
    race = _Race(open_link)
    try:
        return await race.run(list(hosts))
    finally:
        await race.end()


class _Race:
    def __init__(self, open_link: Open) -> None:
        self._open = open_link
        self._running: dict[asyncio.Task[Link], Host] = {}
        self._failed: list[LinkError] = []

    async def run(self, waiting: list[Host]) -> tuple[Link, Host]:
        while waiting or self._running:
            if waiting:
                host = waiting.pop(0)
                self._running[asyncio.create_task(self._connect(host))] = host
            done, _ = await asyncio.wait(
                self._running,
                timeout=STAGGER_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                if (error := task.exception()) is None:
                    return task.result(), self._running.pop(task)
                self._running.pop(task)
                assert isinstance(error, LinkError)
                self._failed.append(error)
        raise self._failed[0]

    async def end(self) -> None:
        """Give up what is under way; a connection that was made meanwhile is closed."""
        for task in self._running:
            task.cancel()
        for late in await asyncio.gather(*self._running, return_exceptions=True):
            if isinstance(late, Link):
                late.abort()

    async def _connect(self, host: Host) -> Link:
        return await self._open(host)
