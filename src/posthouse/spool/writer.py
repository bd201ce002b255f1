"""The one thread that writes, and the group commit that makes safe cheap.

Guarantee: `done(None)` is called for a change only after the flush of the commit that holds it.
Changes that arrive during a commit share the next one. There is no timer for them: an idle writer
commits at once, a busy one gathers groups by itself. Lazy changes (outcomes: repeating one is
allowed) wait a moment for company.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from posthouse.spool.database import storage_error
from posthouse.spool.disk import Disk
from posthouse.spool.records import StorageError

Done = Callable[[StorageError | None], None]

LAZY_SECONDS: Final = 0.03
LAZY_CHANGES_MAX: Final = 500
GROUP_CHANGES_MAX: Final = 1000
GROUP_OCTETS_MAX: Final = 4 * 1024 * 1024
REST_SECONDS: Final = 0.5  # before outcomes are tried again on a full disk
CHECKPOINT_WEIGHT: Final = 2000  # about 8 MB in the WAL


def ignore(_: StorageError | None) -> None:
    """Stand for a `done` that nobody waits for."""


class Ledger(Protocol):
    """What the writer writes into."""

    def finish(self) -> None:
        """Bring the counters in step; the last thing before a commit."""

    def committed(self) -> None:
        """It is safe now."""

    def forget(self) -> None:
        """It was rolled back."""


class Change(Struct, frozen=True):
    """One change of the spool.

    Attributes:
        apply: Makes the change inside a transaction; may be called again after a rollback.
        done: Told once, from the writer thread.
        lazy: It may wait for others, and is kept and tried again while the disk is full.
        octets: Of content that it writes.
    """

    apply: Callable[[], None]
    done: Done
    lazy: bool = False
    octets: int = 0


class Writer:
    """Owns the writing connection from `start` to `close`."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, disk: Disk, ledger: Ledger
    ) -> None:
        self.trouble: StorageError | None = None
        self._connection = connection
        self._path = path
        self._disk = disk
        self._ledger = ledger
        self._waiting: list[Change] = []
        self._eager = 0
        self._resting = False
        self._short_of_room = False
        self._closed = False
        self._since_checkpoint = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, change: Change) -> None:
        """Queue a change. Never blocks on the disk."""
        with self._changed:
            refused = self.trouble or (StorageError("broken", "closed") if self._closed else None)
            if refused is None:
                self._waiting.append(change)
                self._eager += not change.lazy
                self._changed.notify()
                return
        change.done(refused)

    def save_room(self, vacuum: Change) -> None:
        """Make the files as small as they can be; harmless when called often."""
        if not self._short_of_room:
            self._short_of_room = True
            self.submit(vacuum)

    def close(self) -> None:
        """Commit what waits, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._write_next():
            pass

    def _write_next(self) -> bool:
        group = self._next_group()  # not kept by `_run`: an idle writer holds no contents
        self._commit(group)
        self._checkpoint(sum(1 + change.octets // 4096 for change in group))
        return bool(group)

    def _next_group(self) -> list[Change]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._is_urgent():
                pause = REST_SECONDS if self._resting else LAZY_SECONDS
                self._changed.wait_for(self._is_urgent, pause)
            size = _group_size(self._waiting)
            group = self._waiting[:size]
            del self._waiting[:size]
            self._eager -= sum(not change.lazy for change in group)
            return group

    def _is_urgent(self) -> bool:
        crowded = len(self._waiting) >= LAZY_CHANGES_MAX and not self._resting
        return self._closed or self._eager > 0 or crowded

    def _commit(self, group: list[Change]) -> None:
        if not group:
            return
        if self.trouble is not None:
            _tell([change for change in group if not change.lazy], self.trouble)
            return
        try:
            self._write(group)
        except Exception as error:  # noqa: BLE001 - everybody waits for this thread: it must go on
            self._undo()
            self._failed(group, error)
        else:
            self._resting = False
            self._ledger.committed()
            _tell(group, None)

    def _write(self, group: list[Change]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for change in group:
            change.apply()
        self._ledger.finish()
        self._disk.commit(self._connection)

    def _undo(self) -> None:
        self._ledger.forget()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _failed(self, group: list[Change], error: Exception) -> None:
        """Nothing of the group was written: tell who waits, keep the outcomes."""
        if not isinstance(error, sqlite3.Error) or isinstance(error, sqlite3.IntegrityError):
            self._blame_one(group, error)
            return
        trouble = storage_error(error, self._path)
        with self._changed:
            if trouble.kind == "full":
                self._resting = True
                # Also those behind: more outcomes than a group holds would keep them waiting.
                kept = self._waiting if self._closed else [*group, *self._waiting]
                group = [*group, *self._waiting]
                self._waiting = [change for change in kept if change.lazy]
                self._eager = 0
            else:
                self.trouble = trouble
        _tell([change for change in group if not change.lazy], trouble)

    def _blame_one(self, group: list[Change], error: Exception) -> None:
        """A change cannot be made (a bug, not the disk): the others need not suffer."""
        if len(group) == 1:
            _tell(group, StorageError("refused", f"{self._path}: {error!r}"))
            return
        for change in group:
            self._commit([change])

    def _checkpoint(self, weight: int) -> None:
        """Between two groups; on a full disk at once, since the WAL can then begin anew."""
        self._since_checkpoint += weight
        short = self._resting or self._short_of_room
        if self.trouble is not None or not (short or self._since_checkpoint >= CHECKPOINT_WEIGHT):
            return
        self._since_checkpoint, self._short_of_room = 0, False
        move = self._disk.shrink if short else self._disk.checkpoint
        try:
            move(self._connection)
        except sqlite3.Error as error:
            trouble = storage_error(error, self._path)
            if trouble.kind != "full":  # the WAL still holds everything: try again later
                self.trouble = trouble


def _group_size(waiting: list[Change]) -> int:
    """How many go together: bounded, so that the WAL stays far smaller than the reserve."""
    octets = 0
    for number, change in enumerate(waiting[:GROUP_CHANGES_MAX], start=1):
        octets += change.octets
        if octets >= GROUP_OCTETS_MAX:
            return number
    return min(len(waiting), GROUP_CHANGES_MAX)


def _tell(group: list[Change], error: StorageError | None) -> None:
    for change in group:
        try:
            change.done(error)
        except RuntimeError:
            # The event loop that the caller wanted to wake has closed: nobody waits any more.
            continue
