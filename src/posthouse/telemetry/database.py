"""Opening our SQLite files: made whole or not at all, brought up to date, failures explained."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

VALUES_MAX: Final = 900  # in one statement; every SQLite takes 999
BUSY_SECONDS: Final = 2.0  # how long another process's write may keep us waiting


class StoreError(Exception):
    """A file of ours cannot be read or written; the message says which, why, and the way out."""


class Kind(Struct, frozen=True):
    """One sort of file.

    Attributes:
        application_id: Marks the file as ours (SQLite's own field of that name).
        upgrades: SQL scripts; number n brings the schema from version n to n + 1.
        wal: Write-ahead log: one process writes, many read. Else a rollback journal: any may write.
        remedy: What to do when it is broken: ``restore it from a backup``.
    """

    application_id: int
    upgrades: tuple[str, ...]
    wal: bool
    remedy: str


def insert_rows(
    connection: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
) -> None:
    """Insert many rows, few statements: between two the interpreter may change threads."""
    at_once = VALUES_MAX // len(columns)
    row = f"({', '.join('?' * len(columns))})"
    begin = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 - names of ours
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        connection.execute(
            begin + ", ".join([row] * len(some)), [it for each in some for it in each]
        )


def open_for_writing(path: Path, kind: Kind) -> sqlite3.Connection:
    """Open the file, making it if it is not there, with the newest schema.

    Transactions are begun and ended by the caller. The connection may move between threads; the
    caller keeps them apart.

    Raises:
        StoreError: If it is not a file of this kind, or cannot be opened.
    """
    with explained(path, kind):
        if not path.exists():
            _make(path, kind)
        if path.stat().st_size == 0:
            raise StoreError(f"{path} is empty, it has lost its contents: {kind.remedy}")
        connection = _connect(path.absolute().as_uri() + "?mode=rw")
        try:
            connection.execute("PRAGMA temp_store = MEMORY")  # else a file for each long statement
            _upgrade(connection, path, kind)
        except BaseException:
            connection.close()
            raise
        return connection


def open_for_reading(path: Path, kind: Kind) -> sqlite3.Connection:
    """Open a file that another process may be writing; nothing is changed.

    Raises:
        StoreError: If it is not there, not a file of this kind, or cannot be opened.
    """
    with explained(path, kind):
        uri = path.absolute().as_uri()
        connection = _connect(uri + "?mode=ro")
        try:
            _check_kind(connection, path, kind)
        except sqlite3.OperationalError:
            connection.close()
            if not kind.wal or path.with_name(path.name + "-wal").exists():
                raise
            # Nobody writes, and we may not make the shared-memory file beside it.
            connection = _connect(uri + "?mode=ro&immutable=1")
            _check_kind(connection, path, kind)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def explained(path: Path, kind: Kind) -> Iterator[None]:
    """Turn what SQLite or the system says about `path` into a `StoreError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as problem:
        raise explanation(path, kind, problem) from problem


def explanation(path: Path, kind: Kind, problem: sqlite3.Error | OSError) -> StoreError:
    """Return what went wrong with `path`, and the way out."""
    if isinstance(problem, FileNotFoundError):
        return StoreError(f"{path} is not there: {kind.remedy}")
    if isinstance(problem, OSError):
        return StoreError(f"{path} cannot be used: {problem.strerror or problem}")
    if isinstance(problem, sqlite3.OperationalError):
        return StoreError(_operational(path, kind, problem))
    if isinstance(problem, sqlite3.DatabaseError):
        return StoreError(f"{path} is not a database: {problem}, {kind.remedy}")
    return StoreError(f"{path} cannot be used: {problem}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write: all of it is kept, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # the disk may be full: the first failure is the one to tell
            connection.execute("ROLLBACK")
        raise


def _operational(path: Path, kind: Kind, problem: sqlite3.OperationalError) -> str:
    if "locked" in str(problem):
        return f"{path} is busy: another process has been writing for {BUSY_SECONDS:.0f} s"
    if "unable to open" in str(problem):
        if not path.exists():
            return f"{path} is not there: {kind.remedy}"
        return f"{path} cannot be opened: may this user read it and write its directory?"
    if "readonly" in str(problem):
        return f"{path} cannot be written: may this user write it?"
    if "full" in str(problem):
        return f"{path} cannot be written: the disk is full"
    return f"{path} cannot be used: {problem}"


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _make(path: Path, kind: Kind) -> None:
    """Make the file under another name and link it into place: nobody meets half a schema."""
    descriptor, name = tempfile.mkstemp(".new", f".{path.name}.", path.parent)  # mode 0600
    os.close(descriptor)
    draft = Path(name)
    try:
        connection = _connect(draft.absolute().as_uri() + "?mode=rw")
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute(f"PRAGMA journal_mode = {'WAL' if kind.wal else 'DELETE'}")
            connection.execute(f"PRAGMA application_id = {kind.application_id}")
            _upgrade(connection, path, kind)
        finally:
            connection.close()
        if os.geteuid() == 0:  # made by root's command line: the server's user must own it
            owner = path.parent.stat()
            os.chown(draft, owner.st_uid, owner.st_gid)
        with suppress(FileExistsError):  # another process was quicker: theirs is as good
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _check_kind(connection: sqlite3.Connection, path: Path, kind: Kind) -> int:
    """Return the schema version of a file that is ours."""
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # fails where it is damaged
    if found != kind.application_id:
        raise StoreError(f"{path} is a database of something else: {kind.remedy}")
    if version > len(kind.upgrades):
        raise StoreError(
            f"{path} was written by a newer Posthouse (schema {version}, this one knows"
            f" {len(kind.upgrades)}): install that version again, or {kind.remedy}"
        )
    return int(version)


def _upgrade(connection: sqlite3.Connection, path: Path, kind: Kind) -> None:
    version = _check_kind(connection, path, kind)
    if version == len(kind.upgrades):
        return
    with transaction(connection):
        version = _check_kind(connection, path, kind)  # another process may have been quicker
        for number, script in enumerate(kind.upgrades[version:], start=version + 1):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Sequence[str]:
    return [statement for statement in script.split(";") if statement.strip()]
