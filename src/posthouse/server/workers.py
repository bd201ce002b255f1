"""The supervisor of several workers: it owns the ports and the control socket, and takes no mail.

It starts the workers, starts those again that end, passes on what it is told, and answers for all
of them. A dead worker's connections wait in its sockets, which stay open here; until it is there
again another one takes them.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from posthouse.accounts.notices import Board, Ended
from posthouse.config.load import Loaded
from posthouse.server import requests
from posthouse.server.child import Child
from posthouse.server.control import ControlSocket, RefusedRequestError
from posthouse.server.crew_asked import CrewAsked, ask, turns
from posthouse.server.entrances import bind_all, close_all, places_of
from posthouse.server.hand import Hand
from posthouse.server.hiring import Premises, copies, fresh
from posthouse.server.loading import (
    check_needs_no_restart,
    load_file,
    read_file,
    with_shadow,
)
from posthouse.server.mould import Mould
from posthouse.server.opened_certificate import open_certificate
from posthouse.server.privileges import drop
from posthouse.server.processors import can_have_workers, workers_of
from posthouse.server.running import (
    LOG_LOCK,
    WORKERS_DIRECTORY,
    Ready,
    log_of,
    raise_handle_limit,
    socket_of,
    tell_started,
)
from posthouse.server.storage import open_storage
from posthouse.server.troubles import StartError
from posthouse.sessions.bugs import place_of
from posthouse.telemetry.events import (
    BugMet,
    LogEvent,
    Noted,
    Reloaded,
    ReloadFailed,
    Stopped,
    WorkerEnded,
    WorkerStarted,
)

QUICK_SECONDS: Final = 10.0  # who ends sooner after his start is started again ever later
PAUSE_SECONDS_MAX: Final = 30.0
ENDS_BEFORE_TAKE_OVER: Final = 3  # then another worker takes over the spool
CLOSE_SECONDS: Final = 2.0  # so that nobody takes connections when the first one says goodbye
KILL_SECONDS: Final = 15.0  # beyond the time that transactions have to end
LOOK_SECONDS: Final = 20.0  # between looks whether a worker still does anything
HUNG_SECONDS: Final = 60.0  # who has not for so long is killed, and started again
BY: Final = "the supervisor"


def supervise(
    path: Path, text: str, loaded: Loaded, ready: Ready | None, shadow: Path | None
) -> None:
    """Run the workers of a server until it is told to stop.

    Args:
        path: The configuration file.
        text: What is in it.
        loaded: What that means.
        ready: Called once all sockets take connections.
        shadow: A configuration to try beside, instead of the one that the file names.

    Raises:
        StartError: If it cannot start.
    """
    if not can_have_workers():
        raise StartError("this system or its Python is too old for several: say workers = 1")
    configuration = loaded.configuration
    directory = path.parent / configuration.storage.directory
    shares = bind_all(configuration, workers_of(configuration))
    try:
        certificate = open_certificate(configuration, path.parent)  # a key may be root's
        drop(configuration.user, configuration.group, directory)
        lock = open_storage(directory)
    except StartError:
        close_all(shares)
        raise
    try:
        _make_room(directory / WORKERS_DIRECTORY)
        raise_handle_limit()
        premises = Premises(path, loaded, directory, shares, certificate, shadow)
        children, mould = copies(premises, lock)  # first: from here on there are threads
        log = log_of(configuration, lock=directory / WORKERS_DIRECTORY / LOG_LOCK)
        try:
            asyncio.run(Supervisor(premises, text, mould, log.tell).serve(children, ready))
        finally:
            log.close()
    finally:
        close_all(shares)
        lock.release()


def _make_room(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as problem:
        why = problem.strerror or str(problem)
        raise StartError(f"the directory {directory} cannot be made: {why}") from None


class Supervisor:
    """Keeps the workers going.

    Args:
        premises: What they have.
        text: Of the configuration in force.
        mould: Makes those that are started again.
        log: Takes events.
    """

    def __init__(
        self, premises: Premises, text: str, mould: Mould, log: Callable[[LogEvent], None]
    ) -> None:
        self._premises = premises
        self._mould = mould
        self._loaded = premises.loaded
        self._directory = premises.directory
        self._log = log
        self._board = Board(premises.board, premises.run)
        self._hands = [Hand(number) for number in range(1, len(premises.shares) + 1)]
        self._covered: dict[int, Hand] = {}  # who stands in for a worker
        self._why = ""
        self._stopped = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._text = text
        self._reload_task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ from start to stop

    async def serve(self, children: Iterable[Child], ready: Ready | None) -> None:
        """Wait for workers that were just started, then for the end; stop."""
        self._keep_in_force(self._text)
        asked = CrewAsked(self._living, self._status, self.reload, self.stop)
        control = ControlSocket(self._directory, asked.perform, self._log)
        keepers: list[asyncio.Task[None]] = []
        watchers: list[asyncio.Task[None]] = []
        try:
            await asyncio.gather(*map(self._begin, self._hands, children))
            for hand in self._hands[1:]:
                await self._align_pauses(hand)
            await control.start()
            self._handle_signals()
            listeners = places_of(self._premises.shares[0])
            tell_started(self._log, self._loaded, listeners, self._premises.path)
            if ready is not None:
                ready(listeners)
            keepers += [asyncio.create_task(self._keep(it)) for it in self._hands]
            watchers += [asyncio.create_task(self._watch(it)) for it in self._hands]
            await self._stopped.wait()
        finally:
            self._stopped.set()
            for watcher in watchers:
                watcher.cancel()
            await self._mould.end()  # it has the ports open too
            close_all(self._premises.shares)
            await control.stop()
            await self._end_workers()
            await asyncio.gather(*keepers, *watchers, return_exceptions=True)
            os.close(self._premises.board)
            if keepers:
                self._log(Stopped(self._why or "an error"))

    def stop(self, why: str) -> None:
        """Begin to stop; told twice, it is stopping already."""
        self._why = self._why or why
        self._stopped.set()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._reload_by_signal)

    async def _end_workers(self) -> None:
        grace = self._loaded.configuration.limits.stop_wait.total_seconds() + KILL_SECONDS
        with suppress(TimeoutError):  # whoever does not hear will be told by SIGTERM
            async with asyncio.timeout(CLOSE_SECONDS):
                ready = [it for it in self._hands if it.is_ready]
                await asyncio.gather(*(self._tell(it, requests.TakeNoMore()) for it in ready))
        for hand in self._hands:
            hand.send(signal.SIGTERM)
        await asyncio.gather(*(hand.end(grace) for hand in self._hands))

    # ------------------------------------------------------------ one worker

    async def _begin(self, hand: Hand, child: Child) -> None:
        """Wait until a worker that was just started takes connections.

        Raises:
            StartError: If it cannot.
        """
        await hand.begin(child)
        self._log(WorkerStarted(hand.number, hand.process_id))

    async def _keep(self, hand: Hand) -> None:
        """Start a worker again whenever it ends, at once at first, then ever later."""
        while not self._stopped.is_set():
            how = await hand.wait()
            if self._stopped.is_set():
                return
            try:
                await self._replace(hand, how)
            except StartError as problem:
                self._log(Noted(f"worker {hand.number} cannot start: {problem}"))
            except Exception as problem:  # noqa: BLE001 - told, and tried again
                self._log(BugMet("starting a worker", place_of(problem)))
                await self._rest(PAUSE_SECONDS_MAX)

    async def _watch(self, hand: Hand) -> None:
        """Kill a worker that does nothing any more: it is started again like one that died."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            process, place = hand.process_id, socket_of(self._directory, hand.number)
            if not hand.is_ready or await turns(place, HUNG_SECONDS):
                continue
            if hand.is_ready and hand.process_id == process:
                text = f"worker {hand.number} has done nothing for {HUNG_SECONDS:.0f} s: killed"
                self._log(Noted(text))
                hand.send(signal.SIGKILL)

    async def _replace(self, hand: Hand, how: str) -> None:
        """Start a worker that has ended again; others do its work meanwhile."""
        quick_ends = hand.count_end(QUICK_SECONDS)
        pause = min(2.0 ** (quick_ends - 1), PAUSE_SECONDS_MAX) if quick_ends > 1 else 0.0
        self._log(WorkerEnded(hand.number, hand.process_id, how, pause))
        self._board.post(Ended(hand.process_id))
        await self._cover()
        if quick_ends >= ENDS_BEFORE_TAKE_OVER:
            await self._have_taken_over(hand)
        await self._rest(pause)
        if self._stopped.is_set():
            return
        before = self._text
        await self._begin(hand, self._mould.cast(hand.number) or self._fresh(hand))
        if self._text != before:  # reloaded meanwhile
            await self._tell(hand, requests.Reload())
        await self._align_pauses(hand)
        await self._uncover(hand)

    def _fresh(self, hand: Hand) -> Child:
        self._log(Noted(f"worker {hand.number} cannot be copied: it is started from its files"))
        return fresh(self._premises, hand.number)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return

    async def _cover(self) -> None:
        """Let those that live stand in for those that do not."""
        living = [it for it in self._hands if it.is_ready]
        for gone in (it for it in self._hands if not it.is_ready):
            if not living or self._covered.get(gone.number) in living:
                continue
            hand = living[gone.number % len(living)]
            self._covered[gone.number] = hand
            await self._tell(hand, requests.StandIn(gone.number, serves=True))

    async def _uncover(self, hand: Hand) -> None:
        other = self._covered.pop(hand.number, None)
        if other is not None:
            await self._tell(other, requests.StandIn(hand.number, serves=False))
        await self._cover()

    async def _have_taken_over(self, gone: Hand) -> None:
        """Nothing that it accepted waits until it can be started."""
        for hand in self._hands:
            if hand.is_ready and await self._tell(hand, requests.TakeOver(gone.number)) is not None:
                return

    async def _align_pauses(self, hand: Hand) -> None:
        """Pause at a worker what is paused at the others, and nothing else."""
        other = next((it for it in self._hands if it.is_ready and it is not hand), None)
        if other is None:
            return
        theirs, its = await self._paused(other), await self._paused(hand)
        if theirs is None or its is None:
            return
        for name in its.keys() - theirs.keys():
            await self._tell(hand, requests.QueueResume(name))
        for name in theirs.keys() - its.keys():
            await self._tell(hand, requests.QueuePause(name, theirs[name]))

    async def _paused(self, hand: Hand) -> dict[str, str] | None:
        summary = await self._tell(hand, requests.QueueSummary(limit=0))
        if summary is None:
            return None
        return {it["destination"]: it["why"] for it in summary.get("paused", ())}

    async def _tell(self, hand: Hand, request: requests.AnyWorkerRequest) -> Any:  # noqa: ANN401 - JSON
        try:
            return await ask(socket_of(self._directory, hand.number), request, BY)
        except RefusedRequestError as problem:
            self._log(Noted(f"worker {hand.number}: {problem}"))
            return None

    # ------------------------------------------------------------ what is asked of all

    def _living(self) -> list[Path]:
        return [socket_of(self._directory, it.number) for it in self._hands if it.is_ready]

    def _status(self) -> dict[str, Any]:
        return {
            "workers": len(self._hands),
            "worker_processes": [
                f"{it.number}: {it.process_id if it.is_ready else 'starts again'}"
                for it in self._hands
            ],
        }

    def _reload_by_signal(self) -> None:
        self._reload_task = asyncio.create_task(self._try_to_reload())

    async def _try_to_reload(self) -> None:
        try:
            await self.reload("SIGHUP")
        except StartError:
            return  # it is in the log, and nothing has changed

    async def reload(self, by: str) -> None:
        """Have all workers take the file as it is now. What is wrong changes nothing.

        Raises:
            StartError: With what is wrong.
        """
        async with self._reloading:
            try:
                loaded = await self._pass_on(by)
            except StartError as problem:
                self._log(ReloadFailed(str(self._premises.path), str(problem)))
                raise
            self._loaded = loaded
            self._log(Reloaded(str(self._premises.path), f"asked by {by}"))

    async def _pass_on(self, by: str) -> Loaded:
        """Have all take what the file says now; if one cannot, all keep what they had."""
        path = self._premises.path
        before, text = self._text, read_file(path)
        loaded = with_shadow(load_file(path, text), self._premises.shadow)
        check_needs_no_restart(self._loaded.configuration, loaded.configuration)
        self._keep_in_force(text)
        took: list[Path] = []
        try:
            for path in self._living():
                await ask(path, requests.Reload(), by)
                took.append(path)
        except RefusedRequestError as problem:
            self._keep_in_force(before)
            for path in took:
                with suppress(RefusedRequestError):
                    await ask(path, requests.Reload(), BY)
            raise StartError(str(problem), problem.exit_code) from None
        return loaded

    def _keep_in_force(self, text: str) -> None:
        """Keep what holds now: a worker that is started again takes this, not a broken file.

        Raises:
            StartError: If it cannot be written.
        """
        in_force = self._premises.in_force
        fresh = in_force.with_suffix(".new")
        try:
            fresh.touch(mode=0o600)
            fresh.write_text(text, "utf-8")
            fresh.replace(in_force)
        except OSError as problem:
            why = problem.strerror or str(problem)
            raise StartError(f"{in_force} cannot be written: {why}") from None
        self._text = text
