"""Cases: recorded decisions under short ids. What explain, search and the help page read.

Recording never waits and never fails: a case goes into a bounded memory, from where one thread
writes it. It can be found at once. Refusals of one kind that come by the thousand are counted.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from posthouse.policy.decision import Verdict
from posthouse.telemetry import case_file
from posthouse.telemetry.case import Case, case_of, fresh_id, id_as_meant
from posthouse.telemetry.case_file import CASES, CaseReader, Search
from posthouse.telemetry.database import (
    StoreError,
    explained,
    explanation,
    open_for_writing,
    transaction,
)
from posthouse.telemetry.repeats import Repeats

__all__ = ["Case", "CaseReader", "CaseStore", "Search", "StoreError", "case_of"]

_REFUSALS: Final = (Verdict.REFUSE, Verdict.DEFER)

PENDING_MAX: Final = 20_000  # cases in memory; what comes on top is lost, and counted
GATHER_SECONDS: Final = 0.05  # what a crash may lose
PRUNE_EVERY_SECONDS: Final = 300.0
PRUNED_AT_ONCE: Final = 2_000  # short transactions, so that recording goes on


class CaseStore:
    """The one writer of cases.db, and a reader of it."""

    def __init__(
        self,
        path: Path,
        *,
        keep: timedelta = timedelta(days=90),
        octets_max: int = 2_000_000_000,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open the file, making it if it is not there, and start the writing thread.

        Raises:
            StoreError: If it cannot be opened or is not ours.
        """
        self.keep = keep
        self.octets_max = octets_max
        self.dropped = 0  # cases lost because writing could not keep up or failed
        self.problem = ""  # why writing fails at the moment
        self._path = path
        self._now = now
        self._lock = threading.Lock()  # of all below that both threads touch
        self._pending: dict[str, Case] = {}
        self._being_written: dict[str, Case] = {}
        self._counted: dict[str, tuple[int, datetime]] = {}
        self._repeats = Repeats()
        self._connection = open_for_writing(path, CASES)
        self._connection.execute("PRAGMA synchronous = NORMAL")  # whole after a crash, if shorter
        self._connection_lock = threading.Lock()
        self._reader = CaseReader(path)  # of other workers too, where this is the first
        self._something = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="cases", daemon=True)
        self._thread.start()

    def new_id(self, client: str = "", reason: str = "") -> str:
        """Return the id for the next case.

        With a client and a reason (for refusals), it is an earlier case's id once many of that
        kind have come within a minute: that case then stands for them, and `record` counts.
        """
        if client:
            with self._lock:
                earlier = self._repeats.standing_for(client, reason, self._now())
            if earlier:
                return earlier
        return fresh_id()

    def record(self, case: Case) -> None:
        """Keep a case. Never waits for the disk, never raises."""
        with self._lock:
            if case.verdict in _REFUSALS and self._repeats.is_repeat(
                case.client, case.reason, case.id, case.at
            ):
                count, _ = self._counted.get(case.id, (0, case.at))
                self._counted[case.id] = (count + 1, case.at)
            elif len(self._pending) >= PENDING_MAX:
                self.dropped += 1
            else:
                self._pending[case.id] = case
        if not self._something.is_set():
            self._something.set()

    def find(self, case_id: str) -> Case | None:
        """Return the case of an id, as a person may have typed it; None if unknown or expired.

        Raises:
            StoreError: If the file cannot be read.
        """
        wanted = id_as_meant(case_id)
        with self._lock:
            case = self._pending.get(wanted) or self._being_written.get(wanted)
            count, last = self._counted.get(wanted, (0, None))
        case = case or self._reader.find(wanted)
        if case is None or not count:
            return case
        return msgspec.structs.replace(case, repeats=case.repeats + count, last_at=last)

    def search(self, wanted: Search) -> tuple[Case, ...]:
        """Return the cases that are looked for, the newest first.

        Raises:
            StoreError: If the file cannot be read.
        """
        self.flush()
        return self._reader.search(wanted)

    def tail(self, after: int, limit: int = 200) -> tuple[tuple[int, Case], ...]:
        """Return (number, case) recorded after a number, the oldest first."""
        return self._reader.tail(after, limit)

    def newest(self) -> int:
        """Return the number of the newest written case; 0 if there is none."""
        return self._reader.newest()

    def follower(self) -> CaseReader:
        """Return a reader of its own for somebody who follows: he closes it."""
        return CaseReader(self._path)

    def flush(self) -> None:
        """Write what waits, now. For those who ask, never for those who record."""
        with self._connection_lock:
            self._write_pending()

    def prune(self, keep: timedelta | None = None) -> int:
        """Forget cases older than `keep`, then the oldest until the size is right; return how many.

        Done by the writing thread every few minutes.

        Raises:
            StoreError: If the file cannot be written.
        """
        before = self._now() - (self.keep if keep is None else keep)
        gone = self._delete_all(lambda it: case_file.delete_before(it, before, PRUNED_AT_ONCE))
        while self._octets_used() > self.octets_max:
            count = self._deleted(lambda it: case_file.delete_oldest(it, PRUNED_AT_ONCE))
            gone += count
            if not count or self._closing.is_set():
                break
        return gone

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._closing.set()
        self._something.set()
        self._thread.join()
        self.flush()
        self._reader.close()
        self._connection.close()

    def _write_all(self) -> None:
        """Run the writing thread: gather, write, and now and then forget."""
        prune_at = time.monotonic()
        while not self._closing.is_set():
            self._something.wait(timeout=max(0.0, prune_at - time.monotonic()))
            self._closing.wait(GATHER_SECONDS)
            self._something.clear()
            self.flush()
            if time.monotonic() >= prune_at:
                prune_at = time.monotonic() + PRUNE_EVERY_SECONDS
                with suppress(StoreError):  # told in `problem` when writing fails too
                    self.prune()

    def _write_pending(self) -> None:
        with self._lock:
            self._being_written, self._pending = self._pending, {}
            batch, counted = self._being_written, self._counted
            self._counted = {}
        if not batch and not counted:
            return
        try:
            with transaction(self._connection):
                case_file.insert(self._connection, batch.values())
                case_file.count_repeats(
                    self._connection, [(key, count, last) for key, (count, last) in counted.items()]
                )
            self.problem = ""
        except sqlite3.Error as problem:
            self.problem = str(explanation(self._path, CASES, problem))
            with self._lock:
                self.dropped += len(batch)
        with self._lock:
            self._being_written = {}

    def _delete_all(self, delete: Callable[[sqlite3.Connection], int]) -> int:
        gone = 0
        while count := self._deleted(delete):
            gone += count
            if self._closing.is_set():
                break  # the rest after the next start
        return gone

    def _deleted(self, delete: Callable[[sqlite3.Connection], int]) -> int:
        with self._connection_lock, explained(self._path, CASES):
            with transaction(self._connection):
                count = delete(self._connection)
            self._connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()
            return count

    def _octets_used(self) -> int:
        with self._connection_lock, explained(self._path, CASES):
            return case_file.octets_used(self._connection)
