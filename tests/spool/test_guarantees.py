"""The spool's promises, one test each; docs/spool.md lists them."""

import sqlite3
from pathlib import Path
from threading import Event

import pytest

from posthouse.spool.disk import Disk
from posthouse.spool.records import Again, Offspring, Settled, StorageError
from posthouse.spool.spool import Spool
from tests.spool.ground import (
    HOUR,
    LARGE,
    NOON,
    Answer,
    Clock,
    accept,
    envelope,
    offer,
    opened,
    take,
)


class SlowDisk(Disk):
    """Commits only when it is let."""

    def __init__(self) -> None:
        self.may_commit = Event()
        self.commits = 0
        self.flushed: list[str] = []

    def commit(self, connection: sqlite3.Connection) -> None:
        assert self.may_commit.wait(20)
        self.commits += 1
        super().commit(connection)
        self.flushed.append("commit")

    def flush_journal(self, handle: int) -> None:
        assert self.may_commit.wait(20)
        self.commits += 1
        Disk.flush(self, handle)

    def flush(self, handle: int) -> None:
        super().flush(handle)
        self.flushed.append("file")


def test_no_done_before_the_flush(tmp_path: Path) -> None:
    disk = SlowDisk()
    with opened(tmp_path, disk=disk) as spool:
        _, answer = offer(spool, envelope("bob@example.net"))
        assert not answer.came.wait(0.05)
        disk.may_commit.set()
        assert answer.wait() is None


def test_what_gathers_during_a_commit_shares_the_next_one(tmp_path: Path) -> None:
    disk = SlowDisk()
    with opened(tmp_path, disk=disk) as spool:
        answers = [offer(spool, envelope("bob@example.net"))[1] for _ in range(50)]
        disk.may_commit.set()
        assert [answer.wait() for answer in answers] == [None] * 50
        assert disk.commits <= 2


def test_a_side_file_is_flushed_before_the_commit_that_names_it(tmp_path: Path) -> None:
    disk = SlowDisk()
    disk.may_commit.set()
    with opened(tmp_path, disk=disk) as spool:
        accept(spool, envelope("bob@example.net"), LARGE)
        assert disk.flushed == ["file", "commit"]


def test_a_message_is_gone_only_when_every_recipient_is_settled(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net", "b@example.net", "c@example.org"))
    spool.settle(it, {0: Settled("delivered"), 2: Settled("failed", "550 no")})
    spool.flush()
    message = spool.message(it)
    assert message is not None
    assert [recipient.state for recipient in message.recipients] == [
        "delivered",
        "waiting",
        "failed",
    ]
    spool.settle(it, {1: Settled("delivered")})
    spool.flush()
    assert spool.message(it) is None
    with pytest.raises(StorageError, match="no message"):
        spool.content_octets(it)


def test_no_outcome_is_lost_when_the_spool_is_closed_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net", "b@example.org"))
        spool.settle(it, {0: Settled("delivered")})
    with opened(tmp_path) as spool:
        assert set(take(spool)) == {"example.org"}


def test_an_outcome_may_be_repeated(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net", "b@example.org"))
    for _ in range(3):
        spool.settle(it, {0: Settled("delivered", "250 ok")})
    spool.settle(it, {0: Settled("failed", "too late")})
    spool.settle(it, {1: Settled("delivered")})
    spool.settle(it, {1: Settled("delivered")})
    spool.flush()
    assert spool.message(it) is None
    texts = [event.text for event in spool.journey(it)]
    assert len(texts) == 3
    assert "too late" not in " ".join(texts)
    assert spool.summary().destinations == ()


def test_a_report_is_accepted_in_the_same_commit_as_the_outcome(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net"))
    report = Offspring(spool.new_id(), envelope("ann@example.com", sender="<>"), b"sorry\r\n")
    done = Answer()
    spool.settle(it, {0: Settled("failed", "550 no")}, offspring=[report], done=done)
    assert done.wait() is None
    assert spool.message(it) is None
    assert spool.content_octets(report.id) == b"sorry\r\n"
    spool.settle(it, {0: Settled("failed", "550 no")}, offspring=[report])
    spool.flush()
    assert spool.summary().messages == 1, "a repeated outcome reports once"


def test_an_outcome_that_is_repeated_while_others_wait_reports_once(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net", "b@example.org"))
    for _ in range(2):
        report = Offspring(spool.new_id(), envelope("ann@example.com", sender="<>"), LARGE)
        spool.settle(it, {0: Settled("failed", "550 no")}, offspring=[report])
        spool.flush()
    assert spool.summary().messages == 2


def test_a_large_copy_goes_to_a_side_file(spool: Spool, tmp_path: Path) -> None:
    it = accept(spool, envelope("a@example.net"))
    copy = Offspring(spool.new_id(), envelope("b@example.org"), LARGE)
    spool.settle(it, {0: Settled("expanded")}, offspring=[copy])
    spool.settle(it, {0: Settled("expanded")}, offspring=[copy])
    spool.flush()
    assert len(list((tmp_path / "large").iterdir())) == 1
    assert spool.content_octets(copy.id) == LARGE


def test_what_was_taken_is_not_given_again_until_it_is_settled(spool: Spool, clock: Clock) -> None:
    it = accept(spool, envelope("a@example.net"))
    assert len(spool.take_due(NOON, 10)) == 1
    assert spool.take_due(NOON, 10) == []
    spool.settle(it, {0: Again(NOON + HOUR, "451 later", "mx.example.net", delay_told=True)})
    spool.flush()
    assert spool.take_due(NOON, 10) == []
    assert spool.next_due(NOON) == NOON + HOUR
    (work,) = spool.take_due(NOON + HOUR, 10)
    (recipient,) = work.recipients
    assert (recipient.attempts, recipient.last_reply) == (1, "451 later")
    assert (recipient.last_host, recipient.delay_told) == ("mx.example.net", True)
    spool.give_back(work)
    assert len(spool.take_due(NOON + HOUR, 10)) == 1


def test_a_lease_ends_with_the_process(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        accept(spool, envelope("a@example.net"))
        assert len(spool.take_due(NOON, 10)) == 1
    with opened(tmp_path) as spool:
        assert len(spool.take_due(NOON, 10)) == 1


def test_one_work_for_each_domain(spool: Spool) -> None:
    accept(spool, envelope("a@example.net", "b@example.org", "c@example.net"))
    works = take(spool)
    assert {name: work[0].indices for name, work in works.items()} == {
        "example.net": (0, 2),
        "example.org": (1,),
    }


def test_a_dead_destination_never_delays_another(spool: Spool) -> None:
    for number in range(300):
        offer(spool, envelope(f"a{number}@dead.example"))
    accept(spool, envelope("b@alive.example"))
    assert "alive.example" in take(spool, limit=50), "all destinations get their turn"
    accept(spool, envelope("c@alive.example"))
    found = spool.take_due(NOON, 1, exclude={"dead.example"})
    assert [work.destination for work in found] == ["alive.example"]


def test_a_large_content_streams_to_a_file_of_its_own(spool: Spool, tmp_path: Path) -> None:
    intake, answer, it = spool.open_intake(), Answer(), spool.new_id()
    for start in range(0, len(LARGE), 1000):
        intake.write(LARGE[start : start + 1000])
    assert intake.head(100) == LARGE[:100]
    assert intake.octets == len(LARGE)
    intake.commit(envelope("a@example.net"), id=it, prepend=b"Received: x\r\n", done=answer)
    assert answer.wait() is None
    assert len(list((tmp_path / "large").iterdir())) == 1
    parts = list(spool.content(it))
    assert b"".join(parts) == b"Received: x\r\n" + LARGE
    assert max(map(len, parts)) <= 64 * 1024
    spool.settle(it, {0: Settled("delivered")})
    spool.flush()
    assert list((tmp_path / "large").iterdir()) == []


def test_an_abandoned_message_leaves_nothing(spool: Spool, tmp_path: Path) -> None:
    intake = spool.open_intake()
    intake.write(LARGE)
    intake.abandon()
    intake.abandon()
    assert list((tmp_path / "large").iterdir()) == []
    assert spool.summary().messages == 0


def test_orphaned_side_files_are_cleaned_at_start(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net"), LARGE)
    (tmp_path / "large" / "00000ORPHAN").write_bytes(b"half a message")
    with opened(tmp_path) as spool:
        assert len(list((tmp_path / "large").iterdir())) == 1
        assert spool.content_octets(it) == LARGE


def test_a_message_whose_side_file_is_gone_is_held(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net"), LARGE)
    (file,) = (tmp_path / "large").iterdir()
    file.unlink()
    with opened(tmp_path) as spool:
        message = spool.message(it)
        assert message is not None
        assert "missing" in message.hold
        with pytest.raises(StorageError, match="cannot be read"):
            spool.content_octets(it)


def test_content_comes_from_memory_and_from_disk_alike(tmp_path: Path) -> None:
    content = b"Subject: x\r\n\r\n" + bytes(range(256))
    with opened(tmp_path) as spool:
        it = accept(spool, envelope("a@example.net"), content)
        assert spool.content_octets(it) == content
    with opened(tmp_path) as spool:
        assert spool.content_octets(it) == content


def test_the_dispatcher_is_woken_on_arrival(spool: Spool) -> None:
    woken = Event()
    spool.on_arrival(woken.set)
    accept(spool, envelope("a@example.net"))
    assert woken.wait(20)
