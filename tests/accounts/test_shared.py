"""A file that several processes read and write."""

import sqlite3
from pathlib import Path

from posthouse.accounts.shared import SharedFile
from posthouse.telemetry.database import Kind

WORDS = Kind(
    application_id=0x50487477,
    upgrades=("CREATE TABLE words (word TEXT PRIMARY KEY)",),
    wal=False,
    remedy="remove it",
)


def holds(word: str) -> tuple[str, "Asks"]:
    return f"holds {word}", Asks(word)


class Asks:
    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, connection: sqlite3.Connection) -> bool:
        found = connection.execute("SELECT 1 FROM words WHERE word = ?", (self.word,))
        return found.fetchone() is not None


def add(file: SharedFile, word: str) -> None:
    with file.write() as connection:
        connection.execute("INSERT INTO words VALUES (?)", (word,))


def test_what_another_process_wrote_is_read_at_once(tmp_path: Path) -> None:
    ours, theirs = SharedFile(tmp_path / "words", WORDS), SharedFile(tmp_path / "words", WORDS)
    assert not ours.read(*holds("horse"))
    add(theirs, "horse")
    assert ours.read(*holds("horse"))
    ours.close()
    theirs.close()


def test_a_no_of_a_moment_ago_is_asked_again(tmp_path: Path) -> None:
    ours, theirs = SharedFile(tmp_path / "words", WORDS), SharedFile(tmp_path / "words", WORDS)
    assert not ours.read_lately(*holds("horse"))
    add(theirs, "horse")
    assert ours.read_lately(*holds("horse"))
    ours.close()
    theirs.close()


def test_what_this_process_changed_is_never_a_moment_old(tmp_path: Path) -> None:
    file = SharedFile(tmp_path / "words", WORDS)
    add(file, "horse")
    assert file.read_lately(*holds("horse"))
    with file.write() as connection:
        connection.execute("DELETE FROM words")
    assert not file.read_lately(*holds("horse"))
    file.close()
