"""Somebody sets the clock, by an hour or a year: nothing is lost, stuck, or tried in a storm."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from posthouse.accounts.lockout import Lockout
from posthouse.accounts.sign_ins import PopSignIns
from posthouse.accounts.windows import Window
from posthouse.delivery.lanes import Lane
from posthouse.delivery.outcomes import Deferred
from posthouse.delivery.retry import Patience
from posthouse.delivery.tally import tally
from posthouse.policy.rules import Budget
from posthouse.server.clock import ClockGuard, SteadyClock
from posthouse.spool import jumps
from posthouse.spool.disk import Disk
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.jumps import Follower
from posthouse.spool.records import Again, Settled, StorageError, Work
from posthouse.telemetry.events import LogEvent, Noted
from tests.delivery import given
from tests.spool.ground import HOUR, NOON, accept, envelope

YEAR = timedelta(days=365)
MINUTE = timedelta(minutes=1)
JUMPS = [HOUR, YEAR, -HOUR, -YEAR]
SILENT = Deferred("4.4.1", "no answer", unreachable=True)
jumping = pytest.mark.parametrize("by", JUMPS, ids=["+hour", "+year", "-hour", "-year"])


class Times:
    """The system's clock, which may be set, and the time that passes whatever it shows."""

    def __init__(self) -> None:
        self.wall = NOON
        self.passed = 0.0
        self.clock = SteadyClock(lambda: self.wall, lambda: self.passed)

    def pass_by(self, time: timedelta) -> None:
        self.wall += time
        self.passed += time.total_seconds()

    def set(self, by: timedelta) -> None:
        self.wall += by


@pytest.fixture
def times() -> Times:
    return Times()


@contextmanager
def opened(directory: Path, times: Times, disk: Disk | None = None) -> Iterator[JournaledSpool]:
    spool = JournaledSpool(directory, now=times.clock, disk=disk, reserve_octets=0)
    try:
        yield spool
    finally:
        spool.close()


def bring(spool: JournaledSpool, times: Times, to: str) -> str:
    return accept(spool, envelope(to, at=times.clock()))


def defer(spool: JournaledSpool, times: Times) -> None:
    for work in spool.take_due(times.clock(), 100):
        spool.settle(work.id, {0: Again(times.clock() + 15 * MINUTE, "451 later")})
    spool.flush()


def due(spool: JournaledSpool, times: Times) -> list[Work]:
    works = spool.take_due(times.clock(), 100)
    for work in works:
        spool.give_back(work)
    return sorted(works, key=lambda work: work.id)


@jumping
def test_what_waits_keeps_its_distance_to_now(tmp_path: Path, times: Times, by: timedelta) -> None:
    told: list[LogEvent] = []
    with opened(tmp_path, times) as spool:
        later = bring(spool, times, "a@later.example")
        times.pass_by(MINUTE)
        defer(spool, times)
        fresh = bring(spool, times, "b@fresh.example")
        times.set(by)
        assert abs(times.clock() - NOON - MINUTE) < MINUTE, "nobody sees the jump before the spool"
        ClockGuard(times.clock, spool, told.append).look()
        assert times.clock() == times.wall == NOON + MINUTE + by
        assert [it.id for it in due(spool, times)] == [fresh], "none too early"
        times.pass_by(15 * MINUTE)
        works = due(spool, times)
        assert [it.id for it in works] == [later, fresh], "none too late"
        assert works[0].envelope.accepted == NOON + by, "and none has grown old"
        new = bring(spool, times, "c@new.example")
        assert new > fresh
        assert [it.id for it in due(spool, times)] == [later, fresh, new]
    (event,) = told
    assert isinstance(event, Noted)
    assert ("forward" if by > timedelta(0) else "back") in event.text


@jumping
def test_mail_that_comes_while_the_spool_follows_is_as_old_as_it_is(
    tmp_path: Path, times: Times, by: timedelta
) -> None:
    with opened(tmp_path, times) as spool:
        before = bring(spool, times, "a@here.example")
        meanwhile = []

        def switch() -> None:
            times.pass_by(timedelta(seconds=1))
            meanwhile.append(bring(spool, times, "b@here.example"))
            times.clock.follow()
            meanwhile.append(bring(spool, times, "c@here.example"))

        times.set(by)
        assert Follower(spool, times.clock, switch).look(by) == by
        works = {it.id: it for it in due(spool, times)}
        assert list(works) == [before, *meanwhile]
        ages = [times.clock() - work.envelope.accepted for work in works.values()]
        assert max(ages) <= timedelta(seconds=2)
        assert min(ages) >= timedelta(0)


class FillingDisk(Disk):
    """Has room for so many commits, once it is asked to count."""

    room = -1

    def commit(self, connection: sqlite3.Connection) -> None:
        if self.room == 0:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        self.room -= 1
        super().commit(connection)


@jumping
def test_a_disk_that_is_full_meanwhile_moves_nothing_twice(
    tmp_path: Path, times: Times, by: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jumps, "SLICE", 2)
    disk = FillingDisk()
    with opened(tmp_path, times, disk) as spool:
        for number in range(7):
            bring(spool, times, f"a{number}@later.example")
        times.pass_by(MINUTE)
        defer(spool, times)
        guard = ClockGuard(times.clock, spool, lambda _: None)
        times.set(by)
        disk.room = 2
        for _ in range(2):
            with pytest.raises(StorageError, match="full"):
                guard.look()
        assert times.clock() != times.wall, "nobody sees the new time yet"
        disk.room = -1
        guard.look()
        assert times.clock() == times.wall
        assert due(spool, times) == []
        assert {it.recipients[0].due for it in spool.list_messages()} == {NOON + by + 16 * MINUTE}


@jumping
def test_back_off_and_expiry_count_time_that_passed(
    tmp_path: Path, times: Times, by: timedelta
) -> None:
    with opened(tmp_path, times) as spool:
        bring(spool, times, "a@later.example")
        times.pass_by(MINUTE)
        defer(spool, times)
        times.set(by)
        ClockGuard(times.clock, spool, lambda _: None).look()
        times.pass_by(16 * MINUTE)
        (work,) = due(spool, times)
        ended = tally(work, {0: SILENT}, times.clock(), Patience(), spread=0.0)
        assert ended.failures == (), "it is not given back as too old"
        again = ended.results[0]
        assert isinstance(again, Again)
        assert again.due == times.clock() + 30 * MINUTE


def test_a_release_stays_where_its_sender_wanted_it(tmp_path: Path, times: Times) -> None:
    release = NOON + 5 * HOUR
    with opened(tmp_path, times) as spool:
        it = envelope("a@here.example", at=NOON)
        kept = accept(spool, type(it)(it.reverse_path, it.recipients, NOON, release=release))
        times.set(HOUR)
        ClockGuard(times.clock, spool, lambda _: None).look()
        message = spool.message(kept)
        assert message is not None
        assert message.recipients[0].due == release


def test_an_attempt_under_way_when_the_clock_goes_back_is_repeated_soon(times: Times) -> None:
    it = envelope("a@here.example", at=NOON + YEAR)
    work = given.work(given.recipient("a@here.example"))
    ahead = Work(work.id, work.destination, it, work.octets, work.recipients)
    again = tally(ahead, {0: SILENT}, NOON, Patience(), spread=0.0).results[0]
    assert isinstance(again, Again)
    assert again.due == NOON + 15 * MINUTE


def test_a_clock_that_is_adjusted_little_by_little_does_not_jump(times: Times) -> None:
    for _ in range(100):
        times.pass_by(timedelta(seconds=2))
        times.set(timedelta(seconds=1))
        assert times.clock() == times.wall
        assert times.clock.jump() == timedelta(0)


@pytest.mark.parametrize("by", [HOUR, YEAR])
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_nothing_waits_for_a_clock_that_went_back_while_the_server_was_down(
    tmp_path: Path, times: Times, by: timedelta, how: str
) -> None:
    with opened(tmp_path / "spool", times) as spool:
        later = bring(spool, times, "a@later.example")
        defer(spool, times)
        fresh = bring(spool, times, "b@fresh.example")
        shutil.copytree(tmp_path / "spool", tmp_path / "killed")
    times = Times()
    times.wall = NOON - by
    times.clock.follow()
    place = tmp_path / ("spool" if how == "stopped" else "killed")
    with opened(place, times) as spool:
        assert [it.id for it in due(spool, times)] == [fresh]
        times.pass_by(15 * MINUTE)
        assert [it.id for it in due(spool, times)] == [later, fresh]
        assert bring(spool, times, "c@new.example") > fresh


def test_no_id_is_given_again_after_a_kill_when_the_clock_is_behind(
    tmp_path: Path, times: Times
) -> None:
    with opened(tmp_path / "spool", times) as spool:
        ids = [bring(spool, times, "a@here.example") for _ in range(5)]
        for work in spool.take_due(times.clock(), 100):
            spool.settle(work.id, {0: Settled("delivered")})
        lanes = vars(spool)["_journal"].lanes
        lanes.flush()  # the journal has it; no journey is written yet
        shutil.copytree(tmp_path / "spool", tmp_path / "killed")
    with opened(tmp_path / "killed", times) as spool:
        assert spool.new_id() > max(ids)


def test_a_next_hop_is_not_closed_for_the_year_that_the_clock_went_back() -> None:
    lane = Lane(5, 10)
    lane.note([SILENT], NOON + YEAR)
    assert lane.closed(NOON + YEAR) is not None
    assert lane.closed(NOON) is None


def test_nobody_is_locked_out_for_the_year_that_the_clock_went_back() -> None:
    lockout = Lockout(Budget(1, HOUR))
    pair = ("ann", ip_address("192.0.2.1"))
    lockout.note_failure(pair, NOON + YEAR)
    assert lockout.is_locked(pair, NOON + YEAR)
    assert not lockout.is_locked(pair, NOON)
    lockout.note_failure(pair, NOON)
    assert lockout.is_locked(pair, NOON)


def test_a_budget_counts_what_comes_after_the_clock_went_back() -> None:
    window = Window()
    now = NOON.timestamp()
    window.add(now + YEAR.total_seconds(), 10)
    assert window.total(now - 3600, now) == 0
    window.add(now, 3)
    assert window.total(now - 3600, now) == 3


def test_who_fetches_mail_again_after_the_clock_went_back_has_a_window_again(
    tmp_path: Path,
) -> None:
    at: list[datetime] = [NOON + YEAR]
    sign_ins = PopSignIns(tmp_path / "sign-ins.db", now=lambda: at[0])
    try:
        sign_ins.note(ip_address("192.0.2.1"), "ann", at[0])
        at[0] = NOON
        sign_ins.note(ip_address("192.0.2.1"), "ann", at[0])
        assert sign_ins.sessions_from(ip_address("192.0.2.1")) == (("ann", NOON),)
    finally:
        sign_ins.close()
