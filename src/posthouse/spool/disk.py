"""The calls that need a disk. Tests pass one that fails or forgets."""

import os
import sqlite3
from pathlib import Path

from posthouse.spool.database import flush_directory


class Disk:
    """The real disk."""

    def write(self, handle: int, octets: bytes) -> None:
        """Append all of `octets` to a side file or a journal, volatile.

        Raises:
            OSError: If there is no room, or the disk failed.
        """
        rest = memoryview(octets)
        while rest:
            rest = rest[os.write(handle, rest) :]

    def flush(self, handle: int) -> None:
        """Return when a side file is on stable storage.

        Raises:
            OSError: If the flush failed; its pages may be lost, whatever a second try says.
        """
        os.fdatasync(handle)

    def flush_journal(self, handle: int) -> None:
        """The same for a journal: what was written to it is promised after this.

        Raises:
            OSError: As `flush`.
        """
        self.flush(handle)

    flush_directory = staticmethod(flush_directory)

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit; with `synchronous = FULL` SQLite flushes the WAL before it returns.

        Raises:
            sqlite3.Error: If it was not committed.
        """
        connection.execute("COMMIT")

    def free_octets(self, directory: Path) -> int:
        """Return how much may still be written there."""
        state = os.statvfs(directory)
        return state.f_bavail * state.f_frsize

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move what the WAL holds into the database, as far as no reader needs it.

        Raises:
            sqlite3.Error: If that failed.
        """
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def shrink(self, connection: sqlite3.Connection) -> None:
        """The same, and cut the WAL to nothing.

        Raises:
            sqlite3.Error: If that failed.
        """
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
