"""From start to stop: the order of things, signals, reload."""

import asyncio
import errno
import gc
import resource
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from posthouse import __version__
from posthouse.config.check import check
from posthouse.config.diagnostic import ConfigurationError, Diagnostic, is_fatal, render
from posthouse.config.load import Loaded, load
from posthouse.config.schema import Configuration, Shadow
from posthouse.config.syntax import decode
from posthouse.server.assembly import Server, bind_all, configured_certificates
from posthouse.server.control import ControlSocket
from posthouse.server.listeners import BoundListener
from posthouse.server.operations import Operations
from posthouse.server.privileges import drop
from posthouse.server.storage import open_storage
from posthouse.server.stores import Stores
from posthouse.server.tls import Certificates
from posthouse.server.troubles import EXIT_CONFIGURATION, StartError
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
Ready = Callable[[dict[str, list[str]]], None]


def serve(
    path: Path,
    *,
    ready: Ready | None = None,
    log: Log | None = None,
    shadow: Path | None = None,
) -> None:
    """Run a server until it is told to stop by SIGTERM, SIGINT or the control socket.

    Args:
        path: The configuration file; relative paths in it count from its directory.
        ready: Called once all sockets take connections, with the addresses by listener.
        log: Where events go; by default to standard error, as the configuration says.
        shadow: A configuration to try beside, instead of the one that the file names.

    Raises:
        StartError: If it cannot start: one message for the operator, and the exit code.
    """
    loaded = with_shadow(load_file(path), shadow)
    configuration = loaded.configuration
    directory = path.parent / configuration.storage.directory
    bound = bind_all(configuration)
    try:
        certificates = configured_certificates(configuration, path.parent)  # a key may be root's
        drop(configuration.user, configuration.group, directory)
        lock = open_storage(directory)
    except StartError:
        _close_all(bound)
        raise
    raise_handle_limit()
    own_log = log or log_of(configuration)
    try:
        run = Run(path, loaded, directory, bound, own_log, certificates)
        run.shadow = shadow
        _run(run, ready)
    finally:
        _close_all(bound)
        if log is None:
            own_log.close()
        lock.release()


def load_file(path: Path) -> Loaded:
    """Return the configuration in a file, checked and its own tests passed.

    Raises:
        StartError: With everything that is wrong, as `posthouse check` shows it.
    """
    try:
        text = decode(path.read_bytes())
    except OSError as problem:
        message = f"cannot read {path}: {problem.strerror or problem}"
        raise StartError(message, EXIT_CONFIGURATION) from None
    except ConfigurationError as problem:
        raise _wrong(problem.diagnostics, "", path) from None
    try:
        loaded = load(text, path.name)
    except ConfigurationError as problem:
        raise _wrong(problem.diagnostics, text, path) from None
    found = check(loaded.configuration, loaded.spans, utc_now())
    if is_fatal(found):
        raise _wrong(found, text, path)
    return loaded


def with_shadow(loaded: Loaded, shadow: Path | None) -> Loaded:
    """Return the configuration with another shadow than it names."""
    if shadow is None:
        return loaded
    file = Shadow(file=str(shadow.absolute()))
    return replace(loaded, configuration=loaded.configuration.model_copy(update={"shadow": file}))


def _wrong(
    diagnostics: "list[Diagnostic] | tuple[Diagnostic, ...]", text: str, path: Path
) -> StartError:
    shown = render(diagnostics, text, str(path)).rstrip()
    return StartError(f"the configuration has errors\n{shown}", EXIT_CONFIGURATION)


def raise_handle_limit() -> None:
    """Take as many file handles as the system lets us: each session needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HANDLES if hard == resource.RLIM_INFINITY else min(hard, HANDLES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def utc_now() -> datetime:
    """Return the moment: the one clock of a running server."""
    return datetime.now(UTC)


def log_of(configuration: Configuration) -> Log:
    """Return the log that the configuration wants, on standard error."""
    wanted = configuration.log
    as_text = wanted.format == "text" or (wanted.format == "auto" and sys.stderr.isatty())
    return Log(LineSink(console_line if as_text else json_line), least=Level(wanted.level))


def _close_all(bound: tuple[BoundListener, ...]) -> None:
    for it in bound:
        it.close()


def _run(run: "Run", ready: Ready | None) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run.serve(ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed; plain asyncio does the same, slower."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every system
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class Run:
    """One run of a server: what `serve` needs between its loop's start and end."""

    def __init__(
        self,
        path: Path,
        loaded: Loaded,
        directory: Path,
        bound: tuple[BoundListener, ...],
        log: Log,
        certificates: Certificates | None,
    ) -> None:
        self.shadow: Path | None = None  # tried beside, instead of the one that the file names
        self._certificates = certificates
        self._path = path
        self._loaded = loaded
        self._directory = directory
        self._bound = bound
        self._log: Callable[[LogEvent], None] = log.tell
        self._why = ""
        self._stopped = asyncio.Event()
        self._server: Server | None = None

    async def serve(self, ready: Ready | None) -> None:
        """Start, wait for the end, stop."""
        stores = Stores(self._directory, self._loaded.configuration, utc_now)
        try:
            server = Server(
                self._loaded,
                self._path.parent,
                stores,
                now=utc_now,
                log=self._log,
                certificates=self._certificates,
            )
        except BaseException as problem:
            await asyncio.to_thread(stores.close)
            if isinstance(problem, StoreError):
                raise StartError(str(problem)) from problem
            raise
        self._server = server
        asyncio.get_running_loop().set_exception_handler(self._tell_bug)
        operations = Operations(server, self.reload, self.stop)
        control = ControlSocket(self._directory, operations.perform, self._log)
        try:
            await server.start(self._bound)
            await control.start()
            self._handle_signals()
            self._tell_started(server, ready)
            await self._stopped.wait()
        finally:
            await control.stop()
            await server.stop(server.configuration.limits.stop_wait)
            self._log(Stopped(self._why or "an error"))

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
        places = [f"{name} {place}" for name, them in server.listeners.items() for place in them]
        for finding in check(server.configuration, server.loaded.spans, utc_now()):
            self._log(Noted(f"{server.loaded.name}:{finding.line}: {finding.message}"))
        self._log(Started(__version__, tuple(places), str(self._path)))
        if ready is not None:
            ready(server.listeners)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
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
        try:
            loaded = with_shadow(load_file(self._path), self.shadow)
            _check_needs_no_restart(self._loaded.configuration, loaded.configuration)
            self._server.use(loaded)
        except StartError as problem:
            self._log(ReloadFailed(str(self._path), str(problem)))
            raise
        self._loaded = loaded
        self._log(Reloaded(str(self._path), f"asked by {by}"))


def _check_needs_no_restart(old: Configuration, new: Configuration) -> None:
    """Refuse a change of what is bound to sockets, files or the process."""
    changed = [
        name
        for name in ("hostname", "listen", "user", "group", "dns")
        if getattr(old, name) != getattr(new, name)
    ]
    if old.storage.directory != new.storage.directory:
        changed.append("storage.directory")
    if changed:
        message = f"{', '.join(changed)} cannot change while the server runs: restart it"
        raise StartError(message, EXIT_CONFIGURATION)
