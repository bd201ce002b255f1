"""Signing in by proof and by token, and passwords that are kept in another form afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

import pytest

from posthouse.accounts.answers import (
    Answer,
    Challenged,
    Elsewhere,
    ElsewhereError,
    Failed,
    Locked,
    Purpose,
    TokenError,
    Unreadable,
    Verified,
)
from posthouse.accounts.passwords import generate_password, secrets_of
from posthouse.accounts.schemes import ELSEWHERE
from posthouse.accounts.store import StoreError
from posthouse.accounts.verifier import Sources, Verifier
from posthouse.mail.address import parse_mailbox
from posthouse.policy.facts import Account, Address
from posthouse.policy.rules import Budget
from posthouse.protocol.cram_md5 import CramMd5Server, respond_as_client
from posthouse.protocol.proofs import BearerToken, Proof, SecretWanted
from posthouse.protocol.sasl import Challenge
from posthouse.protocol.scram import ScramClient, ScramServer
from tests.accounts.memory import MemoryAccountStore

PASSWORD: Final = "correct horse"
ANN: Final = parse_mailbox("ann@example.com")
HERE: Final = ip_address("192.0.2.7")
NOON: Final = datetime(2026, 5, 4, 12, tzinfo=UTC)


class AtLdap:
    """A directory that knows one password."""

    broken = False

    async def check(self, name: str, password: str, *, address: Address) -> Elsewhere:
        if self.broken:
            raise ElsewhereError("the directory is down")
        right = name in ("ann@example.com", "new@example.com", "far@far.example")
        return Elsewhere.RIGHT if right and password == "ldap word" else Elsewhere.WRONG


class Tokens:
    async def holder(self, token: str) -> str:
        if token == "later":
            raise ElsewhereError("the issuer is down")
        if not token.startswith("of-"):
            raise TokenError("unknown")
        return token.removeprefix("of-")


@pytest.fixture
def store() -> MemoryAccountStore:
    store = MemoryAccountStore(lambda: NOON)
    kept = secrets_of(store, "ann@example.com", PASSWORD, generated=False)
    store.add(ANN, kept.hash, scram=kept.scram)
    return store


NO_SOURCES: Final = Sources()


def verifier_for(store: MemoryAccountStore, sources: Sources = NO_SOURCES) -> Verifier:
    failures = Budget(3, timedelta(minutes=10))
    return Verifier(store, failures=failures, now=lambda: NOON, pause=timedelta(0), sources=sources)


@pytest.fixture
def verifier(store: MemoryAccountStore) -> Iterator[Verifier]:
    verifier = verifier_for(store, Sources(tokens=Tokens(), keeps_plain=True))
    yield verifier
    verifier.close()


async def by_scram(
    verifier: Verifier,
    password: str,
    name: str = "ann@example.com",
    purpose: Purpose = Purpose.SEND,
) -> Answer:
    client, server = ScramClient(name, password, "clientnonce"), ScramServer("servernonce")
    wanted = server.respond(client.initial)
    assert isinstance(wanted, SecretWanted)
    challenged = verifier.challenge("SCRAM-SHA-256", wanted.name, purpose=purpose)
    assert isinstance(challenged, Challenged)
    answer = client.respond(server.provide(challenged.secrets).octets)  # type: ignore[arg-type]
    assert answer is not None
    proof = server.respond(answer)
    assert isinstance(proof, Proof)
    return await verifier.prove(challenged, proof.matched, address=HERE)


async def by_cram(verifier: Verifier, password: str, name: str = "ann@example.com") -> Answer:
    server = CramMd5Server("1.2", "mail.example.com")
    challenge = server.respond(None)
    assert isinstance(challenge, Challenge)
    server.respond(respond_as_client(challenge.octets, name, password))
    challenged = verifier.challenge("CRAM-MD5", name, purpose=Purpose.SEND)
    assert isinstance(challenged, Challenged)
    proof = server.provide(challenged.secrets)  # type: ignore[arg-type]
    return await verifier.prove(challenged, proof.matched, address=HERE)


async def by_password(verifier: Verifier, password: str, name: str = "ann@example.com") -> Answer:
    return await verifier.verify(name, password, address=HERE, purpose=Purpose.SEND)


async def test_scram_knows_the_password_under_every_spelling_of_the_name(
    verifier: Verifier,
) -> None:
    for name in ("ann@example.com", "Ann@EXAMPLE.com", "ann"):
        answer = await by_scram(verifier, PASSWORD, name)
        assert isinstance(answer, Verified)
        assert answer.account.name == "ann@example.com"
    assert await by_scram(verifier, "wrong") == Failed()
    assert await by_scram(verifier, PASSWORD, "nobody@example.com") == Failed()


async def test_scram_takes_a_submission_password_for_sending_only(
    verifier: Verifier, store: MemoryAccountStore
) -> None:
    password = generate_password()
    kept = secrets_of(store, "ann@example.com", password, generated=True)
    store.add_submission_password("ann", "phone", kept.hash, scram=kept.scram)
    answer = await by_scram(verifier, password)
    assert isinstance(answer, Verified)
    assert answer.submission_password
    assert await by_scram(verifier, password, purpose=Purpose.FETCH) == Failed()
    store.revoke("ann", "phone")
    assert await by_scram(verifier, password) == Failed()


async def test_somebody_unknown_is_challenged_like_an_account(
    verifier: Verifier, store: MemoryAccountStore
) -> None:
    known, again, unknown, unknown_again = (
        verifier.challenge("SCRAM-SHA-256", name, purpose=Purpose.SEND)
        for name in ("ann@example.com", "ANN@example.com", "bob@example.com", "Bob@Example.COM")
    )
    assert isinstance(known, Challenged)
    assert isinstance(unknown, Challenged)
    assert isinstance(unknown_again, Challenged)
    assert isinstance(again, Challenged)
    assert known.secrets == again.secrets
    assert unknown.secrets == unknown_again.secrets
    salts = [it.secrets[0] for it in (known, unknown)]
    assert len({len(it.salt) for it in salts}) == 1  # type: ignore[union-attr]
    assert len({it.iterations for it in salts}) == 1  # type: ignore[union-attr]
    before = unknown.secrets[0].salt  # type: ignore[union-attr]
    kept = secrets_of(store, "bob@example.com", PASSWORD, generated=False)
    store.add(parse_mailbox("bob@example.com"), kept.hash, scram=kept.scram)
    there = verifier.challenge("SCRAM-SHA-256", "bob@example.com", purpose=Purpose.SEND)
    assert isinstance(there, Challenged)
    assert there.secrets[0].salt == before, "an account that comes into being shows nothing"  # type: ignore[union-attr]


async def test_failed_proofs_lock_as_failed_passwords_do(verifier: Verifier) -> None:
    for _ in range(3):
        assert await by_scram(verifier, "wrong") == Failed()
    assert await by_scram(verifier, PASSWORD) == Locked(10)
    assert await by_password(verifier, PASSWORD) == Locked(10)


@pytest.mark.parametrize("name", ["ann@example.com", "nobody@example.com"])
async def test_a_lock_does_not_tell_whether_there_is_an_account(
    verifier: Verifier, name: str
) -> None:
    for _ in range(3):
        assert await by_password(verifier, "wrong", name) == Failed()
    assert await by_password(verifier, "wrong", name.upper()) == Locked(10)
    assert await by_password(verifier, "wrong", name.partition("@")[0]) == Locked(10)


@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_a_lock_of_a_bare_name_does_not_tell_either(verifier: Verifier, name: str) -> None:
    for _ in range(3):
        assert await by_password(verifier, "wrong", name) == Failed()
    assert await by_password(verifier, "wrong", name) == Locked(10)
    assert await by_password(verifier, "wrong", name + "@example.com") == Failed()


async def test_cram_md5_needs_a_secret_that_allows_it(
    verifier: Verifier, store: MemoryAccountStore
) -> None:
    assert await by_cram(verifier, PASSWORD) == Failed(), "argon2id does not"
    store.set_password("ann", "{PLAIN}" + PASSWORD)
    assert isinstance(await by_cram(verifier, PASSWORD), Verified)
    assert isinstance(await by_password(verifier, PASSWORD), Verified)
    assert isinstance(await by_cram(verifier, PASSWORD), Verified), "it was kept as it was"
    assert await by_cram(verifier, "wrong") == Failed()
    assert await by_cram(verifier, PASSWORD, "nobody@example.com") == Failed()


async def test_a_foreign_hash_becomes_ours_at_sign_in(store: MemoryAccountStore) -> None:
    store.set_password("ann", "{SHA}R2fz9mj0UYDaG63pP8mqsN3IY8I=")  # no salt: the worst of them
    store.set_password("ann", "{PLAIN}" + PASSWORD)
    verifier = verifier_for(store)
    assert await by_scram(verifier, PASSWORD) == Failed(), "nothing to prove it by as yet"
    (before,) = store.credentials("ann")
    first = await by_password(verifier, PASSWORD)
    assert isinstance(first, Verified)
    (after,) = store.credentials("ann")
    assert after.hash.startswith("$argon2id$")
    assert after.id == before.id
    assert store.is_valid(first.credential.id)
    assert isinstance(await by_scram(verifier, PASSWORD), Verified)
    assert isinstance(await by_password(verifier, PASSWORD), Verified)
    assert await by_password(verifier, "wrong") == Failed()
    verifier.close()


async def test_a_password_of_elsewhere_is_compared_as_typed_and_as_prepared(
    store: MemoryAccountStore,
) -> None:
    verifier = verifier_for(store)
    for typed in ("cafe\u0301 au lait", "caf\u00e9 au lait"):
        store.set_password("ann", "{PLAIN}" + typed)
        assert isinstance(await by_password(verifier, typed), Verified)
        assert isinstance(await by_password(verifier, "caf\u00e9 au lait"), Verified)
    verifier.close()


async def test_a_directory_is_asked_for_passwords_that_are_not_ours(
    store: MemoryAccountStore,
) -> None:
    at_ldap = AtLdap()
    local = Sources(directory=at_ldap, may_adopt=lambda name: name.endswith("@example.com"))
    verifier = verifier_for(store, local)
    assert isinstance(await by_password(verifier, PASSWORD), Verified)
    assert isinstance(await by_password(verifier, "ldap word"), Verified)
    assert isinstance(await by_password(verifier, "ldap word", "ann"), Verified)
    assert await by_password(verifier, "wrong") == Failed()
    assert store.find("new@example.com") is None
    assert await by_password(verifier, "wrong", "new@example.com") == Failed()
    assert store.find("new@example.com") is None
    answer = await by_password(verifier, "ldap word", "new@example.com")
    assert isinstance(answer, Verified)
    assert store.credentials("new@example.com")[0].hash == ELSEWHERE
    assert store.is_valid(answer.credential.id)
    assert await by_password(verifier, "ldap word", "far@far.example") == Failed()
    store.disable("new@example.com")
    assert await by_password(verifier, "ldap word", "new@example.com") == Failed()
    at_ldap.broken = True
    assert await by_password(verifier, "anything") == Unreadable("the directory is down")
    verifier.close()


async def test_a_token_opens_the_account_of_its_holder(verifier: Verifier) -> None:
    async def ask(name: str, token: str) -> Answer:
        given = BearerToken(name, token)
        return await verifier.verify_token(given, address=HERE, purpose=Purpose.FETCH)

    for name in ("", "ann@example.com", "ANN@example.com"):
        answer = await ask(name, "of-ann@example.com")
        assert isinstance(answer, Verified)
        assert answer.account.name == "ann@example.com"
        assert not answer.submission_password
    assert await ask("ann@example.com", "of-bob@example.com") == Failed()
    assert await ask("bob@example.com", "of-ann@example.com") == Failed()
    assert await ask("", "later") == Unreadable("the issuer is down")
    assert await ask("ann@example.com", "bad") == Failed()


class BrokenStore(MemoryAccountStore):
    def find(self, name: str) -> Account | None:
        raise StoreError("no disk")


async def test_a_store_that_cannot_be_read_is_nobodys_fault() -> None:
    verifier = verifier_for(BrokenStore(), Sources(tokens=Tokens()))
    broken = Unreadable("no disk")
    assert verifier.challenge("SCRAM-SHA-256", "ann", purpose=Purpose.SEND) == broken
    given = BearerToken("", "of-ann")
    assert await verifier.verify_token(given, address=HERE, purpose=Purpose.SEND) == broken
    verifier.close()


async def test_a_disabled_account_proves_nothing(
    verifier: Verifier, store: MemoryAccountStore
) -> None:
    store.disable("ann")
    assert await by_scram(verifier, PASSWORD) == Failed()
