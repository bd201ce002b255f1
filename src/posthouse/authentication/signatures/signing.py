"""Signing a message for its domain (RFC 6376 §5)."""

import base64
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from posthouse.authentication.signatures.body_hash import BodyKind, body_digest
from posthouse.authentication.signatures.canonical import Form, Forms
from posthouse.authentication.signatures.keys import PrivateKey, kind_of, sign
from posthouse.authentication.signatures.signature import signed_octets
from posthouse.mail.message import Field, HeaderSection, header_end, split_header

LINE_OCTETS: Final = 78  # RFC 5322 §2.1.1
FORMS: Final = Forms(Form.RELAXED, Form.RELAXED)
BODY_KIND: Final = BodyKind(Form.RELAXED)

# Fields that make a message say something else if somebody adds one: signed once more than they
# are there, so that a further one breaks the signature (RFC 6376 §8.15).
OVERSIGNED: Final = (b"from", b"reply-to", b"subject", b"to", b"cc")
OVERSIGNED_IF_THERE: Final = (
    b"date",
    b"message-id",
    b"sender",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
    b"content-disposition",
)
SIGNED_IF_THERE: Final = (
    b"in-reply-to",
    b"references",
    b"list-id",
    b"list-help",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"list-subscribe",
    b"list-post",
    b"list-owner",
    b"list-archive",
)


class Signer(Struct, frozen=True):
    """A key of ours and where its public half is published.

    Attributes:
        domain: For which it signs.
        selector: Under which it is published.
        key: The private key.
        lifetime: After which the signature no longer counts; None for no end.
    """

    domain: str
    selector: str
    key: PrivateKey
    lifetime: timedelta | None = None


def sign_message(message: bytes, signers: Sequence[Signer], now: datetime) -> bytes:
    """Return the signature fields of a whole message, CRLF included, to be put before it."""
    end = header_end(message)
    body = message[end + 2 :] if end >= 0 else b""
    digest = body_digest(body, BODY_KIND).digest
    return signature_fields(split_header(message), digest, signers, now)


def signature_fields(
    header: HeaderSection, digest: bytes, signers: Sequence[Signer], now: datetime
) -> bytes:
    """Return one signature field for each signer, CRLF included.

    Args:
        header: Of the message.
        digest: Of its body, of the kind `BODY_KIND`.
        signers: One at least for each kind of key that verifiers may know.
        now: The time, for ``t=``.
    """
    names = fields_to_sign(header)
    return b"".join(_signature_field(header, names, digest, signer, now) for signer in signers)


def fields_to_sign(header: HeaderSection) -> tuple[bytes, ...]:
    """Return the names for ``h=``, in which a field that is there twice occurs twice."""
    counts: dict[bytes, int] = {}
    for field in header.all_fields:
        counts[field.key] = counts.get(field.key, 0) + 1
    names: list[bytes] = []
    for name in OVERSIGNED:
        names += [name] * (counts.get(name, 0) + 1)
    for name in OVERSIGNED_IF_THERE:
        names += [name] * (counts[name] + 1 if name in counts else 0)
    for name in SIGNED_IF_THERE:
        names += [name] * counts.get(name, 0)
    return tuple(names)


def _signature_field(
    header: HeaderSection, names: tuple[bytes, ...], digest: bytes, signer: Signer, now: datetime
) -> bytes:
    seconds = int(now.timestamp())
    tags = [
        "v=1",
        f"a={kind_of(signer.key).algorithm}",
        f"c={FORMS}",
        f"d={signer.domain}",
        f"s={signer.selector}",
        f"t={seconds}",
        f"h={':'.join(name.decode() for name in names)}",
        f"bh={base64.b64encode(digest).decode()}",
    ]
    if signer.lifetime is not None:
        tags.insert(6, f"x={seconds + int(signer.lifetime.total_seconds())}")
    return finish_field(b"DKIM-Signature", tags, header, names, signer.key)


def finish_field(
    name: bytes,
    tags: Sequence[str],
    header: HeaderSection,
    names: tuple[bytes, ...],
    key: PrivateKey,
) -> bytes:
    """Return a signature field with its ``b=``, CRLF included.

    Args:
        name: Of the field.
        tags: All but ``b=``.
        header: In which the signed fields are.
        names: Of the signed fields.
        key: The private key.
    """
    unsigned = folded(name, tags)
    octets = signed_octets(header, names, FORMS.header, unsigned)
    return with_signature(unsigned, sign(key, octets))


def folded(name: bytes, tags: Sequence[str]) -> Field:
    """Return a field of tags in lines of bearable length, an empty ``b=`` at its end."""
    line = f"{name.decode()}:"
    lines = []
    for tag in (*(f"{tag};" for tag in tags), "b="):
        for piece in _pieces(tag):
            if len(line) + 1 + len(piece.text) > LINE_OCTETS and line.strip():
                lines.append(line)
                line = "\t"
            space = " " if piece.begins and line != "\t" else ""
            line += space + piece.text
    lines.append(line)
    value = "\r\n".join(lines).removeprefix(f"{name.decode()}:")
    return Field(name, value.encode())


def with_signature(unsigned: Field, signature: bytes) -> bytes:
    """Return the whole field, CRLF included; the signature stands on lines of its own."""
    text = base64.b64encode(signature)
    step = LINE_OCTETS - 1
    lines = [text[place : place + step] for place in range(0, len(text), step)]
    value = b"".join(b"\r\n\t" + line for line in lines)
    return unsigned.name + b":" + unsigned.folded + value + b"\r\n"


class _Piece(Struct, frozen=True):
    """Part of a tag that stays on one line; `begins`: it is the first."""

    text: str
    begins: bool


def _pieces(tag: str) -> Iterator[_Piece]:
    """A list of fields may be folded after each colon, everything else is left whole."""
    if not tag.startswith("h="):
        yield _Piece(tag, begins=True)
        return
    names = tag.split(":")
    for place, name in enumerate(names):
        yield _Piece(name + (":" if place < len(names) - 1 else ""), begins=not place)
