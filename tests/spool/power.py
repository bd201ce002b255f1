"""A disk that forgets, tears and fails, by a seed: what a power cut leaves can be looked at."""

import errno
import os
import random
import shutil
import sqlite3
import threading
from pathlib import Path

from posthouse.spool.disk import Disk


class PowerDisk(Disk):
    """Keeps account of what is on stable storage.

    Files of the journal and side files are written for real; `after_power_cut` copies the
    directory as a restart would find it: what was not flushed may be there, in part, garbled, or
    not at all. Commits of the database are atomic here: SQLite has its own proofs.
    """

    def __init__(self, chance: random.Random, *, failures: float = 0.0, full: float = 0.0) -> None:
        self._chance = chance
        self._failures, self._full = failures, full
        self._stable: dict[str, int] = {}  # octets of a file that survive
        self._named: set[str] = set()  # names that survive
        self._lock = threading.RLock()

    def write(self, handle: int, octets: bytes) -> None:
        with self._lock:
            if self._chance.random() < self._full:
                super().write(handle, octets[: self._chance.randrange(len(octets))])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._chance.random() < self._failures:
                super().write(handle, octets[: self._chance.randrange(len(octets))])
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().write(handle, octets)

    def flush(self, handle: int) -> None:
        with self._lock:
            if self._chance.random() < self._failures:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            path = os.readlink(f"/proc/self/fd/{handle}")
            self._stable[Path(path).name] = os.fstat(handle).st_size

    def flush_directory(self, directory: Path) -> None:
        with self._lock:
            self._named |= {path.name for path in directory.iterdir()}

    def commit(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            super().commit(connection)

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            super().checkpoint(connection)

    def after_power_cut(self, directory: Path, target: Path) -> None:
        """Copy `directory` to `target` as it would be found."""
        with self._lock:
            target.mkdir()
            for name in ("spool.db", "spool.db-wal"):
                if (directory / name).exists():
                    shutil.copy(directory / name, target / name)
            for folder in ("journal", "large"):
                (target / folder).mkdir()
                for path in directory.glob(f"{folder}/*"):
                    if path.name in self._named or self._chance.random() < 0.5:
                        left = self._left_of(path.name, path.read_bytes())
                        (target / folder / path.name).write_bytes(left)

    def _left_of(self, name: str, written: bytes) -> bytes:
        stable = self._stable.get(name, 0)
        kept = self._chance.randint(stable, len(written)) if len(written) > stable else stable
        if self._chance.random() < 0.3:  # the length is there, the octets are not
            return written[:kept] + bytes(len(written) - kept)
        return written[:kept]
