from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest

from posthouse.accounts import usage as module
from posthouse.accounts.store import StoreError
from posthouse.accounts.usage import UsageCounters
from posthouse.mail.address import Mailbox
from posthouse.policy.facts import Usage
from posthouse.policy.rules import Budget, Limits

NOON: Final = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
LIMITS: Final = Limits(
    account_recipients=Budget(500, HOUR),
    account_new_recipients=Budget(100, timedelta(days=1)),
    address_recipients=Budget(100, HOUR),
)
HOME: Final = ip_address("192.0.2.7")
ANN: Final = "ann@example.com"


def people(*names: str) -> list[Mailbox]:
    return [Mailbox(name, "far.example") for name in names]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


@pytest.fixture
def usage(path: Path) -> Iterator[UsageCounters]:
    usage = UsageCounters(path, now=lambda: NOON)
    yield usage
    usage.close()


def test_this_transaction_counts_too(usage: UsageCounters) -> None:
    assert usage.counts(ANN, HOME, people("a", "b"), LIMITS, NOON) == Usage(2, 2, 0)
    assert usage.counts("", HOME, people("a", "b"), LIMITS, NOON) == Usage(0, 0, 2)


def test_what_was_sent_in_the_period_counts(usage: UsageCounters) -> None:
    usage.record(ANN, HOME, people("a", "b"), NOON)
    usage.record("", HOME, people("c"), NOON)
    assert usage.counts(ANN, HOME, [], LIMITS, NOON) == Usage(2, 2, 0)
    assert usage.counts("", ip_address("::ffff:192.0.2.7"), [], LIMITS, NOON) == Usage(0, 0, 1)
    later = NOON + HOUR
    assert usage.counts(ANN, HOME, [], LIMITS, later) == Usage(0, 2, 0)
    assert usage.counts("", HOME, [], LIMITS, later) == Usage()


def test_a_recipient_is_new_once(usage: UsageCounters) -> None:
    usage.record(ANN, HOME, people("a"), NOON)
    later = NOON + timedelta(minutes=5)
    assert usage.counts(ANN, HOME, people("A", "b", "b"), LIMITS, later) == Usage(4, 2, 0)
    assert usage.counts("bob@example.com", HOME, people("a"), LIMITS, later) == Usage(1, 1, 0)


def test_a_restart_keeps_the_counts(path: Path) -> None:
    usage = UsageCounters(path, now=lambda: NOON)
    usage.record(ANN, HOME, people("a", "b"), NOON)
    usage.record("", HOME, people("a"), NOON)
    usage.close()
    usage = UsageCounters(path, now=lambda: NOON)
    assert usage.counts(ANN, HOME, people("a", "c"), LIMITS, NOON) == Usage(4, 3, 0)
    assert usage.counts("", HOME, [], LIMITS, NOON) == Usage(0, 0, 1)
    usage.close()


def test_old_counts_are_forgotten(path: Path) -> None:
    usage = UsageCounters(path, now=lambda: NOON)
    usage.record(ANN, HOME, people("a"), NOON)
    usage.close()
    usage = UsageCounters(path, now=lambda: NOON + timedelta(days=500))
    assert not usage._windows
    usage._save()
    assert usage._reader.execute("SELECT count(*) FROM counts").fetchone() == (0,)
    assert usage._reader.execute("SELECT count(*) FROM known_recipients").fetchone() == (0,)
    usage.close()


def test_without_a_budget_nothing_is_looked_up(usage: UsageCounters) -> None:
    usage.record(ANN, HOME, people("a"), NOON)
    assert usage.counts(ANN, HOME, people("b"), Limits(), NOON) == Usage(1, 0, 0)


def test_memory_is_bounded(usage: UsageCounters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBJECTS_MAX", 10)
    monkeypatch.setattr(module, "KNOWN_MAX", 20)
    for number in range(100):
        usage.record("", ip_address(number), people("a"), NOON)
        usage.record(f"p{number}", HOME, people("a"), NOON)
    assert len(usage._windows) == 10
    assert len(usage._known) <= 21


def test_a_broken_file_is_told(path: Path) -> None:
    path.write_bytes(b"garbage " * 1000)
    with pytest.raises(StoreError, match="counting begins anew"):
        UsageCounters(path)
