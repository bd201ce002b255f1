"""Side files: contents over 256 KiB, each in a file of its own.

The order that keeps them whole: file flushed, its name flushed, then the commit that names it; and
backwards the commit that forgets it, then its removal. So a crash leaves at most a file that
nothing names, and those are removed at the next start.
"""

import os
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

from posthouse.spool.disk import Disk
from posthouse.spool.records import StorageError

CHUNK_OCTETS: Final = 64 * 1024


class SideFiles:
    """The directory of side files, and the threads that flush them."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        self.directory = directory
        self.disk = disk
        self._flusher = ThreadPoolExecutor(2, thread_name_prefix="spool-flusher")
        self._pending: set[Future[None]] = set()
        self._lock = threading.Lock()

    def create(self, name: str) -> int:
        """Make a file and return its handle, for writing.

        Raises:
            OSError: If it cannot be made.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(self.directory / name, flags, 0o600)

    def keep(self, name: str, octets: bytes) -> None:
        """Write a whole file and make it stable.

        Raises:
            OSError: If that failed; there is then no such file.
        """
        handle = self.create(name)
        try:
            self.disk.write(handle, octets)
        except OSError:
            os.close(handle)
            self.remove(name)
            raise
        try:
            self.flush_and_close(handle)
        except OSError:
            self.remove(name)
            raise

    def flush_and_close(self, handle: int) -> None:
        """Make the octets of a file, and then its name, stable.

        Raises:
            OSError: If that failed.
        """
        try:
            self.disk.flush(handle)
        finally:
            os.close(handle)
        self.disk.flush_directory(self.directory)

    def remove(self, name: str) -> None:
        """Remove a file that nothing names any more."""
        (self.directory / name).unlink(missing_ok=True)

    def read(self, name: str) -> Iterator[bytes]:
        """Yield the octets of a file, at most 64 KiB at a time.

        Raises:
            StorageError: `missing` if it cannot be read.
        """
        path = self.directory / name
        try:
            with path.open("rb") as file:
                while part := file.read(CHUNK_OCTETS):
                    yield part
        except OSError as error:
            raise StorageError("missing", f"{path} cannot be read ({error.strerror})") from error

    def clean(self, needed: Collection[str]) -> set[str]:
        """Remove what is not needed: never promised, or delivered already.

        Returns:
            Needed files that are missing.
        """
        names = {path.name for path in self.directory.iterdir()}
        for name in names - set(needed):
            self.remove(name)
        return set(needed) - names

    def aside(self, action: Callable[[], None]) -> None:
        """Run `action`, a slow flush, where nobody waits for it."""
        try:
            future = self._flusher.submit(action)
        except RuntimeError:  # closed: the action will be told so by the spool
            action()
            return
        with self._lock:
            self._pending.add(future)
        future.add_done_callback(self._ended)

    def wait(self) -> None:
        """Return when all that was put aside until now has run."""
        with self._lock:
            pending = list(self._pending)
        wait(pending)

    def close(self) -> None:
        """Finish what was put aside; nothing can be put aside any more."""
        self._flusher.shutdown(wait=True)

    def _ended(self, future: Future[None]) -> None:
        with self._lock:
            self._pending.discard(future)
