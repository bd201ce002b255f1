"""What the journal is for: most mail never sees the database; and what it leaves to the shelf."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from posthouse.spool import journaled, lane
from posthouse.spool.disk import Disk
from posthouse.spool.entries import Gone, Kept, encode
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.lane import MAGIC, frame, segment_name
from posthouse.spool.records import Again, Settled, StorageError
from posthouse.spool.spool import Spool
from tests.spool.ground import HOUR, NOON, Clock, accept, envelope, offer, opened, take


@pytest.fixture(autouse=True)
def kind() -> None:
    """All of this is about one kind of spool."""


def rows(directory: Path, table: str) -> int:
    with closing(sqlite3.connect(directory / "spool.db")) as sql:
        return int(sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "journal").iterdir())


class CountingDisk(Disk):
    """Counts flushes of the journal, and lets them wait."""

    def __init__(self) -> None:
        self.flushes = 0
        self.may_flush = threading.Event()

    def flush_journal(self, handle: int) -> None:
        assert self.may_flush.wait(20)
        super().flush_journal(handle)
        self.flushes += 1


def test_fifty_messages_share_one_flush_behind_the_first(tmp_path: Path) -> None:
    disk = CountingDisk()
    with opened(tmp_path, disk=disk) as spool:
        answers = [offer(spool, envelope("bob@example.net"))[1] for _ in range(50)]
        assert not any(answer.calls for answer in answers)
        disk.may_flush.set()
        assert [answer.wait() for answer in answers] == [None] * 50
        assert disk.flushes <= 2


def test_what_is_accepted_in_one_turn_of_a_loop_shares_its_flush(tmp_path: Path) -> None:
    disk = CountingDisk()
    disk.may_flush.set()
    turns: list[Callable[[], None]] = []

    def turn(call: Callable[[], None]) -> bool:
        turns.append(call)
        return True

    with opened(tmp_path, disk=disk) as spool:
        spool.use_turn(turn)
        for _ in range(3):
            answers = [offer(spool, envelope("bob@example.net"))[1] for _ in range(20)]
            (ends,) = turns
            turns.clear()
            ends()
            assert [answer.wait() for answer in answers] == [None] * 20
        assert disk.flushes < 10, "a turn that takes long is not waited for"


def test_who_waits_for_all_that_was_accepted_does_not_wait_for_the_end_of_the_turn(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as spool:
        spool.use_turn(lambda _: True)  # which never ends
        answer = offer(spool, envelope("bob@example.net"))[1]
        spool.flush()
        assert answer.wait() is None
        answer = offer(spool, envelope("bob@example.net"))[1]
    assert answer.wait() is None, "closing writes it too"


def test_the_backlog_is_what_waits_in_memory(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        assert spool.backlog().seconds == 0
        it = accept(spool, envelope("a@example.net"))
        accept(spool, envelope("b@example.net"))
        waiting = spool.backlog()
        assert waiting.arrived == 2
        assert waiting.seconds > 0
        assert waiting.memory_share > 0
        spool.settle(it, {0: Settled("delivered", "250 ok")})
        assert spool.backlog().arrived == 2, "delivered ones are counted as well"
        assert spool.backlog().memory_share < waiting.memory_share


def test_what_is_delivered_at_once_never_sees_the_database(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net", "b@example.org"))
        for works in take(spool).values():
            assert spool.content_octets(it) == b"hello\r\n"
            spool.settle(it, {works[0].indices[0]: Settled("delivered", "250 ok")})
        spool.flush()
        assert rows(tmp_path, "message") == 0
        assert spool.message(it) is None
        assert len(spool.journey(it)) == 3, "its journey is told all the same"


def test_a_message_keeps_its_lease_and_its_outcomes_on_its_way_to_the_shelf(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net", "b@example.org", "c@example.com"))
        works = take(spool)
        spool.settle(it, {0: Settled("delivered", "250 ok")})
        assert spool.summary().messages == 1, "who looks brings it to the shelf"
        assert rows(tmp_path, "message") == 1
        assert take(spool) == {}, "it is still being tried"
        spool.give_back(works["example.com"][0])
        assert set(take(spool)) == {"example.com"}
        spool.settle(it, {1: Again(NOON + HOUR, "451 later")})
        spool.flush()
        message = spool.message(it)
        assert message is not None
        assert [it.state for it in message.recipients] == ["delivered", "waiting", "waiting"]
        assert [it.attempts for it in message.recipients] == [1, 1, 0]


def test_what_gets_old_or_too_much_moves_to_the_shelf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journaled, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(lane, "LOOK_SECONDS", 0.02)
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net"))
        for _ in range(100):
            if rows(tmp_path, "message"):
                break
            threading.Event().wait(0.02)
        assert rows(tmp_path, "message") == 1
        assert spool.content_octets(it) == b"hello\r\n"
    monkeypatch.undo()
    with opened(tmp_path / "small", memory_octets=10_000) as spool:
        for _ in range(20):
            accept(spool, envelope("a@example.net"), b"x" * 4000)
        spool.flush()
        assert rows(tmp_path / "small", "message") >= 15


def test_a_closed_spool_has_an_empty_journal(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net"))
    assert segments(tmp_path) == []
    spool = Spool(tmp_path, now=Clock())
    try:
        assert spool.content_octets(it) == b"hello\r\n", "an older version finds all of it"
    finally:
        spool.close()


def test_a_spool_without_a_journal_is_taken_as_it_is(tmp_path: Path) -> None:
    older = Spool(tmp_path, now=Clock())
    it = accept(older, envelope("a@example.net"))
    older.close()
    with opened(tmp_path) as spool:
        assert spool.content_octets(it) == b"hello\r\n"
        assert set(take(spool)) == {"example.net"}


def test_segments_in_which_nothing_lives_are_removed_from_the_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "SEGMENT_OCTETS", 10_000)
    monkeypatch.setattr(lane, "TIDY_OCTETS", 10_000)
    with opened(tmp_path, memory_octets=10_000_000) as spool:
        first = accept(spool, envelope("a@first.example"), b"x" * 4000)
        for _ in range(20):
            accept(spool, envelope("a@example.net"), b"x" * 4000)
        for work in spool.take_due(NOON, 100, exclude={"first.example"}, each=100):
            spool.settle(work.id, {0: Settled("delivered")})
        spool.flush()
        assert len(segments(tmp_path)) > 5, "the first message still needs the first"
        spool.settle(first, {0: Settled("delivered")})
        spool.flush()
        spool.flush()  # the first tidies up behind itself
        assert len(segments(tmp_path)) <= 2


class NarrowDisk(Disk):
    """Has room for a part of a group, once."""

    narrow = False

    def write(self, handle: int, octets: bytes) -> None:
        if self.narrow:
            super().write(handle, octets[: len(octets) // 2])
            raise OSError(28, os.strerror(28))
        super().write(handle, octets)


def test_a_group_that_did_not_fit_leaves_no_torn_record(tmp_path: Path) -> None:
    disk = NarrowDisk()
    with opened(tmp_path / "spool", disk=disk) as spool:
        before = accept(spool, envelope("a@example.net"))
        disk.narrow = True
        error = offer(spool, envelope("b@example.net"))[1].wait()
        assert error is not None
        assert error.kind == "full"
        disk.narrow = False
        after = accept(spool, envelope("c@example.net"))
        shutil.copytree(tmp_path / "spool", tmp_path / "crashed")
    with opened(tmp_path / "crashed") as spool:
        assert [it.id for it in spool.list_messages()] == [before, after]


def test_an_unfinished_recovery_is_repeated_and_doubles_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        gone, stays = (accept(spool, envelope("a@example.net")) for _ in range(2))
        shutil.copytree(tmp_path / "spool" / "journal", tmp_path / "journal")
        spool.hold(gone, "on its way to the shelf")
        spool.release(gone)
        spool.settle(gone, {0: Settled("delivered")})
    shutil.copytree(tmp_path / "journal", tmp_path / "spool" / "journal", dirs_exist_ok=True)
    with opened(tmp_path / "spool") as spool:
        assert [it.id for it in spool.list_messages()] == [stays]


def test_ids_go_on_behind_those_in_the_journal(tmp_path: Path) -> None:
    with opened(tmp_path / "spool") as spool:
        it = accept(spool, envelope("a@example.net"))
        shutil.copytree(tmp_path / "spool", tmp_path / "crashed")
    with opened(tmp_path / "crashed") as spool:
        assert spool.new_id() > it, "though the clock stands still"


def kept(number: int) -> bytes:
    return frame(encode(Kept(f"0R41CND4MF{number}", envelope("a@example.net"), b"hello\r\n")))


def refusal(directory: Path) -> StorageError:
    with pytest.raises(StorageError) as caught:
        JournaledSpool(directory, now=Clock())
    return caught.value


@pytest.mark.parametrize(
    ("first", "kind_"),
    [
        (MAGIC + kept(1)[:-3], "corrupt"),
        (MAGIC + frame(b"no entry"), "corrupt"),
        (b"something else", "corrupt"),
        (MAGIC[:-1] + b"9" + kept(1), "newer"),
    ],
)
def test_a_journal_that_no_crash_can_leave_is_named_and_left_alone(
    tmp_path: Path, first: bytes, kind_: str
) -> None:
    with opened(tmp_path):
        pass
    paths = [tmp_path / "journal" / segment_name(number) for number in (1, 2)]
    paths[0].write_bytes(first)
    paths[1].write_bytes(MAGIC + kept(2))
    error = refusal(tmp_path)
    assert error.kind == kind_
    assert str(paths[0]) in str(error)
    assert paths[0].read_bytes() == first
    assert paths[1].exists()


def test_a_torn_end_is_what_a_crash_leaves(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    path = tmp_path / "journal" / segment_name(7)
    path.write_bytes(MAGIC + kept(1) + kept(2) + frame(encode(Gone("0R41CND4MF1"))) + kept(3)[:-1])
    with opened(tmp_path) as spool:
        assert [it.id for it in spool.list_messages()] == ["0R41CND4MF2"]
        assert [it.name for it in segments(tmp_path)] == [segment_name(8)]


class SlowFlushes(Disk):
    """Takes its time for every flush of the journal."""

    def flush_journal(self, handle: int) -> None:
        threading.Event().wait(0.01)
        super().flush_journal(handle)


def test_a_slow_disk_is_given_more_lanes_and_all_are_recovered(tmp_path: Path) -> None:
    with opened(tmp_path / "spool", disk=SlowFlushes(), memory_octets=1_000_000) as spool:
        promised = []
        for _ in range(40):
            some = [offer(spool, envelope("a@example.net")) for _ in range(3)]
            assert [answer.wait() for _, answer in some] == [None] * 3
            promised += [message_id for message_id, _ in some]
        assert (tmp_path / "spool" / "journal" / "lane-2").is_dir()
        for work in spool.take_due(NOON, 50, each=50):
            spool.settle(work.id, {0: Settled("delivered")})
            promised.remove(work.id)
        spool.flush()
        shutil.copytree(tmp_path / "spool", tmp_path / "crashed")
    with opened(tmp_path / "crashed") as spool:
        assert [it.id for it in spool.list_messages(limit=1000)] == promised


def test_a_message_that_cannot_be_written_down_is_refused_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as spool:
        odd = offer(spool, envelope("a@example.net", account="\ud800"))[1]
        fine = offer(spool, envelope("b@example.net"))[1]
        error = odd.wait()
        assert error is not None
        assert error.kind == "refused"
        assert fine.wait() is None
        accept(spool, envelope("c@example.net"))


def test_a_bug_in_the_thread_of_the_journal_stops_the_mail_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(_: JournaledSpool) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(JournaledSpool, "_group_ended", ended)
    with opened(tmp_path) as spool:
        accept(spool, envelope("a@example.net"))
        error = offer(spool, envelope("b@example.net"))[1].wait()
        assert error is not None
        assert error.kind == "broken"
        assert "a bug" in str(spool.trouble)
