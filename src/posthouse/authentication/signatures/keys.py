"""Keys: ours to sign with, and those that domains publish (RFC 6376 §3.6.1, RFC 8463)."""

import base64
import hashlib
from enum import StrEnum
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from msgspec import Struct

from posthouse.authentication.tags import TagError, encoded, parse_tags, text, words

RSA_BITS: Final = 2048  # RFC 8301 §3.2: signers at least 1024, should have 2048
RSA_BITS_MIN: Final = 1024  # RFC 8301 §3.2: less must not count
RSA_BITS_MAX: Final = 8192  # more would cost us, not the forger

PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey
PublicKey: TypeAlias = RSAPublicKey | Ed25519PublicKey


class Kind(StrEnum):
    """Kinds of keys, by the name in ``k=``."""

    RSA = "rsa"
    ED25519 = "ed25519"

    @property
    def algorithm(self) -> str:
        """The name in ``a=``; SHA-1 is not among them (RFC 8301 §3.1)."""
        return f"{self.value}-sha256"


class BadKeyError(ValueError):
    """Not a key that can be used; the message says in plain words why."""


class KeyRecord(Struct, frozen=True):
    """A public key as a domain publishes it.

    Attributes:
        kind: Of the key.
        key: None if it was revoked (an empty ``p=``).
        testing: The domain only tries DKIM (``t=y``).
        strict: Subdomains may not use it (``t=s``).
    """

    kind: Kind
    key: PublicKey | None
    testing: bool = False
    strict: bool = False


def parse_key_record(record: str) -> KeyRecord:
    """Return the key in a text record.

    Raises:
        BadKeyError: If it holds no key for mail that we can use.
    """
    try:
        tags = parse_tags(record.encode("utf-8", "surrogateescape"))
        flags = words(text(tags, "t", ""))
        if "v" in tags and (tags["v"] != b"DKIM1" or next(iter(tags)) != "v"):
            raise BadKeyError("its version is not DKIM1")
        kind = _kind(text(tags, "k", "rsa"))
        if "sha256" not in words(text(tags, "h", "sha256")):
            raise BadKeyError("it may not be used with SHA-256")
        if not {"*", "email"} & set(words(text(tags, "s", "*"))):
            raise BadKeyError("it is not for mail")
        octets = encoded(tags, "p")
    except TagError as error:
        raise BadKeyError(str(error)) from None
    key = _public_key(kind, octets) if octets else None
    return KeyRecord(kind, key, testing="y" in flags, strict="s" in flags)


def verify(key: PublicKey, signature: bytes, octets: bytes) -> bool:
    """Whether `signature` is that of the key's owner over `octets` (RFC 6376 §3.3, RFC 8463 §3)."""
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, octets, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, _sha256(octets))
    except InvalidSignature:
        return False
    return True


def sign(key: PrivateKey, octets: bytes) -> bytes:
    """Return the signature over `octets`."""
    if isinstance(key, RSAPrivateKey):
        return key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(_sha256(octets))


def kind_of(key: PrivateKey) -> Kind:
    """Return the kind of a key."""
    return Kind.RSA if isinstance(key, RSAPrivateKey) else Kind.ED25519


def generate(kind: Kind) -> PrivateKey:
    """Return a new key."""
    if kind is Kind.RSA:
        return generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    return Ed25519PrivateKey.generate()


def to_pem(key: PrivateKey) -> bytes:
    """Return a key as it is kept in a file (PKCS #8, not encrypted)."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def from_pem(octets: bytes) -> PrivateKey:
    """Return the key in a PEM file, PKCS #8 or the traditional form.

    Raises:
        BadKeyError: If there is none, it is encrypted, of another kind or too small.
    """
    try:
        key = serialization.load_pem_private_key(octets, password=None)
    except TypeError:
        raise BadKeyError("it is encrypted with a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError("it is no private key in PEM form") from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise BadKeyError("it is neither an RSA nor an Ed25519 key")
    if isinstance(key, RSAPrivateKey) and key.key_size < RSA_BITS_MIN:
        raise BadKeyError(f"its {key.key_size} bits are too few: {RSA_BITS} are usual")
    return key


def record_of(key: PrivateKey) -> str:
    """Return the text record that publishes the public half (RFC 6376 §3.6.1)."""
    public = key.public_key()
    if isinstance(public, Ed25519PublicKey):
        octets = public.public_bytes_raw()
    else:
        octets = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return f"v=DKIM1; k={kind_of(key).value}; p={base64.b64encode(octets).decode()}"


def record_name(selector: str, domain: str) -> str:
    """Return the name at which a key is published (RFC 6376 §3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def _kind(name: str) -> Kind:
    try:
        return Kind(name)
    except ValueError:
        raise BadKeyError(f"its kind is not known: {name[:40]!a}") from None


def _public_key(kind: Kind, octets: bytes) -> PublicKey:
    try:
        if kind is Kind.ED25519:
            return Ed25519PublicKey.from_public_bytes(octets)
        key = serialization.load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError("its p= is no key of that kind") from None
    if not isinstance(key, RSAPublicKey):
        raise BadKeyError("its p= is no RSA key")
    if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise BadKeyError(f"an RSA key of {key.key_size} bits does not count")
    return key


def _sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()
