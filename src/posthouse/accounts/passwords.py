"""Passwords as text and as hashes. Slow on purpose: see `verifier` for how they are checked."""

import hashlib
import hmac
import secrets
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from posthouse.accounts import schemes
from posthouse.accounts.store import AccountError, AccountRecord, AccountStore
from posthouse.mail.address import Mailbox
from posthouse.protocol import scram
from posthouse.protocol.saslprep import SaslprepError, saslprep

PASSWORD_OCTETS_MAX: Final = 1024
PASSWORD_CHARACTERS_MIN: Final = 8

# OWASP's second setting: many sign-ins at once must not need gigabytes.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_GENERATED_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # 31: no i, l, o, 0, 1
_GENERATED_GROUPS: Final = 5
_GENERATED_GROUP: Final = 4  # 20 characters of log2(31) = 99 bits
_GENERATED_SCHEME: Final = "$posthouse-generated$"


class PasswordError(AccountError):
    """Not fit for a password; the message says why."""


def prepare(text: str) -> str:
    """Return a password in the form that is compared: SASLprep (RFC 4013).

    However a keyboard composes ``é`` or spaces it, the password is the same.

    Raises:
        PasswordError: If it is empty, too long, or has a character that no password may have.
    """
    if not text:
        raise PasswordError("the password is empty")
    if len(text.encode("utf-8", "surrogatepass")) > PASSWORD_OCTETS_MAX:
        raise PasswordError(f"the password is longer than {PASSWORD_OCTETS_MAX} octets")
    if text.isascii() and text.isprintable():
        return text
    try:
        prepared = saslprep(text)
    except SaslprepError as problem:
        raise PasswordError(f"the password {problem}") from None
    if len(prepared.encode()) > PASSWORD_OCTETS_MAX:
        raise PasswordError(f"the password is longer than {PASSWORD_OCTETS_MAX} octets")
    return prepared


def hash_password(text: str) -> str:
    """Return the argon2id hash of a password that a person chose. Takes some 30 ms.

    Raises:
        PasswordError: If it is too short or `prepare` refuses it.
    """
    prepared = prepare(text)
    if len(prepared) < PASSWORD_CHARACTERS_MIN:
        raise PasswordError(f"the password is shorter than {PASSWORD_CHARACTERS_MIN} characters")
    return _HASHER.hash(prepared)


def generate_password() -> str:
    """Return a new password of 99 random bits in readable groups: ``kxam-2pqd-…``."""
    return "-".join(
        "".join(secrets.choice(_GENERATED_ALPHABET) for _ in range(_GENERATED_GROUP))
        for _ in range(_GENERATED_GROUPS)
    )


def hash_generated(text: str) -> str:
    """Return the hash of a password that `generate_password` made.

    Nobody can try 99 bits, so a salted SHA-256 is enough, and an account may have many.
    """
    salt = secrets.token_hex(16)
    return f"{_GENERATED_SCHEME}{salt}${_generated_digest(text, salt)}"


def is_generated(password_hash: str) -> bool:
    """Whether the hash is of a generated password: quick to check."""
    return password_hash.startswith(_GENERATED_SCHEME)


class Secrets(Struct, frozen=True):
    """What is kept of one password.

    Attributes:
        hash: For mechanisms that send the password.
        scram: For those that only prove it; "" where that is not wanted.
    """

    hash: str
    scram: str

    def __repr__(self) -> str:
        return "Secrets(...)"


def secrets_of(store: AccountStore, account: str, text: str, *, generated: bool) -> Secrets:
    """Return what to keep of a new password of an account. Takes some 50 ms.

    Args:
        store: Has the key of this installation's salts.
        account: Name of the account, as the store has it or will have it.
        text: The password.
        generated: `generate_password` made it.

    Raises:
        PasswordError: If it is not fit for a password.
    """
    hashed = hash_generated(text) if generated else hash_password(text)
    return Secrets(hashed, scram_text(prepare(text), account, store.salt_key()))


def add_account(store: AccountStore, mailbox: Mailbox, text: str) -> AccountRecord:
    """Add an account with a password for every mechanism.

    Raises:
        AccountError: If the name is taken, or the password is not fit for one.
    """
    kept = secrets_of(store, str(mailbox.folded), text, generated=False)
    return store.add(mailbox, kept.hash, scram=kept.scram)


def change_password(store: AccountStore, name: str, text: str) -> None:
    """Give an account another password for every mechanism.

    Raises:
        AccountError: If there is no such account, or the password is not fit for one.
    """
    kept = secrets_of(store, _own_name(store, name), text, generated=False)
    store.set_password(name, kept.hash, scram=kept.scram)


def make_submission_password(store: AccountStore, name: str, label: str) -> str:
    """Add a generated password for sending and return it: it can never be read again.

    Raises:
        AccountError: If there is no such account, or the label is empty or taken.
    """
    text = generate_password()
    kept = secrets_of(store, _own_name(store, name), text, generated=True)
    store.add_submission_password(name, label, kept.hash, scram=kept.scram)
    return text


def _own_name(store: AccountStore, name: str) -> str:
    """The name of an account however it is spelled; a disabled one has it too."""
    return next((it.account for it in store.credentials(name)), name)


def scram_text(prepared: str, account: str, salt_key: bytes) -> str:
    """Return what SCRAM keeps of a prepared password; all passwords of an account share a salt."""
    salt = scram.salt_for(account, salt_key)
    return schemes.write_scram(scram.derive(prepared, salt, scram.ITERATIONS))


def rehash(prepared: str) -> str:
    """Return an argon2id hash of a password that is known to be right, however short it is."""
    return _HASHER.hash(prepared)


def matches(password_hash: str, prepared: str, typed: str = "") -> bool:
    """Whether a password belongs to a hash; False for a hash nobody can read.

    Args:
        password_hash: Ours, or of another server.
        prepared: The password as `prepare` returned it.
        typed: As it was typed: other servers did not prepare it.
    """
    if schemes.is_foreign(password_hash):
        forms = dict.fromkeys((typed or prepared, prepared))
        return any(schemes.matches(password_hash, form) for form in forms)
    if is_generated(password_hash):
        salt, _, digest = password_hash.removeprefix(_GENERATED_SCHEME).partition("$")
        return hmac.compare_digest(digest, _generated_digest(prepared, salt))
    try:
        return _HASHER.verify(password_hash, prepared)
    except (VerificationError, InvalidHashError):
        return False


def hash_of_nothing() -> str:
    """Return a hash that no password matches: checking it takes as long as a real one."""
    return _HASHER.hash(secrets.token_hex(32))


def _generated_digest(text: str, salt: str) -> str:
    """Generated passwords are compared without hyphens, spaces and case: they are typed in."""
    typed = text.replace("-", "").replace(" ", "").lower()
    return hashlib.sha256(f"{salt}{typed}".encode()).hexdigest()
