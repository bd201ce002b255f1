"""Stored passwords of other servers: ``{SCHEME}`` and its value, as Dovecot and OpenLDAP write it.

They are only read here: whoever signs in with one gets an argon2id hash in its place (`verifier`).
Passwords are compared as typed and as prepared by SASLprep, because others did not prepare them.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Final

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from posthouse.accounts import libcrypt
from posthouse.protocol import cram_md5, scram
from posthouse.protocol.proofs import CramSecret, ScramSecret

ELSEWHERE: Final = "{ELSEWHERE}"  # instead of a hash: a directory is asked, nothing matches here

_PREFIX: Final = re.compile(r"\{([A-Za-z0-9-]{1,32})(?:\.(b64|base64|hex))?\}", re.IGNORECASE)
_BCRYPT_OCTETS_MAX: Final = 72  # bcrypt sees no more; the library refuses instead of cutting
_MODULAR: Final = re.compile(r"\$(1|5|6|y|7|2[abxy]?|argon2(?:id|i|d))\$")
_DIGEST_OCTETS: Final = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_ARGON2: Final = PasswordHasher()  # parameters come from the hash

Check = Callable[[str, bytes], bool]


class SchemeError(ValueError):
    """Nobody here can read this stored password; the message says why."""


def is_foreign(stored: str) -> bool:
    """Whether it is in another server's form, not in ours."""
    return stored.startswith("{")


def normalised(stored: str, *, default: str = "CRYPT") -> str:
    """Return a stored password with its scheme in front.

    Args:
        stored: With or without a prefix.
        default: Scheme of what has no prefix.

    Raises:
        SchemeError: If the scheme is unknown, or its value is not what it should be.
    """
    scheme, encoding, value = _parts(stored if _PREFIX.match(stored) else f"{{{default}}}{stored}")
    text = f"{{{scheme}{'.' + encoding if encoding else ''}}}{value}"
    if scheme not in CHECKS:
        raise SchemeError(f"the scheme {scheme} is not known")
    if not _looks_right(scheme, encoding, value):
        raise SchemeError(f"this is no {scheme}")
    return text


def matches(stored: str, password: str) -> bool:
    """Whether a password belongs to a stored one; False for what nobody can read."""
    try:
        scheme, encoding, value = _parts(stored)
        check = CHECKS.get(scheme)
        if check is None:
            return False
        if encoding and scheme in _DIGESTS:
            octets = _decoded(value, encoding, "")
            value = octets.hex() if scheme == "PLAIN-MD5" else b64encode(octets).decode("ascii")
        return check(value, password.encode("utf-8", "surrogatepass"))
    except SchemeError:
        return False


def plain(stored: str) -> str | None:
    """Return the password itself, where it is stored so: APOP needs it (RFC 1939 §7)."""
    scheme, _, value = _parts(stored) if is_foreign(stored) else ("", "", "")
    return value if scheme in _PLAIN else None


def cram_secret(stored: str) -> CramSecret | None:
    """Return what CRAM-MD5 needs, where the stored password allows it."""
    if (password := plain(stored)) is not None:
        return cram_md5.derive(password)
    if not is_foreign(stored):
        return None
    scheme, _, value = _parts(stored)
    if scheme != "CRAM-MD5" or not _is_hex(value, 32):
        return None
    states = bytes.fromhex(value)
    return CramSecret(inner=states[16:], outer=states[:16])


def scram_secret(stored: str) -> ScramSecret | None:
    """Return what SCRAM needs, where the stored password is that."""
    if not is_foreign(stored):
        return None
    scheme, _, value = _parts(stored)
    return read_scram(value) if scheme == "SCRAM-SHA-256" else None


def read_scram(value: str) -> ScramSecret | None:
    """Read ``iterations,salt,stored key,server key`` as Dovecot writes it; None if it is not."""
    words = value.split(",")
    if len(words) != 4 or not re.fullmatch(r"[0-9]{4,7}", words[0]):
        return None
    try:
        salt, stored_key, server_key = (b64decode(it, validate=True) for it in words[1:])
    except ValueError:
        return None
    if len(stored_key) != 32 or len(server_key) != 32 or not salt:
        return None
    if not scram.ITERATIONS_MIN <= int(words[0]) <= scram.ITERATIONS_MAX:
        return None
    return ScramSecret(salt, int(words[0]), stored_key, server_key)


def write_scram(secret: ScramSecret) -> str:
    """Return a secret as `read_scram` reads it."""
    octets = (secret.salt, secret.stored_key, secret.server_key)
    return ",".join([str(secret.iterations), *(b64encode(it).decode("ascii") for it in octets)])


def _parts(stored: str) -> tuple[str, str, str]:
    prefix = _PREFIX.match(stored)
    if prefix is None:
        raise SchemeError("a stored password begins with its {SCHEME}")
    encoding = (prefix[2] or "").lower()
    scheme = _SAME.get(prefix[1].upper(), prefix[1].upper())
    return scheme, "b64" if encoding == "base64" else encoding, stored[prefix.end() :]


def _looks_right(scheme: str, encoding: str, value: str) -> bool:
    if scheme in _DIGESTS:
        algorithm, salted = _DIGESTS[scheme]
        try:
            octets = len(_decoded(value, encoding, "hex" if scheme == "PLAIN-MD5" else "b64"))
        except SchemeError:
            return False
        size = _DIGEST_OCTETS[algorithm]
        return octets > size if salted else octets == size
    if scheme == "SCRAM-SHA-256":
        return read_scram(value) is not None
    if scheme == "CRAM-MD5":
        return _is_hex(value, 32)
    if scheme == "PBKDF2":
        return re.fullmatch(r"\$1\$[^$]*\$[0-9]{1,8}\$[0-9a-fA-F]{40}", value) is not None
    if scheme in _PLAIN:
        return bool(value) and "\0" not in value
    return _MODULAR.match(value) is not None


def _is_hex(value: str, octets: int) -> bool:
    return len(value) == 2 * octets and _HEX.fullmatch(value) is not None


def _decoded(value: str, encoding: str, default: str) -> bytes:
    try:
        if (encoding or default) == "hex":
            return bytes.fromhex(value)
        return b64decode(value.encode("ascii"), validate=True)
    except ValueError:
        raise SchemeError("the value is not in its encoding") from None


def _digest(algorithm: str, *, salted: bool, encoding: str = "b64") -> Check:
    size = _DIGEST_OCTETS[algorithm]

    def check(value: str, password: bytes) -> bool:
        octets = _decoded(value, "", encoding)
        wanted, salt = octets[:size], octets[size:] if salted else b""
        made = hashlib.new(algorithm, password + salt, usedforsecurity=False).digest()
        return hmac.compare_digest(made, wanted)

    return check


def _plain(value: str, password: bytes) -> bool:
    return hmac.compare_digest(value.encode("utf-8", "surrogatepass"), password)


def _argon2(value: str, password: bytes) -> bool:
    try:
        return _ARGON2.verify(value, password)
    except (VerificationError, InvalidHashError):
        return False


def _bcrypt(value: str, password: bytes) -> bool:
    if b"\0" in password:
        return False
    try:
        return bcrypt.checkpw(password[:_BCRYPT_OCTETS_MAX], value.encode("ascii", "replace"))
    except ValueError:
        return False


def _modular(value: str, password: bytes) -> bool:
    """Check what names its own algorithm: ``$6$…``."""
    if value.startswith("$argon2"):
        return _argon2(value, password)
    if value.startswith("$2"):
        return _bcrypt(value, password)
    return libcrypt.verify(value, password)


def _pbkdf2(value: str, password: bytes) -> bool:
    """``$1$salt$rounds$hex``, PBKDF2 with HMAC-SHA-1 (Dovecot)."""
    words = value.split("$")
    if len(words) != 5 or words[1] != "1" or not re.fullmatch(r"[1-9][0-9]{0,7}", words[3]):
        return False
    made = hashlib.pbkdf2_hmac("sha1", password, words[2].encode(), int(words[3]), 20)
    return hmac.compare_digest(made.hex(), words[4].lower())


def _scram(value: str, password: bytes) -> bool:
    secret = read_scram(value)
    if secret is None:
        return False
    text = password.decode("utf-8", "replace")
    return hmac.compare_digest(
        scram.derive(text, secret.salt, secret.iterations).stored_key, secret.stored_key
    )


def _cram(value: str, password: bytes) -> bool:
    made = cram_md5.derive(password.decode("utf-8", "replace"))
    if not _is_hex(value, 32):
        return False
    return hmac.compare_digest((made.outer + made.inner).hex(), value.lower())


_PLAIN: Final = frozenset({"PLAIN"})
_SAME: Final = {
    "PLAINTEXT": "PLAIN", "CLEAR": "PLAIN", "CLEARTEXT": "PLAIN", "HMAC-MD5": "CRAM-MD5",
    "SHA1": "SHA", "MD5": "MD5-CRYPT",
}  # fmt: skip
_DIGESTS: Final[Mapping[str, tuple[str, bool]]] = {
    "SHA": ("sha1", False), "SSHA": ("sha1", True), "SHA256": ("sha256", False),
    "SSHA256": ("sha256", True), "SHA512": ("sha512", False), "SSHA512": ("sha512", True),
    "LDAP-MD5": ("md5", False), "SMD5": ("md5", True), "PLAIN-MD5": ("md5", False),
}  # fmt: skip
CHECKS: Final[Mapping[str, Check]] = {
    **{
        name: _digest(algorithm, salted=salted, encoding="hex" if name == "PLAIN-MD5" else "b64")
        for name, (algorithm, salted) in _DIGESTS.items()
    },
    "PLAIN": _plain,
    "CRYPT": _modular,
    "MD5-CRYPT": _modular,
    "SHA256-CRYPT": _modular,
    "SHA512-CRYPT": _modular,
    "BLF-CRYPT": _modular,
    "YESCRYPT": _modular,
    "ARGON2ID": _modular,
    "ARGON2I": _modular,
    "PBKDF2": _pbkdf2,
    "SCRAM-SHA-256": _scram,
    "CRAM-MD5": _cram,
}
