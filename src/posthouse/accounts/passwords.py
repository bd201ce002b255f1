"""Passwords as text and as hashes. Slow on purpose: see `verifier` for how they are checked."""

import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from posthouse.accounts.store import AccountError

PASSWORD_OCTETS_MAX: Final = 1024
PASSWORD_CHARACTERS_MIN: Final = 8

# OWASP's second setting: many sign-ins at once must not need gigabytes.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

_GENERATED_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # 31: no i, l, o, 0, 1
_GENERATED_GROUPS: Final = 5
_GENERATED_GROUP: Final = 4  # 20 characters of log2(31) = 99 bits
_GENERATED_SCHEME: Final = "$posthouse-generated$"

_PROHIBITED: Final = (  # RFC 4013 §2.3; unassigned code points are let through, as in queries
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


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
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char
        for char in text
        if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared:
        raise PasswordError("the password has only invisible characters")
    for char in prepared:
        if any(prohibited(char) for prohibited in _PROHIBITED):
            raise PasswordError(f"the password has a character that may not be in it: {char!a}")
    _check_directions(prepared)
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


def matches(password_hash: str, prepared: str) -> bool:
    """Whether a prepared password belongs to a hash; False for a hash nobody can read."""
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


def _check_directions(text: str) -> None:
    """Right-to-left and left-to-right letters do not mix (RFC 3454 §6)."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return
    if any(stringprep.in_table_d2(char) for char in text):
        raise PasswordError("the password mixes letters of both writing directions")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise PasswordError("a right-to-left password begins and ends with such a letter")
