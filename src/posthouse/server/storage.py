"""The storage directory: usable, and ours alone while the server runs."""

import ctypes
import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

from posthouse.server.troubles import StartError

FREE_OCTETS_MIN: Final = 16 * 1024 * 1024  # less is a full disk: SQLite could not even roll back


class StorageLock:
    """Keeps a second server out of the same directory until `release` or the process ends."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            holder = self._holder()
            self._file.close()
            if problem.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise StartError(
                f"another Posthouse{holder} already uses {directory}:"
                " stop it, or give this one its own [storage] directory"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def _holder(self) -> str:
        self._file.seek(0)
        text = self._file.read(20).strip()
        return f" (process {text})" if text.isdigit() else ""

    def release(self) -> None:
        """Let another server use the directory."""
        self._file.close()


def open_storage(directory: Path) -> StorageLock:
    """Make the directory usable and lock it.

    Raises:
        StartError: If it cannot be made, read or written, its disk is full, or another server
            uses it.
    """
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        _try_to_write(directory)
        lock = StorageLock(directory)
    except OSError as problem:
        raise StartError(_plainly(problem, directory)) from None
    free = shutil.disk_usage(directory).free
    if free < FREE_OCTETS_MIN:
        lock.release()
        raise StartError(
            f"the disk of {directory} is full ({free // 1024} KiB free):"
            " make room, or give [storage] another directory"
        )
    return lock


def settle(directory: Path) -> None:
    """Have the disk find blocks for what was just made there. Blocks.

    SQLite shares the index of a write-ahead log through a mapped file. Were one of its pages still
    without a block when the disk gets full, the next write to it would be our end (SIGBUS). To
    flush the file itself would be worse: closing it gives up SQLite's locks on it.
    """
    system = ctypes.CDLL(None)
    if not hasattr(system, "syncfs"):  # not Linux
        os.sync()
        return
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        system.syncfs(handle)
    finally:
        os.close(handle)


def _try_to_write(directory: Path) -> None:
    os.listdir(directory)
    probe = directory / f".probe-{os.getpid()}"
    probe.write_bytes(b"x")
    probe.unlink()


def _plainly(problem: OSError, directory: Path) -> str:
    if problem.errno in (errno.EACCES, errno.EPERM):
        return (
            f"the storage directory {directory} cannot be read and written by this user:"
            f" chown it, or give [storage] another directory"
        )
    if problem.errno == errno.EROFS:
        return f"the storage directory {directory} is on a read-only disk"
    if problem.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"the storage directory {directory} is not a directory"
    if problem.errno == errno.ENOSPC:
        return f"the disk of {directory} is full: make room, or give [storage] another directory"
    return f"the storage directory {directory} cannot be used: {problem.strerror or problem}"
