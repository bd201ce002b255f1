"""The spool's SQLite file: opening it, its format and the steps from older formats.

Assumption: exactly one connection, the writer's, writes and checkpoints. SQLite 3.7.0 to 3.51.2
can corrupt a database in WAL mode when two connections do (the "WAL-reset bug"); readers are
therefore opened read-only, and closed before the writer.
"""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from posthouse.spool.records import StorageError, Trouble

APPLICATION_ID: Final = 0x506F7374  # "Post"
CHECKED_OCTETS_MAX: Final = 32 * 1024 * 1024  # above, a check at start would take too long

_FORMAT_1: Final = """
CREATE TABLE message (
    number    INTEGER PRIMARY KEY,         -- microseconds since 2000: the id as a number
    id        TEXT    NOT NULL,
    accepted  INTEGER NOT NULL,            -- all times: microseconds since 1970
    sender    TEXT    NOT NULL,            -- "" is the null reverse-path
    account   TEXT    NOT NULL,
    octets    INTEGER NOT NULL,
    hold      TEXT    NOT NULL DEFAULT '',
    hold_case TEXT    NOT NULL DEFAULT '',
    held      INTEGER,
    bounce    TEXT    NOT NULL DEFAULT '',
    file      TEXT    NOT NULL DEFAULT '', -- side file that follows content.octets
    envelope  BLOB    NOT NULL             -- MessagePack
);
CREATE INDEX message_file ON message (file, id) WHERE file <> '';
CREATE INDEX message_held ON message (number) WHERE hold <> '';
CREATE TABLE content (number INTEGER PRIMARY KEY, octets BLOB NOT NULL);
CREATE TABLE recipient (
    number       INTEGER NOT NULL,
    place        INTEGER NOT NULL,
    destination  TEXT    NOT NULL,
    address      TEXT    NOT NULL,
    state        TEXT    NOT NULL DEFAULT 'waiting',
    attempts     INTEGER NOT NULL DEFAULT 0,
    due          INTEGER,                  -- NULL while held and when settled
    last_attempt INTEGER,
    last_reply   TEXT    NOT NULL DEFAULT '',
    last_host    TEXT    NOT NULL DEFAULT '',
    delay_told   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (number, place)
) WITHOUT ROWID;
CREATE INDEX recipient_due ON recipient (destination, due) WHERE due IS NOT NULL;
CREATE INDEX recipient_waiting ON recipient (destination, number) WHERE state = 'waiting';
CREATE TABLE destination (                 -- kept in step by the writer: summaries are quick
    name       TEXT PRIMARY KEY,
    waiting    INTEGER NOT NULL DEFAULT 0,
    held       INTEGER NOT NULL DEFAULT 0,
    next_due   INTEGER,
    last_reply TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX destination_due ON destination (next_due) WHERE next_due IS NOT NULL;
CREATE TABLE totals (messages INTEGER NOT NULL, held INTEGER NOT NULL, octets INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0, 0);
CREATE TABLE journey (
    entry  INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    text   TEXT    NOT NULL
);
CREATE INDEX journey_number ON journey (number);
"""

# What administrators decided: another way for a message, destinations that get nothing for now.
_FORMAT_2: Final = """
ALTER TABLE message ADD COLUMN via TEXT NOT NULL DEFAULT '';
CREATE TABLE paused (
    name  TEXT PRIMARY KEY,                -- a destination
    since INTEGER NOT NULL,
    why   TEXT NOT NULL
) WITHOUT ROWID;
"""

# A message's own deadline, and those that an administrator returns.
_FORMAT_3: Final = """
ALTER TABLE message ADD COLUMN deadline INTEGER; -- NULL if its sender set none
CREATE INDEX message_returned ON message (number) WHERE bounce <> '';
"""

# UPGRADES[n] leads from format n to format n + 1; 0 is an empty file. Never change a line here
# once it was released: add the next.
UPGRADES: Final[tuple[str, ...]] = (_FORMAT_1, _FORMAT_2, _FORMAT_3)

_UNUSABLE: Final = {sqlite3.SQLITE_CORRUPT: "corrupt", sqlite3.SQLITE_NOTADB: "corrupt"}
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the file, make it if it is missing, bring it to the present format.

    Raises:
        StorageError: `corrupt`, `newer`, `unreadable` or `full`. The file is then as it was.
    """
    _make_private(path)
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise storage_error(error, path) from error
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a reader: it never writes and never checkpoints."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = 1")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    """Say in our words what SQLite reported."""
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary in _UNUSABLE:
        return StorageError(
            "corrupt",
            f"{path} is damaged ({error}). Nothing was changed in it. Stop the server, copy the"
            f" file and its -wal beside it, then try `sqlite3 {path} .recover`, or move the"
            " file away to begin with an empty spool.",
        )
    if primary == sqlite3.SQLITE_FULL or _has_no_room(code, path):
        return StorageError(
            "full", f"{path.parent}: the disk is full. Make room; no restart needed"
        )
    if primary in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return StorageError("unreadable", f"{path} cannot be opened for writing ({error})")
    return StorageError(
        "broken",
        f"{path} could not be written ({error}). No more mail is taken until a restart: look at"
        " the disk first. Nothing that was accepted is lost.",
    )


def _make_private(path: Path) -> None:
    """Make the file if it is missing, for our user only; SQLite's other files follow its mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        kind: Trouble = "full" if is_no_room(error) else "unreadable"
        raise StorageError(kind, f"{path} cannot be opened ({error.strerror})") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA busy_timeout = 5000")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and owner != APPLICATION_ID:
        raise StorageError(
            "corrupt",
            f"{path} is not a spool of Posthouse. Move it away, or name another directory.",
        )
    if version > len(UPGRADES):
        raise StorageError(
            "newer",
            f"{path} has format {version}; this version knows formats up to {len(UPGRADES)}."
            " Use the newer Posthouse that wrote it.",
        )
    if tables and path.stat().st_size <= CHECKED_OCTETS_MAX:
        _check(connection, path)
    # auto_vacuum has to be chosen before the first table, journal_mode outside a transaction.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")  # else a file for each long statement
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # the writer does it between two groups
    connection.execute("PRAGMA journal_size_limit = 67108864")
    _upgrade(connection, version)
    flush_directory(path.parent)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        damaged = sqlite3.DatabaseError(finding)
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise storage_error(damaged, path)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Go from format to format, each step in one transaction: a crash between leaves no ruin."""
    for number, script in enumerate(UPGRADES[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {number}; COMMIT;"
        )


def _has_no_room(code: int, path: Path) -> bool:
    """Whether a failed write (SQLite hides its errno) failed for want of room: try one."""
    if code != sqlite3.SQLITE_IOERR_WRITE:
        return False
    files = (path, path.with_name(f"{path.name}-wal"))
    largest = max((file.stat().st_size for file in files if file.exists()), default=0)
    probe = path.with_name("room.probe")
    try:
        with probe.open("wb") as file:
            file.seek(largest)  # a hole: only a limit on the size of files minds
            file.write(bytes(65536))
    except OSError as error:
        return is_no_room(error)
    finally:
        probe.unlink(missing_ok=True)
    return False


def is_no_room(error: OSError) -> bool:
    """Whether it failed for want of room: disk full, quota or file size limit."""
    return error.errno in _NO_ROOM


def flush_directory(directory: Path) -> None:
    """Make names in `directory` stable: a file that was flushed may still lack its name."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
