"""One log of several processes: what each writes stays together."""

import fcntl
import os
from pathlib import Path

from posthouse.telemetry.sinks import Stream


class OneAtATime:
    """A stream that other processes write to as well; used by one thread.

    Args:
        stream: Where to.
        lock: A file that all of them lock meanwhile. A pipe would mix lines longer than 4 KiB.
    """

    def __init__(self, stream: Stream, lock: Path) -> None:
        self._stream = stream
        self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, text: str) -> int:
        """Write and pass on."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            written = self._stream.write(text)
            self._stream.flush()
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        return written

    def flush(self) -> None:
        """Nothing waits here."""
