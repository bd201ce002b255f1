"""One process for one spool."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from posthouse.spool.database import flush_directory, is_no_room
from posthouse.spool.records import StorageError, Trouble


def lock_directory(directory: Path, large: Path) -> int:
    """Make the directories and take the lock that keeps other processes out.

    Returns:
        The open lock file; the lock ends when it is closed, or with the process.

    Raises:
        StorageError: `locked`, `unreadable` or `full`.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        large.mkdir(mode=0o700, exist_ok=True)
        with suppress(PermissionError):  # not ours to read: then not ours to make either
            flush_directory(directory.parent)  # its own name, whoever made it
        handle = os.open(directory / "spool.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        kind: Trouble = "full" if is_no_room(error) else "unreadable"
        raise StorageError(
            kind, f"{directory} cannot be used as spool: {error.strerror}"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise StorageError(
            "locked", f"{directory} is in use by another Posthouse. Stop that one first."
        ) from None
    return handle
