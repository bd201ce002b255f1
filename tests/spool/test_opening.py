"""Opening a spool: what is there is used, upgraded, or left exactly as it is."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from posthouse.spool import database
from posthouse.spool.records import StorageError
from tests.spool.ground import LARGE, Clock, accept, envelope, new_spool, opened


def refused(directory: Path) -> StorageError:
    with pytest.raises(StorageError) as caught:
        new_spool(directory, now=Clock())
    return caught.value


def test_a_new_directory_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / "var" / "spool") as spool:
        assert spool.summary().messages == 0


def test_nobody_else_can_read_the_mail(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    with opened(directory) as spool:
        accept(spool, envelope("a@example.net"), LARGE)
        for path in (directory, *directory.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("octets", [b"not a database at all, but text" * 100, b"\0" * 8192])
def test_a_corrupt_file_is_named_with_the_way_out_and_never_overwritten(
    tmp_path: Path, octets: bytes
) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(octets)
    error = refused(tmp_path)
    assert error.kind == "corrupt"
    assert str(path) in str(error)
    assert "move" in str(error).lower()
    assert path.read_bytes() == octets


def test_a_damaged_page_is_found_at_start(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        for _ in range(200):
            accept(spool, envelope("a@example.net"), b"x" * 3000)
    path = tmp_path / "spool.db"
    octets = bytearray(path.read_bytes())
    for page in range(4096 * 4, len(octets), 4096):
        octets[page : page + 64] = b"\xff" * 64
    path.write_bytes(octets)
    error = refused(tmp_path)
    assert error.kind == "corrupt"
    assert ".recover" in str(error)
    assert path.read_bytes() == bytes(octets)


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    assert refused(tmp_path).kind == "corrupt"
    assert path.read_bytes() == before


def test_a_newer_format_is_left_to_the_newer_version(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "spool.db")) as sql:
        sql.execute("PRAGMA user_version = 99")
    error = refused(tmp_path)
    assert error.kind == "newer"
    assert "format 99" in str(error)


def test_an_older_format_is_upgraded_step_by_step_and_keeps_its_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net"))
    more = ("ALTER TABLE message ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'",)
    monkeypatch.setattr(database, "UPGRADES", database.UPGRADES + more)
    with opened(tmp_path) as spool:
        assert spool.content_octets(it) == b"hello\r\n"
    with closing(sqlite3.connect(tmp_path / "spool.db")) as sql:
        assert sql.execute("PRAGMA user_version").fetchone() == (len(database.UPGRADES),)
        assert sql.execute("SELECT colour FROM message").fetchall() == [("red",)]


def test_a_broken_upgrade_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net"))
    with monkeypatch.context() as patch:
        step = "DELETE FROM message; SELECT * FROM nowhere"
        patch.setattr(database, "UPGRADES", (*database.UPGRADES, step))
        refused(tmp_path)
    with opened(tmp_path) as spool:
        assert spool.message(it) is not None


def test_two_processes_cannot_have_one_spool(tmp_path: Path) -> None:
    with opened(tmp_path):
        error = refused(tmp_path)
    assert error.kind == "locked"
    with opened(tmp_path):
        pass


def test_an_impossible_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    error = refused(tmp_path / "file" / "spool")
    assert error.kind == "unreadable"
    assert str(tmp_path) in str(error)


def test_a_database_that_is_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "spool.db").mkdir()
    assert refused(tmp_path).kind == "unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert refused(tmp_path).kind == "unreadable"
    tmp_path.chmod(0o700)
