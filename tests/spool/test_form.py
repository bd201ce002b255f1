"""What keeps the spool quick and its database whole: plans, connections, memory."""

import sqlite3
import tracemalloc
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from posthouse.spool.database import open_for_reading
from posthouse.spool.records import Settled
from posthouse.spool.spool import Spool
from tests.spool.ground import NOON, accept, envelope, offer, opened

QUICK = {
    "next of a destination": "SELECT min(due) FROM recipient WHERE destination = ?"
    " AND due IS NOT NULL",
    "due destinations": "SELECT name FROM destination WHERE next_due <= ? ORDER BY next_due",
    "due messages": "SELECT number, place FROM recipient WHERE destination = ? AND due <= 1"
    " ORDER BY due, number, place LIMIT 1",
    "oldest": "SELECT number FROM recipient WHERE destination = ? AND state = 'waiting'"
    " ORDER BY number LIMIT 1",
    "held": "SELECT number FROM message WHERE hold <> '' ORDER BY number LIMIT 1",
    "side files": "SELECT file, id FROM message WHERE file <> ''",
    "journey": "SELECT at, text FROM journey WHERE number = ? ORDER BY entry",
}


@pytest.mark.parametrize("question", QUICK.values(), ids=QUICK)
def test_a_question_asked_often_uses_an_index_and_sorts_nothing(
    tmp_path: Path, spool: Spool, question: str
) -> None:
    with closing(open_for_reading(tmp_path / "spool.db")) as sql:
        plan = [
            row[3]
            for row in sql.execute(f"EXPLAIN QUERY PLAN {question}", ("1",) * question.count("?"))
        ]
    assert all("INDEX" in step for step in plan), plan


def test_a_reader_can_neither_write_nor_checkpoint(tmp_path: Path, spool: Spool) -> None:
    with closing(open_for_reading(tmp_path / "spool.db")) as sql:
        assert sql.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            sql.execute("DELETE FROM message")


def test_only_one_file_of_the_spool_opens_a_writing_connection() -> None:
    room = Path(__file__).parents[2] / "src" / "posthouse" / "spool"
    calls = [path.name for path in room.glob("*.py") if "sqlite3.connect(" in path.read_text()]
    assert calls == ["database.py"]
    callers = [path.name for path in room.glob("*.py") if "open_for_writing(" in path.read_text()]
    # `adoption`: the spool of a worker that is no more, closed before, and under its lock.
    assert sorted(callers) == ["adoption.py", "database.py", "spool.py"]


def test_the_wal_is_moved_into_the_database_while_the_spool_is_busy(
    tmp_path: Path, spool: Spool
) -> None:
    for _ in range(300):
        offer(spool, envelope("a@example.net"), b"x" * 200_000)
    spool.flush()
    spool.flush()  # the move comes between two commits
    assert (tmp_path / "spool.db").stat().st_size > 10_000_000


@pytest.mark.slow
def test_waiting_messages_cost_no_memory(tmp_path: Path) -> None:
    with opened(tmp_path, memory_octets=0) as spool:
        later = NOON + timedelta(days=1)
        _, answer = offer(spool, envelope("a@first.example", at=later))
        answer.wait()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for batch in range(4):
            for number in range(1000):
                offer(spool, envelope(f"a@{batch}-{number % 100}.example", at=later), b"")
            spool.flush()
        spool.flush()  # the group before is then forgotten
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (after - before) / 4_000 < 200
        assert spool.take_due(NOON, 1000) == []
        assert len(spool.summary(limit=10).destinations) == 10
        assert spool.summary().messages == 4_001


def test_leases_are_forgotten_with_their_messages(spool: Spool) -> None:
    for _ in range(20):
        accept(spool, envelope("a@example.net", "b@example.org"))
    while works := spool.take_due(NOON, 100):
        for work in works:
            spool.settle(work.id, dict.fromkeys(work.indices, Settled("delivered")))
        spool.flush()
    assert spool.summary().messages == 0
    assert len(vars(spool)["_leases"]) == 0
