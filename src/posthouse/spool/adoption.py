"""Taking over the spool of a worker that is no more: all of it moves to the spool of another.

Each message is in the new spool, flushed, before it leaves the old one. A crash between leaves it
in both; the next start sees by its journey that it came already, and only removes it.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from posthouse.spool import moved
from posthouse.spool.database import flush_directory, open_for_writing, storage_error
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.lock import lock_directory
from posthouse.spool.moved import Moved
from posthouse.spool.records import StorageError
from posthouse.spool.spool import Spool


def adopt(
    spool: Spool,
    left: Path,
    now: Callable[[], datetime],
    *,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Move everything from the spool in the directory `left`, and remove that. Blocks.

    Args:
        spool: Where to.
        left: Where from.
        now: The clock.
        goes_on: Asked now and then; when it says no, the rest stays for another time.

    Returns:
        How many messages it were.

    Raises:
        StorageError: `locked` if a worker has it; or if either cannot be read or written. What
            was not moved is still there.
    """
    JournaledSpool(left, now=now).close()  # what its journal holds is on its shelf then
    handle = lock_directory(left, left / "large")
    try:
        count, refused = _move_all(spool, left, goes_on)
        if not refused and goes_on():
            _remove(left)
    except sqlite3.Error as error:
        raise storage_error(error, left / "spool.db") from error
    except OSError as error:
        raise StorageError("unreadable", f"{left} cannot be moved ({error})") from error
    finally:
        os.close(handle)
    if refused:
        raise StorageError("refused", f"{left}: {refused} messages have ids that are taken")
    return count


def _remove(left: Path) -> None:
    """Remove an empty spool. A worker that begins meanwhile begins another, whose files stay."""
    gone = left.with_name(f"{left.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)  # of a removal that was cut off
    left.rename(gone)
    shutil.rmtree(gone)


def _move_all(spool: Spool, left: Path, goes_on: Callable[[], bool]) -> tuple[int, int]:
    with closing(open_for_writing(left / "spool.db")) as source:
        source.execute("PRAGMA wal_autocheckpoint = 1000")  # else all that moves is in it twice
        count, refused = _move_messages(spool, source, left, goes_on)
        for table in ("journey", "paused"):
            if not refused and goes_on():
                _move_rest(spool, source, table)
        return count, refused


def _move_messages(
    spool: Spool, source: sqlite3.Connection, left: Path, goes_on: Callable[[], bool]
) -> tuple[int, int]:
    count, refused, after = 0, 0, -1
    while goes_on() and (batch := moved.read_some(source, after)):
        after = batch[-1].number
        _link(spool, batch, left)
        taken = spool.take_over(batch)
        with source:
            source.execute("BEGIN IMMEDIATE")
            moved.remove(source, [it.number for it in taken])
        for it in taken:
            if it.file:
                (left / "large" / it.file).unlink(missing_ok=True)
        count += len(taken)
        refused += len(batch) - len(taken)
    return count, refused


def _link(spool: Spool, batch: Sequence[Moved], left: Path) -> None:
    """Give side files their names in the new spool before anything says that they are there."""
    files = [it.file for it in batch if it.file]
    for name in files:
        with suppress(FileExistsError, FileNotFoundError):  # linked before; missing: it is held
            os.link(left / "large" / name, spool.files.directory / name)
    if files:
        flush_directory(spool.files.directory)


def _move_rest(spool: Spool, source: sqlite3.Connection, table: str) -> None:
    key = "entry" if table == "journey" else "name"
    while rows := moved.read_rest(source, table):
        spool.take_over_rest(table, rows)
        with source:
            source.execute("BEGIN IMMEDIATE")
            source.executemany(f"DELETE FROM {table} WHERE {key} = ?", [(it[key],) for it in rows])  # noqa: S608 - constants
