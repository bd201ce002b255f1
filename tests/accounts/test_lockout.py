from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from posthouse.accounts import lockout
from posthouse.accounts.lockout import Lockout
from posthouse.policy.rules import Budget

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
THREE = Budget(3, timedelta(minutes=10))
ANN = ("ann@example.com", ip_address("192.0.2.7"))


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def test_the_budget_locks_and_time_unlocks() -> None:
    lock = Lockout(THREE)
    for minute in range(3):
        assert not lock.is_locked(ANN, minutes(minute))
        assert lock.minutes_left(ANN, minutes(minute)) == 0
        lock.note_failure(ANN, minutes(minute))
    assert lock.is_locked(ANN, minutes(2))
    assert lock.minutes_left(ANN, minutes(2)) == 8
    assert lock.is_locked(ANN, minutes(9.9))
    assert not lock.is_locked(ANN, minutes(10))


def test_only_this_account_from_this_address_is_locked() -> None:
    lock = Lockout(THREE)
    for _ in range(3):
        lock.note_failure(ANN, NOON)
    assert not lock.is_locked(("bob@example.com", ANN[1]), NOON)
    assert not lock.is_locked((ANN[0], ip_address("192.0.2.8")), NOON)


def test_success_clears_the_count() -> None:
    lock = Lockout(THREE)
    lock.note_failure(ANN, NOON)
    lock.note_failure(ANN, NOON)
    lock.note_success(ANN)
    lock.note_failure(ANN, NOON)
    assert not lock.is_locked(ANN, NOON)


def test_memory_is_bounded() -> None:
    lock = Lockout(THREE)
    for number in range(lockout.PAIRS_MAX + 10):
        lock.note_failure((str(number), ANN[1]), NOON)
    assert len(lock._failures) == lockout.PAIRS_MAX


def test_a_changed_budget_counts_what_was_counted() -> None:
    lock = Lockout(THREE)
    for _ in range(3):
        lock.note_failure(ANN, NOON)
    lock.budget = Budget(5, timedelta(minutes=10))
    assert not lock.is_locked(ANN, NOON)
    lock.note_failure(ANN, NOON)
    lock.note_failure(ANN, NOON)
    assert lock.is_locked(ANN, NOON)
