"""Is this the password? Answered off the event loop, at one speed whoever asks."""

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final
from weakref import WeakValueDictionary

from msgspec import Struct

from posthouse.accounts.lockout import Lockout, Pair
from posthouse.accounts.passwords import (
    PasswordError,
    hash_of_nothing,
    is_generated,
    matches,
    prepare,
)
from posthouse.accounts.store import AccountStore, Credential, CredentialKind, StoreError
from posthouse.policy.facts import Account, Address
from posthouse.policy.networks import fold
from posthouse.policy.rules import Budget

WAITING_MAX: Final = 200  # sign-ins in the queue for a thread; more are told to come back
REMEMBERED_MAX: Final = 50_000  # successes
REMEMBERED_FOR: Final = timedelta(minutes=5)
NAME_CHARACTERS_MAX: Final = 320
TEN_IN_TEN_MINUTES: Final = Budget(10, timedelta(minutes=10))


class Purpose(Enum):
    """What somebody signs in for."""

    FETCH = "fetch"  # POP3: only the account's own password
    SEND = "send"  # submission: any password; the door says which of them it takes


class Verified(Struct, frozen=True):
    """The password is right.

    Attributes:
        account: Who it is.
        credential: The password; `AccountStore.is_valid` tells whether it still is one.
    """

    account: Account
    credential: Credential

    @property
    def submission_password(self) -> bool:
        """Whether it was a separate password for sending."""
        return self.credential.kind is CredentialKind.SUBMISSION


class Failed(Struct, frozen=True):
    """No account, another password, or disabled: nobody outside may know which."""


class Locked(Struct, frozen=True):
    """Too many failures for this account from this address lately; nothing was checked.

    Attributes:
        minutes: Until one more attempt is possible.
    """

    minutes: int


class Unreadable(Struct, frozen=True):
    """It cannot be said now: answered 454 4.7.0 (RFC 4954 §6).

    Attributes:
        problem: Why, for the log.
    """

    problem: str


Answer = Verified | Failed | Locked | Unreadable


class Verifier:
    """Checks passwords in a few threads, and remembers successes for five minutes.

    Mail programs sign in at every poll: the memory (a keyed hash, never the password) spares them
    and us the slow hash. It is bound to the credential, so a changed password is forgotten.
    """

    def __init__(
        self,
        store: AccountStore,
        *,
        failures: Budget = TEN_IN_TEN_MINUTES,
        threads: int = 2,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.lockout = Lockout(failures)
        self._store = store
        self._now = now
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._waiting = 0
        self._turns: WeakValueDictionary[Pair, asyncio.Lock] = WeakValueDictionary()
        self._memory = _Memory()
        self._nothing = hash_of_nothing()

    async def verify(
        self, name: str, password: str, *, address: Address, purpose: Purpose
    ) -> Answer:
        """Return whether `password` opens the account `name` for this purpose. Never raises.

        Attempts for one account from one address are checked one after another, so that a
        thousand at once cannot outrun the count of failures.
        """
        if self._waiting >= WAITING_MAX:
            return Unreadable(f"{WAITING_MAX} sign-ins are waiting already")
        self._waiting += 1
        try:
            account = self._store.find(name)
            known_as = account.name if account else name.casefold()[:NAME_CHARACTERS_MAX]
            pair = (known_as, fold(address))
            async with self._turns.setdefault(pair, asyncio.Lock()):
                return await self._verify(name, password, pair, purpose)
        except StoreError as problem:
            return Unreadable(str(problem))
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads; checks under way are finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _verify(self, name: str, password: str, pair: Pair, purpose: Purpose) -> Answer:
        now = self._now()
        if self.lockout.is_locked(pair, now):
            return Locked(self.lockout.minutes_left(pair, now))
        account = self._store.find(name)
        credentials = self._store.credentials(account.name) if account else ()
        if purpose is Purpose.FETCH:
            credentials = tuple(it for it in credentials if it.kind is CredentialKind.ACCOUNT)
        try:
            prepared = prepare(password)
        except PasswordError:
            prepared, credentials = "", ()
        found = self._memory.find(credentials, prepared, now)
        if found is None:
            found = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._check, credentials, prepared
            )
        if found is None or account is None:
            self.lockout.note_failure(pair, now)
            return Failed()
        if not self._store.is_valid(found.id):  # revoked while it was checked
            return Failed()
        self._memory.keep(found, prepared, now)
        self.lockout.note_success(pair)
        return Verified(account, found)

    def _check(self, credentials: tuple[Credential, ...], prepared: str) -> Credential | None:
        """Return the credential that matches; runs in a thread of the pool."""
        found = self._matching(credentials, prepared)
        if found is not None:
            with suppress(StoreError):  # when it was used is no reason to refuse anybody
                self._store.note_used(found.id, self._now())
        return found

    def _matching(self, credentials: tuple[Credential, ...], prepared: str) -> Credential | None:
        """Try the generated ones, they are quick; else one slow hash at least, also for nobody."""
        slow_ones = [it for it in credentials if not is_generated(it.hash)]
        for credential in credentials:
            if is_generated(credential.hash) and matches(credential.hash, prepared):
                return credential
        for credential in slow_ones:
            if matches(credential.hash, prepared):
                return credential
        if not slow_ones:
            matches(self._nothing, prepared)
        return None


class _Memory:
    """Which password opened which credential lately, as keyed hashes."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[int, tuple[bytes, datetime]] = OrderedDict()

    def find(
        self, credentials: tuple[Credential, ...], prepared: str, now: datetime
    ) -> Credential | None:
        for credential in credentials:
            digest, until = self._known.get(credential.id, (b"", now))
            if until > now and hmac.compare_digest(digest, self._digest(credential, prepared)):
                return credential
        return None

    def keep(self, credential: Credential, prepared: str, now: datetime) -> None:
        digest = self._digest(credential, prepared)
        known = self._known.get(credential.id)
        if known is not None and known[0] == digest and known[1] > now:
            return  # five minutes from the slow check, not from the last sign-in
        self._known[credential.id] = (digest, now + REMEMBERED_FOR)
        self._known.move_to_end(credential.id)
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)

    def _digest(self, credential: Credential, prepared: str) -> bytes:
        text = f"{credential.id} {credential.hash} {prepared}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, hashlib.sha256)
