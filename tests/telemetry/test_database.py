import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from posthouse.telemetry import database
from posthouse.telemetry.database import (
    Kind,
    StoreError,
    explained,
    open_for_reading,
    open_for_writing,
    transaction,
)

FIRST = Kind(
    77, ("CREATE TABLE things (name TEXT); INSERT INTO things VALUES ('old')",), False, "x"
)
SECOND = Kind(77, (*FIRST.upgrades, "ALTER TABLE things ADD COLUMN colour TEXT"), False, "x")
BROKEN = Kind(77, (*FIRST.upgrades, "CREATE TABLE more (x); NONSENSE"), False, "x")


def things(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    rows = connection.execute("SELECT * FROM things").fetchall()
    connection.close()
    return rows


def test_an_older_file_is_brought_up_to_date_with_its_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert things(open_for_writing(path, FIRST)) == [("old",)]
    assert things(open_for_writing(path, SECOND)) == [("old", None)]
    assert things(open_for_reading(path, SECOND)) == [("old", None)]


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_for_writing(path, FIRST).close()
    with pytest.raises(StoreError):
        open_for_writing(path, BROKEN)
    assert things(open_for_writing(path, SECOND)) == [("old", None)]


def test_a_file_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_for_writing(tmp_path / "a.db", BROKEN)
    assert list(tmp_path.iterdir()) == []


def test_many_may_make_the_file_at_once(tmp_path: Path) -> None:
    def make(_: int) -> list[tuple[object, ...]]:
        return things(open_for_writing(tmp_path / "a.db", FIRST))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(make, range(8))) == [[("old",)]] * 8


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_for_writing(path, FIRST).close()
    reader = open_for_reading(path, FIRST)
    with pytest.raises(StoreError, match="may this user write it"), explained(path, FIRST):
        reader.execute("DELETE FROM things")
    reader.close()


def test_a_file_that_others_write_for_long_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.02)
    path = tmp_path / "a.db"
    one, other = open_for_writing(path, FIRST), open_for_writing(path, FIRST)
    one.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="busy"), explained(path, FIRST), transaction(other):
        pass
    one.close()
    other.close()


def test_failures_of_the_system_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    for problem, words in (
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (sqlite3.OperationalError("unable to open database file"), "is not there"),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), "closed"),
    ):
        with pytest.raises(StoreError, match=words), explained(path, FIRST):
            raise problem
