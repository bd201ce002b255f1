"""Host names that may relay: looked up forward, again and again, and remembered for a while.

A name in dynamic DNS says which address it has; the address cannot say which name it is. So each
name is looked up in advance, at every `refresh`, and the policy only compares. A failed look-up
changes nothing that is known: it neither opens nor closes a door.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from posthouse.dns.answers import Address, Answer, NoData, NoSuchName, TemporaryFailure
from posthouse.dns.resolver import Resolver
from posthouse.dns.seen import SeenFile, Sightings
from posthouse.policy.facts import WatchedName

TRY_AGAIN: Final = timedelta(seconds=20)  # after a temporary failure, if `refresh` is longer
AHEAD_MAX: Final = timedelta(minutes=1)
TOLD_AFTER: Final = timedelta(days=1)  # a lapsed address is told apart from a stranger's so long
SAVE_SECONDS: Final = 15.0
ADDRESSES_MAX: Final = 64  # remembered of one name
LOOKUPS_AT_ONCE_MAX: Final = 20


class Watch(Struct, frozen=True):
    """How one name is watched: looked up every `refresh`, an address stays good for `linger`."""

    refresh: timedelta
    linger: timedelta


class WatchedNames:
    """Knows at any moment which watched names point, or lately pointed, at an address.

    Start it with `start`, end it with `stop`. `names_at` and `unreadable` only look into memory.
    """

    def __init__(
        self,
        resolver: Resolver,
        hosts: Mapping[str, Watch],
        *,
        path: Path,
        now: Callable[[], datetime],
        saves: bool = True,
    ) -> None:
        """Watch `hosts` (lower-case names).

        What was seen is read from the file at `path`, and kept there if this process `saves` it.
        """
        self._saves = saves
        self._resolver = resolver
        self._hosts = dict(hosts)
        self._now = now
        self._file = SeenFile(path)
        self._seen: Sightings = {}
        self._failed: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._saver: asyncio.Task[None] | None = None
        self._unsaved = False
        self._places = asyncio.Semaphore(LOOKUPS_AT_ONCE_MAX)

    async def start(self) -> None:
        """Read what was remembered and begin to look up. Returns before the first answers."""
        self._seen = await asyncio.to_thread(self._file.read)
        self._failed = set(self._hosts)  # nothing is known yet: not even that there is nothing
        self._saver = asyncio.create_task(self._save_now_and_then())
        self.watch(self._hosts)

    async def stop(self) -> None:
        """Stop looking up and write down what was seen."""
        tasks = [*self._tasks.values(), *([self._saver] if self._saver else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks, self._saver = {}, None
        await self._save()

    def watch(self, hosts: Mapping[str, Watch]) -> None:
        """Watch these names from now on; what is known of those that stay is kept."""
        for host in self._tasks.keys() - hosts.keys():
            self._tasks.pop(host).cancel()
            self._failed.discard(host)
        for host, watch in hosts.items():
            if self._hosts.get(host) != watch and host in self._tasks:
                self._tasks.pop(host).cancel()
            if host not in self._tasks:
                if host not in self._hosts:
                    self._failed.add(host)
                self._tasks[host] = asyncio.create_task(self._look_up_again_and_again(host))
        self._hosts = dict(hosts)

    def names_at(self, address: Address, now: datetime) -> tuple[WatchedName, ...]:
        """Return the names that point or pointed here; the policy compares with its linger."""
        if not self._hosts:
            return ()
        names = []
        for host, watch in self._hosts.items():
            seen = self._last_seen(host, address, now)
            if seen is not None and now - seen <= watch.linger + TOLD_AFTER:
                names.append(WatchedName(host, seen))
        return tuple(names)

    def _last_seen(self, host: str, address: Address, now: datetime) -> datetime | None:
        """When a name last pointed here; never in the future, if the clock was set back since.

        Else an address that the name has left would stay open until the clock is there again.
        """
        seen = self._seen.get(host, {}).get(address)
        if seen is not None and seen > now + AHEAD_MAX:
            seen = self._seen[host][address] = now
            self._unsaved = True
        return seen

    def unreadable(self) -> frozenset[str]:
        """Return the names of which nothing is known now.

        That is: the last look-up failed temporarily (or none has ended yet), and no address was
        seen within the linger.
        """
        if not self._failed:
            return frozenset()
        now = self._now()
        return frozenset(host for host in self._failed if not self._is_fresh(host, now))

    async def look_up(self, host: str) -> bool:
        """Look one name up now. False after a temporary failure, which changes nothing known."""
        async with self._places:
            found = await self._resolver.addresses(host)
        match found:
            case Answer(values=values, complete=complete):
                self._saw(host, values)
                if complete:
                    self._failed.discard(host)
                return complete
            case NoSuchName() | NoData():
                self._failed.discard(host)
                return True
            case TemporaryFailure():
                self._failed.add(host)
                return False

    def _saw(self, host: str, addresses: tuple[Address, ...]) -> None:
        now, seen = self._now(), self._seen.setdefault(host, {})
        for address in addresses[:ADDRESSES_MAX]:
            seen.pop(address, None)
            seen[address] = now  # at the end: the dictionary is in the order of last sight
        while len(seen) > ADDRESSES_MAX:
            del seen[next(iter(seen))]
        self._unsaved = True

    def _is_fresh(self, host: str, now: datetime) -> bool:
        linger = self._hosts[host].linger
        seen = (self._last_seen(host, address, now) for address in self._seen.get(host, {}))
        return any(at is not None and now - at <= linger for at in seen)

    async def _look_up_again_and_again(self, host: str) -> None:
        while True:
            try:
                done = await self.look_up(host)
            except Exception:  # noqa: BLE001 - an error of ours must not end the watch unnoticed
                self._failed.add(host)
                done = False
            refresh = self._hosts[host].refresh
            await asyncio.sleep((refresh if done else min(refresh, TRY_AGAIN)).total_seconds())

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await self._save()

    async def _save(self) -> None:
        if not self._unsaved:
            return
        self._unsaved = False
        self._forget_old()
        if not self._saves:
            return
        seen = {host: dict(addresses) for host, addresses in self._seen.items()}
        with suppress(OSError):  # a full disk: what is in memory stays right, and is saved later
            await asyncio.to_thread(self._file.write, seen)
            return
        self._unsaved = True

    def _forget_old(self) -> None:
        now = self._now()
        for host in [host for host in self._seen if host not in self._hosts]:
            del self._seen[host]
        for host, seen in self._seen.items():
            limit = self._hosts[host].linger + TOLD_AFTER
            for address in [address for address, at in seen.items() if now - at > limit]:
                del seen[address]
