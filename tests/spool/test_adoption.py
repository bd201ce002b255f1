"""Taking over the spool of a worker that is no more."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from posthouse.spool import moved
from posthouse.spool.adoption import adopt
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.records import Again, Settled, StorageError
from tests.spool.ground import HOUR, LARGE, NOON, Clock, accept, envelope, take


@pytest.fixture(autouse=True)
def kind() -> None:
    """All of this is about one kind of spool."""


def spool_at(directory: Path, place: int) -> JournaledSpool:
    return JournaledSpool(directory, now=Clock(), reserve_octets=1_000_000, place=place)


def test_two_workers_never_give_the_same_id(tmp_path: Path) -> None:
    with closing(spool_at(tmp_path / "a", 0)) as one, closing(spool_at(tmp_path / "b", 1)) as two:
        ids = [spool.new_id() for _ in range(500) for spool in (one, two)]
    assert len(set(ids)) == 1000
    assert {(number % 2, it[-1]) for number, it in enumerate(ids)} == {(0, "0"), (1, "1")}
    assert ids[::2] == sorted(ids[::2])


def test_what_waits_is_held_or_was_tried_moves_as_it_is(tmp_path: Path) -> None:
    left = tmp_path / "spool-2"
    with closing(spool_at(left, 1)) as spool:
        tried = accept(spool, envelope("bob@example.net", "eve@example.org"))
        take(spool)
        spool.settle(tried, {0: Again(NOON + HOUR, "try later"), 1: Settled("delivered", "ok")})
        held = accept(spool, envelope("carol@example.net"), hold="a person should look")
        large = accept(spool, envelope("dan@example.net"), LARGE)
        gone = accept(spool, envelope("fay@example.net"))
        spool.drop(gone, "for the test")
        spool.pause("example.org", "for the test")
        spool.flush()
        before = [spool.message(it) for it in (tried, held, large)]
        shutil.copytree(left, tmp_path / "killed", ignore=shutil.ignore_patterns("spool.lock"))
    shutil.rmtree(left)
    (tmp_path / "killed").rename(left)  # as after a kill: not everything is on the shelf
    with closing(spool_at(tmp_path / "spool", 0)) as spool:
        own = accept(spool, envelope("bob@example.net"))
        assert adopt(spool, left, Clock()) == 3
        assert not left.exists()
        assert [spool.message(it) for it in (tried, held, large)] == before
        assert spool.content_octets(large) == LARGE
        assert [it.text for it in spool.journey(gone)][-1].endswith("dropped (for the test)")
        assert [it.destination for it in spool.paused()] == ["example.org"]
        summary = spool.summary()
        assert (summary.messages, summary.held) == (4, 1)
        assert {it.id for it in take(spool)["example.net"]} == {own, large}
    with closing(spool_at(tmp_path / "spool", 0)) as spool:
        assert spool.content_octets(large) == LARGE


def test_a_take_over_that_was_cut_off_goes_on_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "spool-2"
    with closing(spool_at(left, 1)) as spool:
        ids = [accept(spool, envelope("bob@example.net")) for _ in range(3)]

    def cut_off(_: sqlite3.Connection, __: list[int]) -> None:
        raise sqlite3.OperationalError("as if killed")

    with closing(spool_at(tmp_path / "spool", 0)) as spool:
        with monkeypatch.context() as patched:
            patched.setattr(moved, "remove", cut_off)
            with pytest.raises(StorageError):
                adopt(spool, left, Clock())
        assert left.exists()
        for message_id in ids[:2]:
            take(spool)
            spool.settle(message_id, {0: Settled("delivered", "ok")})
        spool.flush()
        adopt(spool, left, Clock())
        assert [spool.message(it) is None for it in ids] == [True, True, False]
        assert spool.summary().messages == 1
        assert not left.exists()


def test_a_worker_that_begins_while_its_old_spool_is_removed_keeps_its_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, begun, remove_all = tmp_path / "spool-2", list[JournaledSpool](), shutil.rmtree
    spool_at(left, 1).close()

    def remove(path: Path, *, ignore_errors: bool = False) -> None:
        if path.exists():
            (path / "spool.lock").unlink()  # whichever file is the first
            begun.append(spool_at(left, 1))
        remove_all(path, ignore_errors=ignore_errors)

    with closing(spool_at(tmp_path / "spool", 0)) as spool:
        monkeypatch.setattr(shutil, "rmtree", remove)
        adopt(spool, left, Clock())
    with closing(begun[0]) as spool:
        kept = accept(spool, envelope("bob@example.net"))
    with closing(spool_at(left, 1)) as spool:
        assert spool.message(kept) is not None


def test_a_spool_that_a_worker_has_is_left_to_it(tmp_path: Path) -> None:
    with (
        closing(spool_at(tmp_path / "spool", 0)) as spool,
        closing(spool_at(tmp_path / "spool-2", 1)) as other,
    ):
        accept(other, envelope("bob@example.net"))
        with pytest.raises(StorageError) as refused:
            adopt(spool, tmp_path / "spool-2", Clock())
        assert refused.value.kind == "locked"
        assert other.summary().messages == 1
