"""The hash of a body while it comes."""

import hashlib

from msgspec import Struct

from posthouse.authentication.signatures.canonical import CanonicalBody, Form


class BodyKind(Struct, frozen=True):
    """Which hash of a body is wanted.

    Attributes:
        form: Of its canonical form.
        octets_max: Only so many octets of that are hashed (``l=``, RFC 6376 §3.5); None for all.
    """

    form: Form
    octets_max: int | None = None


class BodyDigest(Struct, frozen=True):
    """A finished hash.

    Attributes:
        digest: SHA-256.
        hashed: Octets of the canonical form that were hashed.
        octets: Octets of the whole canonical form.
    """

    digest: bytes
    hashed: int
    octets: int


class BodyHash:
    """SHA-256 over the canonical form of a body."""

    def __init__(self, kind: BodyKind) -> None:
        self._kind = kind
        self._canonical = CanonicalBody(kind.form)
        self._sha256 = hashlib.sha256()
        self._octets = 0

    def take(self, octets: bytes) -> None:
        """Take the next part, cut anywhere."""
        self._hash(self._canonical.take(octets))

    def end(self) -> BodyDigest:
        """Return the hash, after the last part."""
        self._hash(self._canonical.end())
        limit = self._kind.octets_max
        hashed = self._octets if limit is None else min(limit, self._octets)
        return BodyDigest(self._sha256.digest(), hashed, self._octets)

    def _hash(self, octets: bytes) -> None:
        limit = self._kind.octets_max
        wanted = octets if limit is None else octets[: max(0, limit - self._octets)]
        self._sha256.update(wanted)
        self._octets += len(octets)


def body_digest(body: bytes, kind: BodyKind) -> BodyDigest:
    """Return the hash of a whole body."""
    hashing = BodyHash(kind)
    hashing.take(body)
    return hashing.end()
