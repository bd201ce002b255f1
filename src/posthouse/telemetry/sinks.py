"""Where log events go. Whoever tells an event never waits: one thread writes them.

What a stranger sent is hostile text: every sink escapes it, so that no control character, escape
sequence, bidi override or line end of theirs reaches a terminal or breaks a line.
"""

import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TextIO

import msgspec

from posthouse.telemetry.escaping import escaped
from posthouse.telemetry.events import EventsDropped, Level, LogEvent

WAITING_MAX: Final = 10_000  # events; what comes on top is dropped, and counted
WRITTEN_AT_ONCE: Final = 500
CLOSE_SECONDS: Final = 2.0  # for a reader of our log that does not read
GATHER_SECONDS: Final = 0.05  # waking the thread for every event would cost more than writing it
_DELETE: Final = 0x7F  # does not print
_RANK: Final = {level: rank for rank, level in enumerate(Level)}

Moment = tuple[datetime, LogEvent]


class Sink(Protocol):
    """Takes lines of log; used by one thread only."""

    def write(self, moments: Iterable[Moment]) -> None:
        """Write events. May wait, and may raise OSError."""
        ...

    def close(self) -> None:
        """Let go of what was opened."""
        ...


class Log:
    """Takes events from any thread and has them written."""

    def __init__(
        self,
        sink: Sink,
        *,
        least: Level = Level.INFO,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Start the writing thread; events below `least` are left out."""
        self.dropped = 0  # events that could not be written, all in all
        self._sink = sink
        self._least = _RANK[least]
        self._now = now
        self._waiting: deque[Moment] = deque()
        self._untold = 0  # dropped since the last line about it
        self._something = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def tell(self, event: LogEvent) -> None:
        """Log an event. Never waits, never raises."""
        if _RANK[event.level] < self._least:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._drop(1)
            return
        self._waiting.append((self._now(), event))
        if not self._something.is_set():
            self._something.set()

    def wants(self, level: Level) -> bool:
        """Whether an event of this level would be written: spares making it."""
        return _RANK[level] >= self._least

    def close(self) -> None:
        """Write what waits. A sink that does not take it is left after two seconds."""
        self._closing.set()
        self._something.set()
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._sink.close()

    def _write_all(self) -> None:
        while not self._closing.is_set() or self._waiting:
            self._something.wait()
            self._closing.wait(GATHER_SECONDS)
            self._something.clear()
            while batch := self._take():
                try:
                    self._sink.write(batch)
                except (OSError, ValueError):  # disk full, reader gone, stream closed: mail goes on
                    self._drop(len(batch))
                    if self._closing.is_set():
                        return

    def _take(self) -> list[Moment]:
        batch: list[Moment] = []
        while self._waiting and len(batch) < WRITTEN_AT_ONCE:
            batch.append(self._waiting.popleft())
        if batch and self._untold:
            batch.insert(0, (self._now(), EventsDropped(self._untold)))
            self._untold = 0
        return batch

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._untold += count


class Stream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> int:
        """Take text."""
        ...

    def flush(self) -> None:
        """Pass it on."""
        ...


class LineSink:
    """Writes one line for each event to a stream that somebody else opened."""

    def __init__(
        self, form: Callable[[datetime, LogEvent], str], stream: Stream | None = None
    ) -> None:
        self._form = form
        self._stream = stream

    def write(self, moments: Iterable[Moment]) -> None:
        """Write events."""
        stream = self._stream or sys.stderr
        stream.write("".join(self._form(at, event) + "\n" for at, event in moments))
        stream.flush()

    def close(self) -> None:
        """Nothing to let go of: the stream is not ours."""


class FileSink:
    """Writes one line for each event to a file; opens it again when it was rotated away."""

    def __init__(self, form: Callable[[datetime, LogEvent], str], path: Path) -> None:
        """Open the file for appending.

        Raises:
            OSError: If it cannot be opened.
        """
        self._form = form
        self._path = path
        self._file = self._open()

    def write(self, moments: Iterable[Moment]) -> None:
        """Write events."""
        if self._was_rotated():
            self._file.close()
            self._file = self._open()
        self._file.write("".join(self._form(at, event) + "\n" for at, event in moments))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            self._file.close()

    def _open(self) -> TextIO:
        return self._path.open("a", encoding="utf-8", errors="backslashreplace")

    def _was_rotated(self) -> bool:
        if self._file.closed:
            return True
        try:
            return not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return True


def json_line(at: datetime, event: LogEvent, worker: int = 0) -> str:
    """Return an event as one JSON object in pure ASCII; `worker` is 0 where there is only one."""
    try:
        octets = msgspec.json.encode(event)
    except UnicodeEncodeError:  # an unpaired surrogate
        octets = b""
    if octets.isascii() and _DELETE not in octets and len(octets) > len(b"{}"):
        return f"{_beginning(at, event, worker)}{octets[1:].decode()}"
    fields: dict[str, object] = {
        "at": f"{_moment(at)}Z",
        "level": event.level.value,
        "event": event.name,
        **({"worker": worker} if worker else {}),
    }
    fields.update(msgspec.to_builtins(event))
    return json.dumps(fields, ensure_ascii=True).replace("\x7f", "\\u007f")


def _beginning(at: datetime, event: LogEvent, worker: int) -> str:
    who = f'"worker":{worker},' if worker else ""
    return f'{{"at":"{_moment(at)}Z","level":"{event.level.value}","event":"{event.name}",{who}'


def _moment(at: datetime) -> str:
    """To the millisecond, in UTC, without saying so."""
    at = at.astimezone(UTC)
    if at.microsecond:  # `isoformat` takes ten times as long
        return msgspec.json.encode(at)[1:24].decode()
    return at.isoformat(timespec="milliseconds")[:-6]


def console_line(at: datetime, event: LogEvent, worker: int = 0) -> str:
    """Return an event for a person: time, event and what is known, in one line."""
    mark = "" if event.level in (Level.DEBUG, Level.INFO) else f"{event.level.value}: "
    fields = msgspec.to_builtins(event)
    words = [f"{name}={_word(value)}" for name, value in fields.items() if value not in ("", [])]
    who = f"[{worker}] " if worker else ""
    return " ".join([f"{at:%H:%M:%S}", f"{who}{mark}{event.name}", *words])


def _word(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(_word(inner) for inner in value)
    text = escaped(str(value))
    quoted = '"' in text or " " in text or text == ""
    return json.dumps(text, ensure_ascii=False) if quoted else text
