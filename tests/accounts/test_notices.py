"""What workers tell each other, and what is counted by it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from posthouse.accounts.last_sign_ins import LastSignIns
from posthouse.accounts.lockout import Lockout
from posthouse.accounts.notices import Board, Ended, Notice, open_board
from posthouse.accounts.sign_ins import PopSignIns
from posthouse.accounts.usage import UsageCounters
from posthouse.mail.address import parse_mailbox
from posthouse.policy.rules import Budget, Limits
from posthouse.sessions.census import Census

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOME = ip_address("192.0.2.7")
ANN = "ann@example.com"


class Said(Notice, frozen=True):
    """Something for these tests."""

    text: str


@pytest.fixture
def handle() -> Iterator[int]:
    it = open_board()
    yield it
    os.close(it)


def board(handle: int, origin: int) -> Board:
    return Board(handle, "this run", origin)


def heard_by(it: Board) -> list[tuple[int, str]]:
    heard: list[tuple[int, str]] = []
    it.hear(Said, lambda origin, said: heard.append((origin, said.text)))
    return heard


def test_all_others_hear_in_order_what_one_posts(handle: int) -> None:
    boards = [board(handle, origin) for origin in (1, 2, 3)]
    heard = [heard_by(it) for it in boards]
    boards[0].post(Said("one"))
    boards[1].post(Said("two\nlines"))
    boards[0].post(Said("three"))
    for it in boards:
        it.pull()
        it.pull()
    everything = [(1, "one"), (2, "two\nlines"), (1, "three")]
    assert heard == [[everything[1]], [everything[0], everything[2]], everything]


def test_who_begins_later_hears_what_was_posted_before(handle: int) -> None:
    board(handle, 1).post(Said("before"))
    late = board(handle, 2)
    told: list[tuple[str, bool]] = []
    late.hear(Said, lambda _, said: told.append((said.text, late.replaying)))
    late.pull()
    board(handle, 1).post(Said("now"))
    late.pull()
    assert told == [("before", True), ("now", False)]


def test_a_fault_of_who_hears_is_met_once(handle: int) -> None:
    one, two = board(handle, 1), board(handle, 2)
    heard: list[int] = []
    two.hear(Said, lambda _, said: heard.append(int(said.text)))
    for text in ("1", "two", "3"):
        one.post(Said(text))
    with pytest.raises(ValueError, match="two"):
        two.pull()
    two.pull()
    assert heard == [1, 3]


def test_more_than_is_read_at_once_is_heard_whole(handle: int) -> None:
    one, two = board(handle, 1), board(handle, 2)
    heard = heard_by(two)
    texts = [f"{number} " + "x" * 5000 for number in range(200)]
    for text in texts:
        one.post(Said(text))
    two.pull()
    assert [text for _, text in heard] == texts


def test_half_a_line_waits_for_its_end(handle: int) -> None:
    it = board(handle, 1)
    heard = heard_by(it)
    os.write(handle, b'[2,"Said",["in two')
    it.pull()
    assert heard == []
    os.write(handle, b' parts"]]\n[2,"Unknown",[]]\nnonsense\n[2,"Said",["next"]]\n')
    it.pull()
    assert heard == [(2, "in two parts"), (2, "next")]


def test_memory_of_old_notices_is_given_back_and_the_rest_is_heard(handle: int) -> None:
    one = board(handle, 1)
    for number in range(3000):
        one.post(Said(f"{number} " + "x" * 100))
    one.prune(kept_octets=64 * 1024)
    assert os.fstat(handle).st_blocks * 512 <= 128 * 1024
    late = board(handle, 2)
    heard = heard_by(late)
    late.pull()
    one.post(Said("new"))
    late.pull()
    numbers = [int(text.split()[0]) for _, text in heard[:-1]]
    assert numbers == list(range(numbers[0], 3000))
    assert len(numbers) > 400
    assert heard[-1] == (1, "new")


def test_a_pop_window_counts_at_every_worker(handle: int, tmp_path: Path) -> None:
    one = PopSignIns(tmp_path / "s.db", now=lambda: NOON, board=board(handle, 1))
    two = PopSignIns(tmp_path / "s.db", now=lambda: NOON, board=board(handle, 2), saves=False)
    assert two.sessions_from(HOME) == ()
    one.note(HOME, ANN, NOON - timedelta(minutes=1))
    assert two.sessions_from(HOME) == ((ANN, NOON - timedelta(minutes=1)),)
    two.note(HOME, ANN, NOON)
    assert one.sessions_from(HOME) == ((ANN, NOON),)
    two.close()
    one.close()
    again = PopSignIns(tmp_path / "s.db", now=lambda: NOON)
    assert again.sessions_from(HOME) == ((ANN, NOON),)
    again.close()


def test_many_commands_of_one_session_are_told_now_and_then(handle: int, tmp_path: Path) -> None:
    one = PopSignIns(tmp_path / "s.db", now=lambda: NOON, board=board(handle, 1))
    for number in range(1000):
        one.note(HOME, ANN, NOON + timedelta(milliseconds=number * 3))
    one.close()
    assert os.fstat(handle).st_size < 400


def test_failures_at_all_workers_lock_at_each(handle: int) -> None:
    budget = Budget(3, timedelta(minutes=10))
    one, two = Lockout(budget, board(handle, 1)), Lockout(budget, board(handle, 2))
    pair = (ANN, HOME)
    one.note_failure(pair, NOON)
    two.note_failure(pair, NOON)
    assert not two.is_locked(pair, NOON)
    one.note_failure(pair, NOON)
    assert one.is_locked(pair, NOON)
    assert two.is_locked(pair, NOON)
    one.note_success(pair)
    assert not two.is_locked(pair, NOON)


def test_budgets_count_what_all_workers_accepted(handle: int, tmp_path: Path) -> None:
    limits = Limits(
        account_recipients=Budget(100, timedelta(hours=1)),
        account_new_recipients=Budget(100, timedelta(hours=1)),
        address_recipients=Budget(100, timedelta(hours=1)),
    )
    to = [parse_mailbox(f"{name}@example.net") for name in ("bob", "carol")]

    def now() -> datetime:
        return NOON

    one = UsageCounters(tmp_path / "u.db", now=now, board=board(handle, 1))
    two = UsageCounters(tmp_path / "u.db", now=now, board=board(handle, 2), saves=False)
    one.record(ANN, HOME, to, NOON)
    two.record(ANN, HOME, to[:1], NOON)
    two.record("", HOME, to, NOON)
    for it in (one, two):
        usage = it.counts(ANN, HOME, [], limits, NOON)
        assert (usage.account_recipients, usage.account_new_recipients) == (3, 2)
        assert it.counts("", HOME, [], limits, NOON).address_recipients == 2
    one.close()
    three = UsageCounters(tmp_path / "u.db", now=now, board=board(handle, 3), saves=False)
    assert three.counts(ANN, HOME, [], limits, NOON).account_recipients == 3, "not counted twice"
    two.close()
    three.close()


def test_sessions_at_other_workers_count_until_they_end_or_the_worker_does(handle: int) -> None:
    supervisor = board(handle, 99)
    one, two = (Census(lambda: 0.0, board(handle, origin)) for origin in (1, 2))
    for _ in range(3):
        one.enter(HOME)
    assert two.enter(HOME).sessions_from_address == 4
    one.leave(HOME)
    load = two.load(HOME)
    assert (load.sessions, load.sessions_from_address) == (3, 3)
    supervisor.post(Ended(1))
    load = two.load(HOME)
    assert (load.sessions, load.sessions_from_address) == (1, 1)


def test_an_address_connects_as_often_as_one_worker_would_let_it(handle: int) -> None:
    one, two = (Census(lambda: 0.0, board(handle, origin)) for origin in (1, 2))
    for it in (one, two):
        it.budget = Budget(4, timedelta(minutes=1))
    often = [it.enter(HOME).connections_from_address for it in (one, two) * 3]
    assert often == [1, 2, 3, 4, 5, 5]


def test_who_signed_in_at_one_worker_comes_too_soon_at_each(handle: int) -> None:
    one, other = (LastSignIns(board(handle, origin)) for origin in (1, 2))
    delay = timedelta(minutes=5)
    assert one.may_come(ANN, NOON, delay)
    assert other.may_come("bob@example.com", NOON, delay)
    for soon in (NOON, NOON + timedelta(minutes=4)):
        assert not other.may_come(ANN, soon, delay)
        assert not one.may_come(ANN, soon, delay)
    assert other.may_come(ANN, NOON + delay, delay), "refused ones do not count"
    assert not one.may_come(ANN, NOON + delay, delay)
    assert one.may_come(ANN, NOON + delay, timedelta(0))
