import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest

from posthouse.accounts import verifier as module
from posthouse.accounts.passwords import generate_password, hash_generated, hash_password
from posthouse.accounts.shared import LATELY_SECONDS
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.store import Credential, StoreError
from posthouse.accounts.verifier import (
    Answer,
    Failed,
    Locked,
    Purpose,
    Unreadable,
    Verified,
    Verifier,
)
from posthouse.mail.address import parse_mailbox
from posthouse.policy.facts import Account
from posthouse.policy.rules import Budget
from tests.accounts.memory import MemoryAccountStore

ADDRESS: Final = ip_address("192.0.2.7")
PASSWORD: Final = "correct horse"
HASH: Final = hash_password(PASSWORD)


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, minutes: float) -> None:
        self.time += timedelta(minutes=minutes)


class BrokenStore(MemoryAccountStore):
    def find(self, name: str) -> Account | None:
        raise StoreError("accounts.db is not a database")


class CountingVerifier(Verifier):
    checks = 0

    def _check(
        self, credentials: tuple[Credential, ...], prepared: str, typed: str
    ) -> Credential | None:
        self.checks += 1
        return super()._check(credentials, prepared, typed)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryAccountStore:
    store = MemoryAccountStore(clock)
    store.add(parse_mailbox("ann@example.com"), HASH)
    return store


@pytest.fixture
def verifier(store: MemoryAccountStore, clock: Clock) -> Iterator[CountingVerifier]:
    verifier = CountingVerifier(
        store, failures=Budget(3, timedelta(minutes=10)), now=clock, pause=timedelta(0)
    )
    yield verifier
    verifier.close()


async def ask(
    verifier: Verifier,
    password: str,
    name: str = "ann@example.com",
    purpose: Purpose = Purpose.SEND,
    address: str = "192.0.2.7",
) -> Answer:
    return await verifier.verify(name, password, address=ip_address(address), purpose=purpose)


async def test_the_password_opens_the_account(verifier: Verifier) -> None:
    for name in ("ann@example.com", "ANN@example.com", "ann"):
        found = await ask(verifier, PASSWORD, name)
        assert isinstance(found, Verified)
        assert found.account.name == "ann@example.com"
        assert not found.submission_password


@pytest.mark.parametrize("password", ["", "wrong", "x" * 2000, "a\x00b", PASSWORD + " ", "\ud800"])
async def test_another_password_does_not(verifier: Verifier, password: str) -> None:
    assert await ask(verifier, password) == Failed()


@pytest.mark.parametrize("name", ["", "nobody@example.com", "@", "ann@", "\x00", "x" * 9000])
async def test_an_unknown_name_fails_in_the_same_words_and_with_the_same_work(
    verifier: CountingVerifier, name: str
) -> None:
    assert await ask(verifier, PASSWORD, name) == Failed()
    assert verifier.checks == 1


async def test_a_disabled_account_fails_like_an_unknown_one(
    verifier: Verifier, store: MemoryAccountStore
) -> None:
    store.disable("ann")
    assert await ask(verifier, PASSWORD) == Failed()


async def test_a_submission_password_sends_but_does_not_fetch(
    verifier: Verifier, store: MemoryAccountStore
) -> None:
    password = generate_password()
    store.add_submission_password("ann", "phone", hash_generated(password))
    sent = await ask(verifier, password)
    assert isinstance(sent, Verified)
    assert sent.submission_password
    assert sent.credential.name == "phone"
    assert await ask(verifier, password, purpose=Purpose.FETCH) == Failed()
    store.revoke("ann", "phone")
    assert not store.is_valid(sent.credential.id)
    assert await ask(verifier, password) == Failed()


async def test_a_success_is_remembered_for_five_minutes(
    verifier: CountingVerifier, clock: Clock
) -> None:
    for minute in (0, 2, 2):
        clock.advance(minute)
        assert isinstance(await ask(verifier, PASSWORD), Verified)
    assert verifier.checks == 1
    assert await ask(verifier, "wrong") == Failed()
    clock.advance(2)
    assert isinstance(await ask(verifier, PASSWORD), Verified)
    assert verifier.checks == 3


async def test_a_changed_password_is_not_remembered(
    verifier: Verifier, store: MemoryAccountStore
) -> None:
    assert isinstance(await ask(verifier, PASSWORD), Verified)
    store.set_password("ann", hash_password("another one"))
    assert await ask(verifier, PASSWORD) == Failed()
    assert isinstance(await ask(verifier, "another one"), Verified)


async def test_a_password_that_another_process_changed_is_forgotten_in_a_moment(
    tmp_path: Path,
) -> None:
    ours, theirs = (SqliteAccountStore(tmp_path / "accounts.db") for _ in range(2))
    theirs.add(parse_mailbox("ann@example.com"), HASH)
    verifier = Verifier(ours, pause=timedelta(0))
    for _ in range(2):
        assert isinstance(await ask(verifier, PASSWORD), Verified)
    theirs.set_password("ann", hash_password("another one"))
    assert isinstance(await ask(verifier, "another one"), Verified), "at once"
    await asyncio.sleep(LATELY_SECONDS)
    assert await ask(verifier, PASSWORD) == Failed()
    verifier.close()
    ours.close()
    theirs.close()


async def test_failures_lock_the_account_for_that_address_only(
    verifier: Verifier, clock: Clock
) -> None:
    for _ in range(3):
        assert await ask(verifier, "wrong") == Failed()
    assert await ask(verifier, PASSWORD) == Locked(10)
    assert await ask(verifier, PASSWORD, "ann") == Locked(10), "the same account"
    assert await ask(verifier, PASSWORD, address="::ffff:192.0.2.7") == Locked(10)
    assert isinstance(await ask(verifier, PASSWORD, address="192.0.2.8"), Verified)
    clock.advance(10)
    assert isinstance(await ask(verifier, PASSWORD), Verified)


async def test_many_at_once_do_not_outrun_the_count(verifier: CountingVerifier) -> None:
    answers = await asyncio.gather(*(ask(verifier, f"wrong {it}") for it in range(20)))
    assert answers.count(Failed()) == 3
    assert verifier.checks == 3


async def test_many_right_ones_at_once_cost_one_check(verifier: CountingVerifier) -> None:
    answers = await asyncio.gather(*(ask(verifier, PASSWORD) for _ in range(20)))
    assert all(isinstance(answer, Verified) for answer in answers)
    assert verifier.checks == 1


async def test_a_queue_that_is_too_long_is_told_to_come_back(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    answers = await asyncio.gather(*(ask(verifier, PASSWORD) for _ in range(3)))
    assert sum(isinstance(answer, Unreadable) for answer in answers) == 1


async def test_a_store_that_cannot_be_read_is_nobodys_fault(clock: Clock) -> None:
    verifier = Verifier(BrokenStore(clock), now=clock)
    for _ in range(20):
        assert await ask(verifier, PASSWORD) == Unreadable("accounts.db is not a database")
    verifier.close()
