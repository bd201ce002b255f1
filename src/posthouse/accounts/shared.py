"""A small SQLite file that several processes read and write, with answers kept in memory."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar, cast

from posthouse.telemetry.database import (
    Kind,
    explained,
    explanation,
    open_for_writing,
    transaction,
)

ANSWERS_MAX: Final = 100_000  # then all are forgotten: simple, and rare
LATELY_SECONDS: Final = 0.05

_Answer = TypeVar("_Answer")


class SharedFile:
    """The file, and what was read from it since anyone last wrote.

    A rollback journal, not a write-ahead log: any process may write, and SQLite before 3.51.3 may
    lose pages when two connections check-point one log.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        """Open the file, making it if it is not there.

        Raises:
            StoreError: If it cannot be opened or is not ours.
        """
        self._path = path
        self._kind = kind
        self._lock = threading.RLock()
        self._answers: dict[Hashable, object] = {}
        self._connection = open_for_writing(path, kind)
        self._inode = path.stat().st_ino
        self._version = -1
        self._looked = 0.0

    def read_lately(
        self, question: Hashable, answer: Callable[[sqlite3.Connection], _Answer]
    ) -> _Answer:
        """Return a yes or a thing found that is a moment old, without looking at the file.

        For what is asked with every mail. A no is never taken from a moment ago.

        Raises:
            StoreError: As `read`.
        """
        with self._lock:
            if time.monotonic() - self._looked < LATELY_SECONDS:
                found = self._answers.get(question)
                if found:
                    return cast("_Answer", found)
        return self.read(question, answer)

    def read(self, question: Hashable, answer: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        """Return what `answer` finds, from memory unless anyone wrote since.

        Raises:
            StoreError: If the file cannot be read now; a later call may succeed.
        """
        with self._lock:
            try:
                self._notice_changes()
                if question in self._answers:
                    return cast("_Answer", self._answers[question])
                found = answer(self._connection)
            except (sqlite3.Error, OSError) as problem:
                self._answers.clear()
                raise explanation(self._path, self._kind, problem) from problem
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            self._answers[question] = found
            return found

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on the disk at the end, or none.

        Raises:
            StoreError: If the file cannot be written.
        """
        with self._lock, explained(self._path, self._kind):
            self._notice_changes()
            try:
                with transaction(self._connection):
                    yield self._connection
            finally:
                self._answers.clear()

    def forget(self) -> None:
        """Forget the answers: something they depend on beside the file has changed."""
        with self._lock:
            self._answers.clear()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _notice_changes(self) -> None:
        """Forget the answers if another process wrote, or put another file in this one's place."""
        self._looked = time.monotonic()
        inode = os.stat(self._path).st_ino
        if inode != self._inode:
            replacement = open_for_writing(self._path, self._kind)
            self._connection.close()
            self._connection, self._inode = replacement, inode
            self._answers.clear()
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._version = version
            self._answers.clear()
