"""cases.db: its tables, what is written to it and what is asked of it."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from posthouse.policy.networks import Network, NetworkError, fold, parse_networks
from posthouse.telemetry.case import Case, decode, encode, id_as_meant
from posthouse.telemetry.database import Kind, StoreError, explained, insert_rows, open_for_reading
from posthouse.telemetry.escaping import escaped

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_FIRST: Final = """
CREATE TABLE cases (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    client TEXT NOT NULL,
    account TEXT NOT NULL,
    reverse_path TEXT NOT NULL,
    forward_path TEXT NOT NULL,
    repeats INTEGER NOT NULL DEFAULT 0,
    last_at INTEGER,
    detail BLOB NOT NULL
);
CREATE INDEX cases_by_id ON cases (id);
CREATE INDEX cases_by_time ON cases (at);
CREATE INDEX cases_by_reason ON cases (reason);
CREATE INDEX cases_by_client ON cases (client);
CREATE INDEX cases_by_account ON cases (account) WHERE account != '';
CREATE INDEX cases_by_reverse_path ON cases (reverse_path) WHERE reverse_path != '';
CREATE INDEX cases_by_forward_path ON cases (forward_path) WHERE forward_path != '';
"""

# What `journey` looks for; a released script is never changed.
_SECOND: Final = """
ALTER TABLE cases ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE cases ADD COLUMN header_id TEXT NOT NULL DEFAULT '';
CREATE INDEX cases_by_message ON cases (message) WHERE message != '';
CREATE INDEX cases_by_header_id ON cases (header_id) WHERE header_id != '';
"""
HEADER_ID_SIGNS_MAX: Final = 250

CASES: Final = Kind(
    application_id=0x50486361,  # "PHca"
    upgrades=(_FIRST, _SECOND),
    wal=True,
    remedy="restore it from a backup, or move it away: only old explanations are lost",
)

_COLUMNS: Final = "number, repeats, last_at, detail"


class Search(Struct, frozen=True):
    """What cases are looked for; all that is given must hold.

    Attributes:
        person: An account or address of someone, on either side; ``ann`` means any domain.
        address: A reverse-path or forward-path; ``@domain`` means all of it.
        client: An address or network.
        reason: A reason's name.
        since: From this moment on.
        until: Before this moment.
        message: Id of an accepted message.
        header_id: Its Message-ID field.
        limit: No more than these, the newest.
    """

    person: str = ""
    address: str = ""
    client: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None
    message: str = ""
    header_id: str = ""
    limit: int = 100


class CaseFile:
    """Reads one file of cases while another process, or thread, writes it."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            StoreError: If it is not there or not ours; so for all methods if it cannot be read.
        """
        self._path = path
        self._lock = threading.Lock()
        self._connection = open_for_reading(path, CASES)

    def find(self, case_id: str) -> Case | None:
        """Return the case of an id."""
        sql = f"SELECT {_COLUMNS} FROM cases WHERE id = ? ORDER BY number DESC LIMIT 1"  # noqa: S608 - no input in it
        found = self._rows(sql, (id_as_meant(case_id),))
        return next((case for _, case in found), None)

    def search(self, wanted: Search) -> tuple[Case, ...]:
        """Return cases, the newest first."""
        conditions, values = _conditions(wanted)
        networks = _networks(wanted.client)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        limit = "" if networks else f"LIMIT {wanted.limit:d}"
        sql = f"SELECT {_COLUMNS} FROM cases {where} ORDER BY number DESC {limit}"  # noqa: S608 - conditions are ours, values are bound
        found: list[Case] = []
        for _, case in self._rows(sql, values):
            if not networks or _inside(case.client, networks):
                found.append(case)
            if len(found) >= wanted.limit:
                break
        return tuple(found)

    def tail(self, after: int, limit: int = 200) -> tuple[tuple[int, Case], ...]:
        """Return (number, case) recorded after a number, the oldest first."""
        sql = f"SELECT {_COLUMNS} FROM cases WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608 - no input in it
        return tuple(self._rows(sql, (after, limit)))

    def newest(self) -> int:
        """Return the number of the newest case: where a tail begins; 0 if there is none."""
        with self._lock, explained(self._path, CASES):
            (number,) = self._connection.execute("SELECT max(number) FROM cases").fetchone()
            return number or 0

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _rows(self, sql: str, values: tuple[object, ...]) -> Iterator[tuple[int, Case]]:
        with self._lock, explained(self._path, CASES):
            cursor = self._connection.execute(sql, values)
            try:
                for number, repeats, last_at, detail in cursor:
                    case = self._case(number, detail)
                    if repeats:
                        last = _EPOCH + timedelta(microseconds=last_at)
                        case = msgspec.structs.replace(case, repeats=repeats, last_at=last)
                    yield number, case
            finally:
                cursor.close()

    def _case(self, number: int, detail: bytes) -> Case:
        try:
            return decode(detail)
        except msgspec.DecodeError as problem:
            why = f"case number {number} makes no sense: {problem}"
            raise StoreError(f"{self._path} is damaged ({why}): {CASES.remedy}") from problem


class CaseReader:
    """Reads all cases of an installation: each worker writes a file of its own beside the first.

    ``cases.db`` is that of the first worker, ``cases-2.db`` that of the second.
    """

    def __init__(self, path: Path) -> None:
        """Open the files.

        Raises:
            StoreError: If the first is not there, or one is not ours; so for all methods if one
                cannot be read.
        """
        self._path = path
        self._first = CaseFile(path)
        self._others: dict[Path, CaseFile] = {}
        self._told: dict[Path, int] = {}  # up to where `tail` has come

    def find(self, case_id: str) -> Case | None:
        """Return the case of an id, as a person may have typed it."""
        return next((case for it in self._files() if (case := it.find(case_id))), None)

    def search(self, wanted: Search) -> tuple[Case, ...]:
        """Return cases, the newest first."""
        files = self._files()
        if len(files) == 1:
            return self._first.search(wanted)
        found = [case for it in files for case in it.search(wanted)]
        return tuple(sorted(found, key=lambda case: case.at, reverse=True)[: wanted.limit])

    def tail(self, after: int, limit: int = 200) -> tuple[tuple[int, Case], ...]:
        """Return (number, case) recorded after a number in the first file, the oldest first.

        Those of other files come once, since `newest`, with the last number of the first.
        """
        found = list(self._first.tail(after, limit))
        last = found[-1][0] if found else after
        self._files()
        for path, it in self._others.items():
            for number, case in it.tail(self._told.get(path, 0), limit):
                self._told[path] = number
                found.append((last, case))
        return tuple(found)

    def newest(self) -> int:
        """Return the number of the newest case: where a tail begins; 0 if there is none."""
        self._files()
        self._told = {path: it.newest() for path, it in self._others.items()}
        return self._first.newest()

    def close(self) -> None:
        """Let go of the files."""
        for it in (self._first, *self._others.values()):
            it.close()

    def _files(self) -> list[CaseFile]:
        """All of them, also those that a worker made just now."""
        present = set(self._path.parent.glob(f"{self._path.stem}-[0-9]*{self._path.suffix}"))
        for path in self._others.keys() - present:  # all in it was too old
            self._others.pop(path).close()
        for path in sorted(present - self._others.keys()):
            self._others[path] = CaseFile(path)
        return [self._first, *self._others.values()]


_WRITTEN: Final = (
    *("id", "at", "reason", "client", "account"),
    *("reverse_path", "forward_path", "message", "header_id", "detail"),
)


def insert(connection: sqlite3.Connection, cases: Iterable[Case]) -> None:
    """Write cases; the caller began a transaction."""
    insert_rows(
        connection,
        "cases",
        _WRITTEN,
        [
            (
                case.id,
                _ticks(case.at),
                case.reason.value,
                case.client,
                _key(case.account),
                _key(case.reverse_path),
                _key(case.forward_path),
                case.message_id,
                _header_key(case.header_id),
                encode(case),
            )
            for case in cases
        ],
    )


def count_repeats(
    connection: sqlite3.Connection, repeats: Iterable[tuple[str, int, datetime]]
) -> None:
    """Add (id, how many, the last one's time) to cases; the caller began a transaction."""
    connection.executemany(
        "UPDATE cases SET repeats = repeats + ?, last_at = ? WHERE id = ?",
        [(count, _ticks(last), case_id) for case_id, count, last in repeats],
    )


def delete_before(connection: sqlite3.Connection, at: datetime, count: int) -> int:
    """Delete up to `count` cases older than `at`; return how many there were."""
    gone = connection.execute(
        "DELETE FROM cases WHERE number IN (SELECT number FROM cases WHERE at < ? LIMIT ?)",
        (_ticks(at), count),
    )
    return gone.rowcount


def delete_oldest(connection: sqlite3.Connection, count: int) -> int:
    """Delete the oldest cases; return how many there were."""
    gone = connection.execute(
        "DELETE FROM cases WHERE number IN (SELECT number FROM cases ORDER BY number LIMIT ?)",
        (count,),
    )
    return gone.rowcount


def octets_used(connection: sqlite3.Connection) -> int:
    """Return the size of what is kept, free pages not counted."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def _conditions(wanted: Search) -> tuple[list[str], tuple[object, ...]]:
    parts: list[tuple[str, tuple[object, ...]]] = []
    if wanted.person:
        person = _key(wanted.person)
        if "@" in person:
            parts.append(("(account = ? OR reverse_path = ? OR forward_path = ?)", (person,) * 3))
        else:
            # "ann@" up to "annA" (the character after @): a range, so that the indexes serve it
            ends = (person + "@", person + "A")
            either = (f"({name} >= ? AND {name} < ?)" for name in _PERSONS)
            parts.append((f"({' OR '.join(either)})", ends * 3))
    if wanted.address.startswith("@"):
        domain = _key(wanted.address)
        size = -len(domain)
        paths = "(substr(reverse_path, ?) = ? OR substr(forward_path, ?) = ?)"
        parts.append((paths, (size, domain, size, domain)))
    elif wanted.address:
        address = _key(wanted.address)
        parts.append(("(reverse_path = ? OR forward_path = ?)", (address, address)))
    if wanted.client and not _networks(wanted.client):
        parts.append(("client = ?", (_key(wanted.client),)))
    if wanted.reason:
        parts.append(("reason = ?", (_key(wanted.reason),)))
    parts += _about_message(wanted)
    if wanted.since:
        parts.append(("at >= ?", (_ticks(wanted.since),)))
    if wanted.until:
        parts.append(("at < ?", (_ticks(wanted.until),)))
    return [text for text, _ in parts], tuple(value for _, values in parts for value in values)


def _about_message(wanted: Search) -> list[tuple[str, tuple[object, ...]]]:
    """Each names its partial index's condition, so that the index serves it."""
    parts: list[tuple[str, tuple[object, ...]]] = []
    if wanted.message:
        parts.append(("message != '' AND message = ?", (wanted.message,)))
    if wanted.header_id:
        parts.append(("header_id != '' AND header_id = ?", (_header_key(wanted.header_id),)))
    return parts


_PERSONS: Final = ("account", "reverse_path", "forward_path")


def _networks(client: str) -> tuple[Network, ...]:
    """Return the networks meant; empty for a single address, which the index finds."""
    if "/" not in client and "-" not in client:
        return ()
    try:
        return parse_networks(client)
    except NetworkError:
        return ()


def _inside(client: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = fold(ip_address(client))
    except ValueError:
        return False
    return any(address in network for network in networks)


def _key(text: str) -> str:
    return escaped(text).casefold()


def _header_key(text: str) -> str:
    """A Message-ID as it is compared: exactly, but without its brackets."""
    return escaped(text.strip().removeprefix("<").removesuffix(">"))[:HEADER_ID_SIGNS_MAX]


def _ticks(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
