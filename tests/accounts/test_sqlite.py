"""What is special about accounts in a file: other processes, broken files, crashes."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posthouse.accounts.schema import ACCOUNTS
from posthouse.accounts.shared import LATELY_SECONDS
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.store import AccountError, AccountExistsError, StoreError
from posthouse.mail.address import Mailbox, parse_mailbox
from tests.accounts.conformance import ANN, BOB, SALES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.db"


def test_what_another_process_writes_is_seen_by_the_next_read(path: Path) -> None:
    server, command_line = SqliteAccountStore(path), SqliteAccountStore(path)
    assert server.find("ann@example.com") is None
    assert server.grants() == ()
    command_line.add(ANN, "hash")
    command_line.add_alias(SALES, [ANN])
    password = command_line.add_submission_password("ann", "phone", "hash")
    assert server.find("ann@example.com") is not None
    assert server.resolve(SALES, plus_tags=True).accounts == ("ann@example.com",)
    assert server.is_valid(password.id)
    grant = command_line.add_grant("192.0.2.7", name="", until=None, because="", by="root")
    assert server.grants() == (grant,)
    server.close()
    command_line.close()


def test_a_password_that_another_process_revokes_is_invalid_a_moment_later(path: Path) -> None:
    server, command_line = SqliteAccountStore(path), SqliteAccountStore(path)
    command_line.add(ANN, "hash")
    password = command_line.add_submission_password("ann", "phone", "hash")
    assert server.is_valid(password.id)
    command_line.revoke("ann", "phone")
    time.sleep(LATELY_SECONDS)
    assert not server.is_valid(password.id)
    server.close()
    command_line.close()


def test_answers_come_from_memory_while_nothing_changes(path: Path) -> None:
    store = SqliteAccountStore(path)
    store.add(ANN, "hash")
    assert store.find("ann@example.com") is store.find("ann@example.com")
    assert store.grants() is store.grants()
    store.close()


def test_a_store_is_there_again_after_it_was_closed(path: Path) -> None:
    store = SqliteAccountStore(path)
    store.add(ANN, "hash")
    store.close()
    store = SqliteAccountStore(path)
    assert store.find("ann") is not None
    store.close()
    assert path.stat().st_mode & 0o077 == 0, "password hashes are nobody else's to read"


@pytest.mark.parametrize("octets", [b"this is not a database" * 100, os.urandom(4096)])
def test_a_broken_file_is_told_with_the_way_out(path: Path, octets: bytes) -> None:
    path.write_bytes(octets)
    with pytest.raises(StoreError, match=r"accounts\.db is not a database: .*, restore it from"):
        SqliteAccountStore(path)
    assert path.read_bytes() == octets, "nothing is changed"


def test_an_emptied_file_is_not_taken_for_a_new_one(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        SqliteAccountStore(path)


def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreError, match="something else"):
        SqliteAccountStore(path)


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    SqliteAccountStore(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreError, match="newer Posthouse"):
        SqliteAccountStore(path)


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        SqliteAccountStore(tmp_path / "nowhere" / "accounts.db")


def test_a_file_that_breaks_while_we_run_is_told_and_a_restored_one_is_taken(path: Path) -> None:
    store = SqliteAccountStore(path)
    store.add(ANN, "hash")
    backup = path.read_bytes()
    path.write_bytes(b"garbage " * 1000)
    with pytest.raises(StoreError, match="restore it"):
        store.find("ann")
    path.unlink()
    with pytest.raises(StoreError, match="is not there"):
        store.find("ann")
    path.write_bytes(backup)
    assert store.find("ann") is not None
    store.close()


def test_a_write_that_fails_changes_nothing(path: Path) -> None:
    store = SqliteAccountStore(path)
    store.add(ANN, "hash")
    with pytest.raises(AccountExistsError):
        store.add(ANN, "other")
    with pytest.raises(AccountError):
        store.add_alias(BOB, [BOB])
    assert [it.hash for it in store.credentials("ann")] == ["hash"]
    assert store.aliases() == ()
    store.close()


def test_last_uses_are_written_together_at_the_end(path: Path) -> None:
    store = SqliteAccountStore(path)
    store.add(ANN, "hash")
    (credential,) = store.credentials("ann")
    store.note_used(credential.id, credential.created)
    assert store.credentials("ann")[0].last_used is None
    store.close()
    store = SqliteAccountStore(path)
    assert store.credentials("ann")[0].last_used == credential.created
    store.close()


KILLED = """
import sys, time
from pathlib import Path
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.mail.address import Mailbox, parse_mailbox
store = SqliteAccountStore(Path(sys.argv[1]))
for number in range(100_000):
    store.add(parse_mailbox(f"person{number}@example.com"), "hash")
    print(number, flush=True)
"""


def test_what_was_added_before_a_kill_is_there_after_it(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 20:
                break
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines()
    last = max([20, *(int(line) for line in rest if line.isdigit())])
    store = SqliteAccountStore(path)
    for number in range(last + 1):
        assert store.find(f"person{number}@example.com") is not None
    store.close()


def test_a_quoted_name_is_kept_as_an_address(path: Path) -> None:
    store = SqliteAccountStore(path)
    odd = parse_mailbox('"ann smith"@example.com')
    store.add(odd, "hash")
    assert store.resolve(odd, plus_tags=True).accounts == ('"ann smith"@example.com',)
    assert store.find('"Ann Smith"@example.com') is not None
    store.close()


@pytest.mark.parametrize("local_part", ["\ud800", "\u0390" * 30, "a\u202eb"])
def test_an_address_that_would_not_come_back_the_same_is_not_taken(
    path: Path, local_part: str
) -> None:
    store = SqliteAccountStore(path)
    odd = Mailbox(local_part, "example.com")
    for attempt in (
        lambda: store.add(odd, "hash"),
        lambda: store.add_alias(odd, [ANN]),
        lambda: store.add_alias(SALES, [odd]),
        lambda: store.remove_alias(odd),
    ):
        with pytest.raises(AccountError, match="cannot be an address"):
            attempt()
    assert not store.resolve(odd, plus_tags=True).known
    assert store.find(f"{local_part}@example.com") is None
    assert store.find(local_part) is None
    assert store.credentials(local_part) == ()
    store.close()


def test_a_file_of_the_first_schema_is_upgraded_with_its_passwords(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(ACCOUNTS.upgrades[0])
    connection.executescript(
        f"PRAGMA application_id = {ACCOUNTS.application_id}; PRAGMA user_version = 1;"
        "INSERT INTO accounts VALUES"
        " ('ann@example.com', 'ann', 0, '2026-05-04T12:00:00.000000+00:00');"
        "INSERT INTO credentials (account, label, kind, hash, created) VALUES"
        " ('ann@example.com', '', 'account', 'hash', '2026-05-04T12:00:00.000000+00:00');"
    )
    connection.close()
    store = SqliteAccountStore(path)
    (own,) = store.credentials("ann")
    assert (own.hash, own.scram) == ("hash", "")
    key = store.salt_key()
    store.close()
    store = SqliteAccountStore(path)
    assert store.salt_key() == key, "salts never change"
    store.close()
