"""One message while it is being received."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from posthouse.mail.envelope import Envelope
from posthouse.spool.database import is_no_room
from posthouse.spool.large import SideFiles
from posthouse.spool.records import Offspring, StorageError
from posthouse.spool.shelf import Arrival
from posthouse.spool.writer import Done

HEAD_OCTETS_MAX: Final = 64 * 1024
MEMORY_OCTETS_MAX: Final = 256 * 1024  # above, the content streams to a side file


class Door(Protocol):
    """The part of the spool that an intake needs."""

    files: SideFiles

    def new_id(self) -> str:
        """Return an id that is never given twice."""

    def shelve(self, arrival: Arrival, done: Done) -> None:
        """Queue a complete message for the next commit."""

    def fail(self, error: StorageError) -> None:
        """After this no mail is taken any more."""


class Intake:
    """Takes content as it arrives; ends with `commit` or `abandon`.

    `write` never raises: a sender cannot be interrupted in its content, so trouble is kept in
    `error` and told by `commit`.
    """

    def __init__(self, door: Door, name: str = "") -> None:
        self.octets = 0
        self.error: StorageError | None = None
        self._door = door
        self._name = name  # of the side file; by default a new id once it is needed
        self._memory = bytearray()  # one piece: a client may send octet by octet
        self._head = b""
        self._handle = -1

    def write(self, octets: bytes) -> None:
        """Take the next part of the content."""
        if not octets:
            return
        self.octets += len(octets)
        if self.error is not None:
            return
        if self._handle < 0:
            self._memory += octets
            if self.octets > MEMORY_OCTETS_MAX:
                self._stream()
        else:
            self._attempt(lambda: self._door.files.disk.write(self._handle, octets))

    def head(self, octets_max: int = HEAD_OCTETS_MAX) -> bytes:
        """Return the first octets of the content, at most 64 KiB."""
        wanted = min(octets_max, HEAD_OCTETS_MAX)
        return self._head[:wanted] or bytes(memoryview(self._memory)[:wanted])

    def commit(
        self,
        envelope: Envelope,
        *,
        id: str,  # noqa: A002 - the word of the contract
        done: Done,
        prepend: bytes = b"",
        hold: str = "",
        case: str = "",
    ) -> None:
        """Make it safe; `done(None)` then means that we are responsible for the message.

        Args:
            envelope: Whom from, whom for; `accepted` is when it becomes due.
            id: From `Spool.new_id`.
            done: Called once from a thread of the spool, after the flush or with the error.
            prepend: Header fields to put before the content as received.
            hold: Why the message is to be held; "" to deliver it.
            case: Case id of the decision that holds it.
        """
        if self.error is not None:
            error = self.error
            self.abandon()
            done(error)
            return
        octets = len(prepend) + self.octets
        if self._handle < 0:
            content = prepend + self._memory
            arrival = Arrival(id, envelope, content, octets, hold=hold, case=case)
            self._door.shelve(arrival, done)
            return
        arrival = Arrival(id, envelope, prepend, octets, file=self._name, hold=hold, case=case)
        handle, self._handle = self._handle, -1
        self._door.files.aside(partial(self._flush_then_shelve, handle, arrival, done))

    def abandon(self) -> None:
        """Forget it all; harmless when called again or after `commit`."""
        self._memory = bytearray()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
            self._remove()

    @property
    def _path(self) -> Path:
        return self._door.files.directory / self._name

    def _remove(self) -> None:
        """Nothing names the file; where that cannot be done now, the next start does it."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _stream(self) -> None:
        """The content became large: what is in memory moves to a file of its own."""
        octets, self._memory = bytes(self._memory), bytearray()
        self._name = self._name or self._door.new_id()
        self._head = octets[:HEAD_OCTETS_MAX]

        def begin() -> None:
            self._handle = self._door.files.create(self._name)
            self._door.files.disk.write(self._handle, octets)

        self._attempt(begin)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            self.error = self._trouble(error)
            self.abandon()

    def _trouble(self, error: OSError) -> StorageError:
        trouble = _told(error, self._path)
        if trouble.kind == "broken":
            self._door.fail(trouble)
        return trouble

    def _flush_then_shelve(self, handle: int, arrival: Arrival, done: Done) -> None:
        """File first, then its name, then the commit that names it."""
        try:
            self._door.files.flush_and_close(handle)
        except OSError as error:
            trouble = _told(error, self._path, flushing=True)
            if trouble.kind == "broken":
                self._door.fail(trouble)
            self._remove()
            done(trouble)
            return

        def tell(error: StorageError | None) -> None:
            # After a failed flush the commit may yet be found at the next start: it needs its file.
            if error is not None and error.kind != "broken":
                self._remove()
            done(error)

        self._door.shelve(arrival, tell)


def prepared(child: Offspring, files: SideFiles, new_id: Callable[[], str]) -> Arrival:
    """Give a large content a side file; without room for one it waits in memory for room."""
    octets = len(child.content)
    if octets > MEMORY_OCTETS_MAX:
        with suppress(OSError):
            name = new_id()
            files.keep(name, child.content)
            return Arrival(child.id, child.envelope, b"", octets, file=name)
    return Arrival(child.id, child.envelope, child.content, octets)


def _told(error: OSError, path: Path, *, flushing: bool = False) -> StorageError:
    if is_no_room(error):
        return StorageError(
            "full", f"{path.parent}: the disk is full. Make room; no restart needed"
        )
    if flushing or error.errno == errno.EIO:
        return StorageError(
            "broken",
            f"{path} could not be written ({error.strerror}). No more mail is taken until a"
            " restart: look at the disk first. Nothing that was accepted is lost.",
        )
    return StorageError("unreadable", f"{path} cannot be written now ({error.strerror})")
