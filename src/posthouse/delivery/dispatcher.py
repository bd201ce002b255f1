"""Takes what is due from the spool and keeps next hops from getting in each other's way."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from posthouse.delivery.attempts import Attempts
from posthouse.delivery.lanes import AS_USUAL, Lane, Lanes, Width
from posthouse.delivery.next_hosts import HostFinder, Hosts, group_of
from posthouse.delivery.outcomes import Deferred, Failed
from posthouse.delivery.precedence import Precedence
from posthouse.delivery.routes import Exchangers, Route, RouteError, Routes
from posthouse.spool.records import StorageError, Work
from posthouse.spool.spool import Spool
from posthouse.telemetry.events import BugMet, LogEvent, Noted, StoreFailed

TAKEN_AT_ONCE: Final = 200
TAKEN_EACH: Final = 40
FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)
LONGEST_SLEEP: Final = timedelta(minutes=1)
PAUSE_AFTER_TROUBLE_SECONDS: Final = 5.0
POSTPONED_MAX: Final = 10_000
LOOK_UPS_MAX: Final = 500
"""Domains whose hosts are looked up at a time; a DNS that is silent costs no sessions."""


class _Look(Struct, frozen=True):
    """What a look into the spool gave."""

    works: list[Work]
    next_due: datetime | None
    in_memory: bool = False  # the disk has nothing that is due


class Dispatcher:
    """Runs between `start` and `stop`; all tasks are its own and bounded by `Width`."""

    def __init__(  # noqa: PLR0913 - each is a thing of its own, named at the only call
        self,
        spool: Spool,
        routes: Routes,
        attempts: Attempts,
        *,
        now: Callable[[], datetime],
        log: Callable[[LogEvent], None],
        width: Width = Width(),  # noqa: B008 - frozen
        hosts: HostFinder | None = None,
    ) -> None:
        """Take what is needed; with `hosts`, domains of the same exchangers share a lane."""
        self._hosts = hosts
        self._looking: dict[tuple[Exchangers, str], list[Work]] = {}
        self._spool = spool
        self._routes = routes
        self._attempts = attempts
        self._now = now
        self._log = log
        self._lanes = Lanes(width)
        self._precedence = Precedence(spool.backlog)
        self._taken: deque[Work] = deque()  # not yet placed
        self._wanted = asyncio.Event()
        self._paused: frozenset[str] = frozenset()
        self._postponed: dict[str, datetime] = {}  # until when, by destination
        self._postponing: frozenset[str] = frozenset()
        self._stopping = False
        self._next_due: datetime | None = None  # as far as it is known
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._workers: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin; called once, on the loop."""
        self._loop = asyncio.get_running_loop()
        self._spool.on_arrival(self.wake_from_thread)
        self._main = asyncio.create_task(self._run(), name="dispatcher")

    def wake(self) -> None:
        """Look into the spool now; for callers on the loop."""
        self._wanted.set()

    def wake_from_thread(self) -> None:
        """The same for callers in any thread, and harmless after the end."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be woken
                self._loop.call_soon_threadsafe(self._wanted.set)

    @property
    def routes(self) -> Routes:
        """The routes in force."""
        return self._routes

    def use_routes(self, routes: Routes) -> None:
        """Take other routes for all that begins from now on."""
        self._routes = routes

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing more, let attempts end for `grace`, then break them off.

        What was not settled is given back; it is due again at once, here or after a restart.
        """
        self._stopping = True
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        looked_up = [work for works in self._looking.values() for work in works]
        self._looking.clear()
        self._give_back([*self._taken, *self._lanes.take_all(), *looked_up])
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=grace.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._attempts.end()

    # ---------------------------------------------------------------- inside

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            try:
                await self._round()
            except StorageError as error:
                self._log(StoreFailed("spool", str(error)))
                await asyncio.sleep(PAUSE_AFTER_TROUBLE_SECONDS)
            except Exception as error:  # noqa: BLE001 - the dispatcher must not end while we run
                self._log(BugMet("dispatching", repr(error)))
                await asyncio.sleep(PAUSE_AFTER_TROUBLE_SECONDS)

    async def _round(self) -> None:
        look = await self._look()
        for work in look.works:
            self._attempts.expect(work)
        self._taken.extend(look.works)
        while self._taken:
            work = self._taken.popleft()
            try:
                await self._place(work)
            except BaseException:
                self._give_back([work])
                raise
        self._begin()
        if look.works and (self._next_due is None or self._may_be_more(look)):
            return
        if not look.works:
            self._next_due = look.next_due or FAR
        if self._next_due is not None and not await self._sleep(self._next_due):
            self._next_due = None  # it has come: what comes after it is not known

    def _may_be_more(self, look: _Look) -> bool:
        """Whether the spool may have more that can be taken at once, besides what it gave."""
        if len(look.works) >= TAKEN_AT_ONCE or not look.in_memory:
            return True
        if len(look.works) < TAKEN_EACH:
            return False
        full = self._lanes.full_domains()
        counted = Counter(work.destination for work in look.works)
        return any(
            count >= TAKEN_EACH and destination not in full
            for destination, count in counted.items()
        )

    async def _look(self) -> _Look:
        """Ask the spool, in a thread if it has to ask the disk.

        If we are stopped meanwhile, what it gave is given back.
        """
        await self._precedence.give_way()
        if (found := self._look_in_memory()) is not None:
            return found
        asking = asyncio.create_task(asyncio.to_thread(self._ask, self._lanes.full_domains()))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            with suppress(StorageError):
                self._give_back((await asking).works)
            raise

    def _look_in_memory(self) -> _Look | None:
        if len(self._looking) >= LOOK_UPS_MAX:
            return None
        full = (
            self._lanes.full_domains()
            | self._paused
            | self._postponing
            | {domain for _, domain in self._looking}
        )
        found = self._spool.take_fresh(self._now(), TAKEN_AT_ONCE, full, each=TAKEN_EACH)
        return None if found is None else _Look(*found, in_memory=True)

    def _ask(self, full: set[str]) -> _Look:
        now = self._now()
        self._paused = frozenset(it.destination for it in self._spool.paused())
        if len(self._looking) >= LOOK_UPS_MAX:
            return _Look([], None)
        full |= self._paused | self._postponing | {domain for _, domain in tuple(self._looking)}
        works = self._spool.take_due(now, TAKEN_AT_ONCE, full, each=TAKEN_EACH)
        return _Look(works, None if works else self._spool.next_due(now))

    async def _place(self, work: Work) -> None:
        """Put a work into its lane, once it is known which hosts its domain has."""
        route = self._route(work)
        if self._hosts is None or work.bounce or not isinstance(route.via, Exchangers):
            await self._to_lane(work, route, route.hop(work.destination))
            return
        found = self._hosts.remembered(route.via, work.destination)
        if found is None:
            self._look_up(work, route.via)
        else:
            await self._place_at(work, route, found)

    def _look_up(self, work: Work, via: Exchangers) -> None:
        works = self._looking.setdefault((via, work.destination), [])
        works.append(work)
        if len(works) == 1:
            task = asyncio.create_task(self._looked_up(via, work.destination))
            self._workers.add(task)
            task.add_done_callback(self._workers.discard)

    async def _looked_up(self, via: Exchangers, domain: str) -> None:
        assert self._hosts is not None
        try:
            found = await self._hosts.find(via, domain)
        except Exception as error:  # noqa: BLE001 - one domain must not stop all others
            self._log(BugMet(f"looking up {domain}", repr(error)))
            found = Deferred("4.3.0", "an error in this server; its administrators can see it")
        works = self._looking.pop((via, domain), [])
        try:
            while works:
                await self._place_at(works[-1], self._route(works[-1]), found)
                works.pop()
        except Exception as error:  # noqa: BLE001 - the same
            self._log(BugMet(f"placing mail for {domain}", repr(error)))
            await asyncio.sleep(PAUSE_AFTER_TROUBLE_SECONDS)
        finally:
            self._give_back(works)
        self._begin()
        self.wake()

    async def _place_at(self, work: Work, route: Route, found: Hosts) -> None:
        if isinstance(found, Deferred | Failed):
            await self._attempts.settle(work, dict.fromkeys(work.indices, found))
        else:
            await self._to_lane(work, route, group_of(found))

    async def _to_lane(self, work: Work, route: Route, hop: str) -> None:
        """Put a work into a lane, or back into the spool if that is full or closed."""
        name = f"{hop} {route.hello}" if route.hello else hop
        lane = self._lanes.lane(name, route.pace or AS_USUAL)
        trouble = None if lane.is_open else lane.closed(self._now())
        if trouble and not work.bounce:
            self._postpone(lane, work.destination)
            await self._attempts.settle(work, dict.fromkeys(work.indices, _not_tried(trouble)))
        elif self._lanes.is_full(lane):
            lane.kept_out = True
            lane.domains.add(work.destination)
            self._give_back([work])
        else:
            self._lanes.add(lane, work)

    def _postpone(self, lane: Lane, destination: str) -> None:
        """Once in a closure, put off all that is due there: one by one it would cost the others."""
        until = lane.closed_until(self._now())
        if until is None or self._postponed.get(destination) == until:
            return
        if len(self._postponed) >= POSTPONED_MAX:
            self._postponed.clear()
        self._postponed[destination] = until
        if self._routes.by_domain_only:
            self._postponing |= {destination}  # another set: a thread may be reading this one
            task = asyncio.create_task(self._put_off(destination, until))
            self._workers.add(task)
            task.add_done_callback(self._workers.discard)

    async def _put_off(self, destination: str, until: datetime) -> None:
        try:
            await self._attempts.postpone(destination, until)
        finally:
            self._postponing -= {destination}
            self.wake()

    def _route(self, work: Work) -> Route:
        """Where a work goes: by its route, or where an administrator moved it."""
        if work.via:
            try:
                return self._routes.chosen(work.via, work.destination, work.envelope)
            except RouteError as error:  # another version wrote it
                self._log(Noted(f"message {work.id} goes by its route: {error}"))
        return self._routes.find(work.destination, work.envelope)

    def _begin(self) -> None:
        while not self._stopping and (begun := self._lanes.begin()) is not None:
            lane, work = begun
            task = asyncio.create_task(self._work(lane, work), name=f"delivery {work.id}")
            self._workers.add(task)
            task.add_done_callback(self._workers.discard)

    async def _work(self, lane: Lane, first: Work) -> None:
        """Make attempts in one lane as long as it has work and room."""
        work: Work | None = first
        try:
            while work is not None:
                await self._try(lane, work)
                work = None if self._stopping else self._lanes.go_on(lane)
        finally:
            self._lanes.end(lane)
            self._begin()
            if lane.waiting:  # for its turn, or its time
                self.wake()
            self._look_if_wanted(lane)

    async def _try(self, lane: Lane, work: Work) -> None:
        settled = False
        try:
            if self._spool.trouble is not None:  # what cannot be recorded would be delivered again
                return  # and it is given back
            if work.destination in self._paused and not work.bounce:
                return
            trouble = None if lane.is_open else lane.closed(self._now())
            if trouble and not work.bounce:
                await self._attempts.settle(work, dict.fromkeys(work.indices, _not_tried(trouble)))
            else:
                outcomes, at = await self._attempts.run(self._route(work), work)
                self._lanes.note(lane, outcomes, at)
            settled = True
        finally:
            if not settled:
                self._give_back([work])
                self.wake()
        self._look_if_wanted(lane)

    def _look_if_wanted(self, lane: Lane) -> None:
        """Have what a full lane kept out taken from the spool, when there is room."""
        if lane.wants_more:
            lane.kept_out = False
            self.wake()

    async def _sleep(self, next_due: datetime) -> bool:
        """Wait until something arrives, a lane has room (True), or something becomes due."""
        if self._wanted.is_set():
            return True
        pause = max(timedelta(0), min(LONGEST_SLEEP, next_due - self._now()))
        if (seconds := self._lanes.next_begin()) is not None:
            pause = min(pause, timedelta(seconds=seconds))
        try:
            async with asyncio.timeout(pause.total_seconds()):
                return await self._wanted.wait()
        except TimeoutError:
            return False

    def _give_back(self, works: list[Work]) -> None:
        for work in works:
            self._attempts.give_back(work)


def _not_tried(trouble: Deferred) -> Deferred:
    words = f"not tried now, because a moment ago: {trouble.words}"
    return Deferred(trouble.status, words, trouble.host)
