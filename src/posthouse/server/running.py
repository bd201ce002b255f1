"""A server between its loop's start and end: signals, reload, what nobody caught."""

import asyncio
import errno
import gc
import resource
import signal
import sys
from collections.abc import Callable
from enum import EnumType
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from posthouse import __version__
from posthouse.config.check import check
from posthouse.config.load import Loaded
from posthouse.config.schema import Configuration
from posthouse.server.assembly import Server
from posthouse.server.clock import SteadyClock
from posthouse.server.control import ControlSocket
from posthouse.server.crew import ALONE, Worker
from posthouse.server.entrances import Share
from posthouse.server.loading import (
    check_needs_no_restart,
    load_file,
    read_file,
    utc_now,
    with_shadow,
)
from posthouse.server.log_stream import OneAtATime
from posthouse.server.operations import Operations
from posthouse.server.storage import settle
from posthouse.server.stores import Stores
from posthouse.server.tls import Certificates
from posthouse.server.troubles import StartError
from posthouse.sessions.bugs import place_of
from posthouse.telemetry.database import StoreError
from posthouse.telemetry.events import (
    BugMet,
    Level,
    LogEvent,
    Noted,
    Reloaded,
    ReloadFailed,
    Started,
    Stopped,
)
from posthouse.telemetry.sinks import LineSink, Log, console_line, json_line

HANDLES: Final = 65_536
# How long a thread may keep the interpreter from the others: the loop and the journal's thread
# wait for each other. Measured better than 5 ms on a busy machine, the same on a quiet one.
THREAD_SECONDS: Final = 0.001
YOUNG_OBJECTS_MAX: Final = 10_000  # then garbage in circles is looked for; 700 costs 3 %
WORKERS_DIRECTORY: Final = "workers"
LOG_LOCK: Final = "log.lock"
Ready = Callable[[dict[str, list[str]]], None]


class Site(Struct, frozen=True, eq=False):
    """What a run stands on.

    Attributes:
        path: The configuration file.
        loaded: What was in it.
        directory: The storage.
        share: Open sockets.
        log: Takes events.
        certificates: Read already; None: ours from the storage.
        shadow: A configuration to try beside, instead of the one that the file names.
        worker: Which of several workers this is.
        others: The sockets of the others, by number.
        in_force: Where the supervisor keeps the configuration in force; None: the file is it.
    """

    path: Path
    loaded: Loaded
    directory: Path
    share: Share
    log: Log
    certificates: Certificates | None = None
    shadow: Path | None = None
    worker: Worker = ALONE
    others: dict[int, Share] = {}
    in_force: Path | None = None


def raise_handle_limit() -> None:
    """Take as many file handles as the system lets us: each session needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HANDLES if hard == resource.RLIM_INFINITY else min(hard, HANDLES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def log_of(configuration: Configuration, number: int = 0, lock: Path | None = None) -> Log:
    """Return the log that the configuration wants, on standard error.

    Args:
        configuration: As in force at the start.
        number: Of the worker whose it is; 0: of the only one, or of all.
        lock: A file that keeps the lines of several processes apart.
    """
    wanted = configuration.log
    as_text = wanted.format == "text" or (wanted.format == "auto" and sys.stderr.isatty())
    form = partial(console_line if as_text else json_line, worker=number)
    stream = None if lock is None else OneAtATime(sys.stderr, lock)
    return Log(LineSink(form, stream), least=Level(wanted.level))


def run_loop(run: "Run", ready: Ready | None) -> None:
    """Run it to its end."""
    sys.setswitchinterval(THREAD_SECONDS)
    look_members_up_at_once()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run.serve(ready))


def look_members_up_at_once() -> None:
    """Take away what Python 3.11 asks before each `Enum.MEMBER`, and 3.12 does not have any more.

    Members are attributes of their class, so the hook never finds one. But to pass by it takes
    60 ns, and a refusal names 74 members.
    """
    if "__getattr__" in vars(EnumType):
        del EnumType.__getattr__  # type: ignore[attr-defined]


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed; plain asyncio does the same, slower."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every system
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class Run:
    """One run of a server: what `serve` needs between its loop's start and end."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loaded = site.loaded
        self._log: Callable[[LogEvent], None] = site.log.tell
        self._is_alone = site.worker.board is None
        self._why = ""
        self._stopped = asyncio.Event()
        self._server: Server | None = None

    async def serve(self, ready: Ready | None) -> None:
        """Start, wait for the end, stop."""
        self._server = server = await self._make()
        asyncio.get_running_loop().set_exception_handler(self._tell_bug)
        operations = Operations(server, self.reload, self.stop)
        control = self._control(operations)
        try:
            await asyncio.to_thread(settle, self._site.directory)
            await server.start(self._site.share)
            await control.start()
            self._handle_signals()
            self._tell_started(server, ready)
            await self._stopped.wait()
        finally:
            await control.stop()
            await server.stop(server.configuration.limits.stop_wait)
            if self._is_alone:
                self._log(Stopped(self._why or "an error"))

    async def _make(self) -> Server:
        site = self._site
        clock = SteadyClock()
        stores = Stores(site.directory, site.loaded.configuration, clock, site.worker)
        try:
            server = Server(
                site.loaded,
                site.path.parent,
                stores,
                now=clock,
                log=self._log,
                certificates=site.certificates,
            )
        except BaseException as problem:
            await asyncio.to_thread(stores.close)
            if isinstance(problem, StoreError):
                raise StartError(str(problem)) from problem
            raise
        server.entrances.others = site.others
        return server

    def _control(self, operations: Operations) -> ControlSocket:
        if self._is_alone:
            return ControlSocket(self._site.directory, operations.perform, self._log)
        path = socket_of(self._site.directory, self._site.worker.number)
        return ControlSocket(
            path.parent, operations.perform, self._log, name=path.name, trusting=True
        )

    def _tell_bug(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught: logged as an event, never as a traceback in between."""
        problem = context.get("exception")
        words = str(context.get("message", ""))
        if isinstance(problem, OSError) and problem.errno in (errno.EMFILE, errno.ENFILE):
            self._log(Noted("no more connections can be taken: all file handles are in use"))
        elif problem is not None:
            self._log(BugMet(words, place_of(problem)))
        else:
            self._log(Noted(words))

    def _tell_started(self, server: Server, ready: Ready | None) -> None:
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked at again
        gc.set_threshold(YOUNG_OBJECTS_MAX, 20, 20)
        if self._is_alone:
            tell_started(self._log, server.loaded, server.listeners, self._site.path)
        if ready is not None:
            ready(server.listeners)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._is_alone:
            loop.add_signal_handler(signal.SIGTERM, self.stop, "SIGTERM")
            return  # all others are for the supervisor
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._reload_by_signal)

    def stop(self, why: str) -> None:
        """Begin to stop; told twice, it is stopping already."""
        self._why = self._why or why
        self._stopped.set()

    def _reload_by_signal(self) -> None:
        try:
            self.reload("SIGHUP")
        except StartError:
            return  # it is in the log, and nothing has changed

    def reload(self, by: str) -> None:
        """Take the file as it is now, between two events. What is wrong changes nothing.

        Raises:
            StartError: With what is wrong.
        """
        assert self._server is not None, "serving"
        site = self._site
        try:
            text = read_file(site.in_force or site.path)
            loaded = with_shadow(load_file(site.path, text), site.shadow)
            check_needs_no_restart(self._loaded.configuration, loaded.configuration)
            self._server.use(loaded)
        except StartError as problem:
            self._log(ReloadFailed(str(site.path), str(problem)))
            raise
        self._loaded = loaded
        self._log(Reloaded(str(site.path), f"asked by {by}"))


def tell_started(
    log: Callable[[LogEvent], None], loaded: Loaded, listeners: dict[str, list[str]], path: Path
) -> None:
    """Log that mail is taken now, and what is odd about the configuration."""
    places = [f"{name} {place}" for name, them in listeners.items() for place in them]
    for finding in check(loaded.configuration, loaded.spans, utc_now()):
        log(Noted(f"{loaded.name}:{finding.line}: {finding.message}"))
    log(Started(__version__, tuple(places), str(path)))


def socket_of(directory: Path, number: int) -> Path:
    """Return the control socket of one of several workers; only the supervisor uses it."""
    return directory / WORKERS_DIRECTORY / f"{number}.sock"
