"""A signature field, read (RFC 6376 §3.5). ARC-Message-Signature has the same tags."""

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from posthouse.authentication.signatures.body_hash import BodyKind
from posthouse.authentication.signatures.canonical import Form, Forms, canonical_field
from posthouse.authentication.signatures.keys import Kind
from posthouse.authentication.tags import TagError, encoded, number, parse_tags, text, words
from posthouse.mail.address import AddressError, parse_domain
from posthouse.mail.message import Field, HeaderSection

SIGNED_FIELDS_MAX: Final = 500
_SPACE: Final = b" \t\r\n"
_KINDS: Final = {kind.algorithm: kind for kind in Kind}


class Signature(Struct, frozen=True):
    """What the tags of a signature field say.

    Attributes:
        field: The field itself.
        kind: Of the key.
        domain: Who signed, ``d=``.
        selector: Which of its keys, ``s=``.
        forms: Canonical forms, ``c=``.
        signed_fields: Names, lower-case, ``h=``.
        body_digest: ``bh=``.
        octets: The signature proper, ``b=``.
        body_octets_max: ``l=``; None for the whole body.
        identity: On whose behalf, ``i=``, as written; "" if not said.
        signed_at: ``t=``.
        expires: ``x=``.
    """

    field: Field
    kind: Kind
    domain: str
    selector: str
    forms: Forms
    signed_fields: tuple[bytes, ...]
    body_digest: bytes
    octets: bytes
    body_octets_max: int | None = None
    identity: str = ""
    signed_at: datetime | None = None
    expires: datetime | None = None

    @property
    def body_kind(self) -> BodyKind:
        """Which hash of the body it needs."""
        return BodyKind(self.forms.body, self.body_octets_max)


def parse_signature(field: Field) -> Signature:
    """Return what a DKIM-Signature field says.

    Raises:
        TagError: If it breaks RFC 6376 §3.5, or asks for what must not count (RFC 8301).
    """
    tags = parse_tags(field.folded)
    if text(tags, "v") != "1":
        raise TagError("its version is not 1")
    if "dns/txt" not in words(text(tags, "q", "dns/txt")):
        raise TagError("its key is not in DNS")
    signature = read_signature(field, tags)
    domain = signature.domain
    _, at, identity_domain = signature.identity.rpartition("@")
    if signature.identity and (not at or not f".{identity_domain.lower()}".endswith(f".{domain}")):
        raise TagError("i= is not within d=")
    if b"from" not in signature.signed_fields:
        raise TagError("From is not signed")
    return signature


def read_signature(field: Field, tags: dict[str, bytes]) -> Signature:
    """Return what DKIM and ARC have in common.

    Raises:
        TagError: If a tag is missing or wrong.
    """
    kind = algorithm_in(tags)
    signed_at, expires = number(tags, "t"), number(tags, "x")
    if expires is not None and signed_at is not None and expires <= signed_at:
        raise TagError("it expires before it was made")
    names = tuple(name.encode().lower() for name in words(text(tags, "h")))
    if not all(names) or len(names) > SIGNED_FIELDS_MAX:
        raise TagError("h= is no list of fields")
    return Signature(
        field,
        kind,
        domain_in(tags),
        selector_in(tags),
        _forms(text(tags, "c", "simple/simple")),
        names,
        encoded(tags, "bh"),
        encoded(tags, "b"),
        body_octets_max=number(tags, "l"),
        identity=text(tags, "i", ""),
        signed_at=_instant(signed_at),
        expires=_instant(expires),
    )


def algorithm_in(tags: dict[str, bytes]) -> Kind:
    """Return the kind of key in ``a=``.

    Raises:
        TagError: If it is missing or does not count.
    """
    algorithm = text(tags, "a").lower()
    if algorithm not in _KINDS:
        raise TagError(f"its algorithm does not count: {algorithm[:40]!a}")
    return _KINDS[algorithm]


def domain_in(tags: dict[str, bytes]) -> str:
    """Return the domain in ``d=``, lower-case A-labels (RFC 8616 §4 allows U-labels).

    Raises:
        TagError: If it is none.
    """
    return _domain(tags, "d")


def selector_in(tags: dict[str, bytes]) -> str:
    """Return the selector in ``s=``.

    Raises:
        TagError: If it is none.
    """
    return _domain(tags, "s")


def signed_octets(
    header: HeaderSection, names: tuple[bytes, ...], form: Form, field: Field
) -> bytes:
    """Return what is signed: the named fields from the bottom up, then `field` without its ``b=``.

    A name that occurs more often than its field stands for a field that must not be there
    (RFC 6376 §5.4.2).
    """
    places: dict[bytes, list[Field]] = {}
    for one in header.all_fields:
        places.setdefault(one.key, []).append(one)
    chosen = []
    for name in names:
        fields = places.get(name)
        while fields:
            candidate = fields.pop()
            if candidate is not field:
                chosen.append(canonical_field(candidate, form))
                break
    own = canonical_field(without_signature(field), form).removesuffix(b"\r\n")
    return b"".join(chosen) + own


def without_signature(field: Field) -> Field:
    """Return the field with the value of its ``b=`` taken out (RFC 6376 §3.5)."""
    parts = field.folded.split(b";")
    for place, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if name.strip(_SPACE) == b"b":
            parts[place] = name + equals
    return Field(field.name, b";".join(parts))


def _forms(value: str) -> Forms:
    header, _, body = value.lower().partition("/")
    try:
        return Forms(Form(header.strip()), Form(body.strip() or "simple"))
    except ValueError:
        raise TagError(f"its canonical form is not known: {value[:40]!a}") from None


def _domain(tags: dict[str, bytes], name: str) -> str:
    value = text(tags, name)
    try:
        domain = parse_domain(value)
    except AddressError:
        raise TagError(f"{name}= is no domain") from None
    if domain.startswith("["):
        raise TagError(f"{name}= is no domain")
    return domain


def _instant(seconds: int | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.max.replace(tzinfo=UTC)
