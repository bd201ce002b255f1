"""Is this the password? Answered off the event loop, at one speed whoever asks."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeVar
from weakref import WeakValueDictionary

from msgspec import Struct
from msgspec.structs import replace

from posthouse.accounts import schemes
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
from posthouse.accounts.lockout import Lockout, Pair
from posthouse.accounts.pace import Pace
from posthouse.accounts.passwords import (
    PasswordError,
    hash_of_nothing,
    is_generated,
    matches,
    prepare,
    rehash,
    scram_text,
)
from posthouse.accounts.proving import challenge
from posthouse.accounts.remembered import Remembered
from posthouse.accounts.store import (
    AccountError,
    AccountStore,
    Credential,
    CredentialKind,
    StoreError,
)
from posthouse.mail.address import AddressError, parse_mailbox
from posthouse.policy.facts import Account, Address
from posthouse.policy.networks import fold
from posthouse.policy.rules import Budget
from posthouse.protocol import scram
from posthouse.protocol.proofs import BearerToken

__all__ = [
    "Answer",
    "Challenged",
    "Failed",
    "Locked",
    "Purpose",
    "Sources",
    "Unreadable",
    "Verified",
    "Verifier",
]

WAITING_MAX: Final = 200  # sign-ins in the queue for a thread; more are told to come back
SLOW_SECONDS: Final = 0.02  # of processor time: as much as a slow hash takes
NAME_CHARACTERS_MAX: Final = 320
TEN_IN_TEN_MINUTES: Final = Budget(10, timedelta(minutes=10))
TENTH_OF_A_SECOND: Final = timedelta(milliseconds=100)


class Directory(Protocol):
    """Somebody else who knows passwords: an LDAP server, Dovecot."""

    async def check(self, name: str, password: str, *, address: Address) -> Elsewhere:
        """Return what they say; `name` is the full address where we know the account.

        Raises:
            ElsewhereError: If they cannot be asked now.
        """
        ...


class TokenJudge(Protocol):
    """Knows whether a bearer token is good."""

    async def holder(self, token: str) -> str:
        """Return whose it is.

        Raises:
            TokenError: If it is not good.
            ElsewhereError: If that cannot be said now.
        """
        ...


_T = TypeVar("_T")


class Sources(Struct, frozen=True):
    """Who knows passwords and tokens besides the store.

    Attributes:
        directory: Asked for passwords that are not ours.
        may_adopt: Whether an address that the directory knows may become an account here.
        tokens: Judges bearer tokens; None: all are refused.
        keeps_plain: Passwords that CRAM-MD5 or APOP can use are not turned into argon2id.
    """

    directory: Directory | None = None
    may_adopt: Callable[[str], bool] = lambda _: False
    tokens: TokenJudge | None = None
    keeps_plain: bool = False


class Verifier:
    """Checks passwords in a few threads, and remembers successes for five minutes.

    Mail programs sign in at every poll: the memory (a keyed hash, never the password) spares them
    and us the slow hash. It is bound to the credential, so a changed password is forgotten.

    Attributes:
        lockout: Counts failures.
        sources: Who else knows passwords and tokens; may be replaced while the server runs.
    """

    def __init__(
        self,
        store: AccountStore,
        *,
        failures: Budget = TEN_IN_TEN_MINUTES,
        threads: int = 2,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        pause: timedelta = TENTH_OF_A_SECOND,
        sources: Sources = Sources(),  # noqa: B008 - frozen
    ) -> None:
        """Make the threads.

        Args:
            store: Who has an account.
            failures: How many for one name from one address; then it is locked.
            threads: That hash passwords.
            now: The clock.
            pause: Failures are answered at multiples of it.
            sources: Who else knows passwords and tokens.
        """
        self.lockout = Lockout(failures)
        self._store = store
        self._now = now
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._waiting = 0
        self._turns: WeakValueDictionary[Pair, asyncio.Lock] = WeakValueDictionary()
        self._memory = Remembered()
        self._nothing = hash_of_nothing()
        self._pace = Pace(pause)
        self.sources = sources

    async def verify(
        self, name: str, password: str, *, address: Address, purpose: Purpose
    ) -> Answer:
        """Return whether `password` opens the account `name` for this purpose. Never raises.

        Attempts for one account from one address are checked one after another, so that a
        thousand at once cannot outrun the count of failures.
        """
        if (verified := self._known(name, password, address, purpose)) is not None:
            return verified
        begun = asyncio.get_running_loop().time()
        answer = await self._in_turn(name, password, address, purpose)
        if isinstance(answer, Failed):
            await self._pace.wait(begun)
        return answer

    def mechanisms(self) -> tuple[str, ...]:
        """Return the mechanisms that every account can use now, the best first.

        SCRAM is among them once something is kept for it of every account's password: a mail
        program that prefers it would not try another one.
        """
        names = ["PLAIN", "LOGIN"]
        with suppress(StoreError):
            if self.sources.directory is None and self._store.all_know_scram():
                names = [scram.MECHANISM_PLUS, scram.MECHANISM, *names]
        if self.sources.tokens is not None:
            names += ["OAUTHBEARER", "XOAUTH2"]
        return tuple(names)

    def challenge(self, mechanism: str, name: str, *, purpose: Purpose) -> Challenged | Unreadable:
        """Return what SCRAM, CRAM-MD5 or APOP need of an account, or of one that is not there."""
        try:
            account = self._store.find(name)
            credentials = self._credentials(account, purpose)
            return challenge(mechanism, name, account, credentials, self._store.salt_key())
        except StoreError as problem:
            return Unreadable(str(problem))

    async def prove(
        self, challenged: Challenged, matched: int | None, *, address: Address
    ) -> Answer:
        """Return what comes of a proof; `matched` is the place of the secret it was made with."""
        begun = asyncio.get_running_loop().time()
        try:
            answer = self._proved(challenged, matched, _pairs(challenged.name, address))
        except StoreError as problem:
            return Unreadable(str(problem))
        if isinstance(answer, Failed):
            await self._pace.wait(begun)
        return answer

    async def verify_token(
        self, given: BearerToken, *, address: Address, purpose: Purpose
    ) -> Answer:
        """Return whose token it is, if it is good and its holder has an account."""
        begun = asyncio.get_running_loop().time()
        pairs = _pairs(given.name or "bearer token", address)
        try:
            answer = await self._token(given, pairs, purpose)
        except (ElsewhereError, StoreError) as problem:
            return Unreadable(str(problem))
        if isinstance(answer, Failed):
            await self._pace.wait(begun)
        return answer

    def close(self) -> None:
        """End the threads; checks under way are finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    # ---------------------------------------------------------------- passwords

    def _known(
        self, name: str, password: str, address: Address, purpose: Purpose
    ) -> Verified | None:
        """Return the account if the same was right lately; changes are noticed in a moment."""
        pairs, now = _pairs(name, address), self._now()
        try:
            if self.lockout.is_locked(pairs[0], now) or not (account := self._store.find(name)):
                return None
            credentials = self._credentials(account, purpose, lately=True)
            found = self._memory.find(credentials, prepare(password), now)
            if found is None or not self._store.is_valid(found.id):
                return None
        except (StoreError, PasswordError):
            return None
        return self._verified(account, found, pairs)

    async def _in_turn(
        self, name: str, password: str, address: Address, purpose: Purpose
    ) -> Answer:
        if self._waiting >= WAITING_MAX:
            return Unreadable(f"{WAITING_MAX} sign-ins are waiting already")
        self._waiting += 1
        try:
            pairs = _pairs(name, address)
            async with self._turns.setdefault(pairs[0], asyncio.Lock()):
                return await self._verify(name, password, pairs, purpose)
        except (StoreError, ElsewhereError) as problem:
            return Unreadable(str(problem))
        finally:
            self._waiting -= 1

    async def _verify(
        self, name: str, password: str, pairs: Sequence[Pair], purpose: Purpose
    ) -> Answer:
        now = self._now()
        if locked := self._locked(pairs, now):
            return locked
        account = self._store.find(name)
        credentials = self._credentials(account, purpose)
        try:
            prepared = prepare(password)
        except PasswordError:
            prepared, credentials = "", ()
        found = self._memory.find(credentials, prepared, now)
        if found is None:
            found = await self._in_a_thread(lambda: self._check(credentials, prepared, password))
        if found is None and prepared and self.sources.directory is not None:
            account, found = await self._ask_directory(name, account, password, pairs[0][1])
        if found is None or account is None:
            return self._failed(pairs, now)
        if not self._store.is_valid(found.id):  # revoked while it was checked
            return Failed()
        self._memory.keep(found, prepared, now)
        return self._verified(account, found, pairs)

    def _check(
        self, credentials: tuple[Credential, ...], prepared: str, typed: str
    ) -> Credential | None:
        """Return the credential that matches; runs in a thread of the pool."""
        begun = time.thread_time()
        found = self._matching(credentials, prepared, typed)
        if found is None:
            self._make_up(credentials, prepared, time.thread_time() - begun)
            self._pace.note(time.thread_time() - begun)
            return None
        with suppress(StoreError):  # when it was used is no reason to refuse anybody
            self._store.note_used(found.id, self._now())
        with suppress(StoreError, AccountError):  # the next sign-in may try again
            return self._renewed(found, prepared)
        return found

    def _matching(
        self, credentials: tuple[Credential, ...], prepared: str, typed: str
    ) -> Credential | None:
        """Try the generated ones first, they are quick."""
        slow_ones = [it for it in credentials if not is_generated(it.hash)]
        for credential in credentials:
            if is_generated(credential.hash) and matches(credential.hash, prepared):
                return credential
        for credential in slow_ones:
            if matches(credential.hash, prepared, typed):
                return credential
        return None

    def _make_up(
        self, credentials: tuple[Credential, ...], prepared: str, cpu_seconds: float
    ) -> None:
        """Do one slow hash at least, also for nobody and for imported hashes that are quick."""
        has_own = any(
            not (is_generated(it.hash) or schemes.is_foreign(it.hash)) for it in credentials
        )
        if not has_own and cpu_seconds < SLOW_SECONDS:
            matches(self._nothing, prepared)

    def _renewed(self, found: Credential, prepared: str) -> Credential:
        """Keep a password that just proved right as we keep ours: argon2id, and for SCRAM."""
        hashed, scram = found.hash, found.scram
        if schemes.is_foreign(hashed) and not self._stays(hashed):
            hashed = rehash(prepared)
        if not scram and not is_generated(hashed):
            scram = scram_text(prepared, found.account, self._store.salt_key())
        if (hashed, scram) == (found.hash, found.scram):
            return found
        self._store.rehash(found.id, hashed, scram=scram)
        return replace(found, hash=hashed, scram=scram)

    def _stays(self, hashed: str) -> bool:
        return self.sources.keeps_plain and schemes.cram_secret(hashed) is not None

    async def _ask_directory(
        self, name: str, account: Account | None, password: str, address: Address
    ) -> tuple[Account | None, Credential | None]:
        """Return the account and its own credential if the directory knows the password."""
        directory = self.sources.directory
        assert directory is not None, "asked only where there is one"
        asked = account.name if account else name
        said = await directory.check(asked, password, address=address)
        if said is not Elsewhere.RIGHT:
            return account, None
        if account is None and self.sources.may_adopt(name):
            await self._in_a_thread(lambda: self._adopt(name))
            account = self._store.find(name)
        own = self._credentials(account, Purpose.FETCH)
        return account, own[0] if own else None

    def _adopt(self, name: str) -> None:
        """Make an account of somebody whom only the directory knew; a disabled one stays so."""
        with suppress(AccountError, AddressError):
            self._store.add(parse_mailbox(name), schemes.ELSEWHERE)

    # ---------------------------------------------------------------- proofs and tokens

    def _proved(self, challenged: Challenged, matched: int | None, pairs: Sequence[Pair]) -> Answer:
        now = self._now()
        if locked := self._locked(pairs, now):
            return locked
        if matched is None or matched >= len(challenged.credentials):
            return self._failed(pairs, now)
        found = challenged.credentials[matched]
        account = self._store.find(found.account)
        if account is None or not self._store.is_valid(found.id):
            return self._failed(pairs, now)
        with suppress(StoreError):
            self._store.note_used(found.id, now)
        return self._verified(account, found, pairs)

    async def _token(self, given: BearerToken, pairs: Sequence[Pair], purpose: Purpose) -> Answer:
        if locked := self._locked(pairs, self._now()):
            return locked
        judge = self.sources.tokens
        try:
            holder = await judge.holder(given.token) if judge else ""
        except TokenError:
            return self._failed(pairs, self._now())
        account = self._store.find(holder)
        named = self._store.find(given.name) if given.name else account
        own = [
            it for it in self._credentials(account, purpose) if it.kind is CredentialKind.ACCOUNT
        ]
        if account is None or named is None or named.name != account.name or not own:
            return self._failed(pairs, self._now())
        return self._verified(account, own[0], pairs)

    # ---------------------------------------------------------------- inside

    async def _in_a_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _credentials(
        self, account: Account | None, purpose: Purpose, *, lately: bool = False
    ) -> tuple[Credential, ...]:
        credentials = self._store.credentials(account.name, lately=lately) if account else ()
        if purpose is Purpose.FETCH:
            return tuple(it for it in credentials if it.kind is CredentialKind.ACCOUNT)
        return credentials

    def _locked(self, pairs: Sequence[Pair], now: datetime) -> Locked | None:
        if self.lockout.is_locked(pairs[0], now):
            return Locked(self.lockout.minutes_left(pairs[0], now))
        return None

    def _failed(self, pairs: Sequence[Pair], now: datetime) -> Failed:
        for pair in pairs:
            self.lockout.note_failure(pair, now)
        return Failed()

    def _verified(self, account: Account, found: Credential, pairs: Sequence[Pair]) -> Verified:
        for pair in pairs:
            self.lockout.note_success(pair)
        return Verified(account, found)


def _pairs(name: str, address: Address) -> list[Pair]:
    """Return what failures of a name from an address are counted under; the first one locks.

    Failures of a full address count for its bare local-part as well, whether there is such an
    account or not: otherwise a lock would tell.
    """
    known_as = name.casefold()[:NAME_CHARACTERS_MAX]
    with suppress(AddressError):
        mailbox = parse_mailbox(name).folded
        known_as = str(mailbox)
        return [(known_as, fold(address)), (mailbox.local_part, fold(address))]
    return [(known_as, fold(address))]
