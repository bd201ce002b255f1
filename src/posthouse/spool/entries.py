"""What stands in the journal: messages, and words about what became of them."""

from typing import Final, TypeAlias

from msgspec import Struct, msgpack

from posthouse.mail.envelope import Envelope


class Kept(Struct, frozen=True, array_like=True, tag="kept"):
    """A message that was accepted: the journal answers for it.

    Attributes:
        id: Its queue id.
        envelope: Whom from, whom for.
        content: All of it.
    """

    id: str
    envelope: Envelope
    content: bytes


class Delivered(Struct, frozen=True, array_like=True, tag="delivered"):
    """Some recipients of a message have it; others do not yet.

    Attributes:
        id: Of the message.
        places: In its envelope.
        kind: `delivered` or `expanded`.
        reply: What the next hop said.
        host: Who said it.
        at: Microseconds since 1970.
        tls: How the way there was protected, in words.
    """

    id: str
    places: tuple[int, ...]
    kind: str
    reply: str
    host: str
    at: int
    tls: str = ""


class Gone(Struct, frozen=True, array_like=True, tag="gone"):
    """A message is settled, or on the shelf: the journal answers for it no more."""

    id: str


Entry: TypeAlias = Kept | Delivered | Gone
_ENCODER: Final = msgpack.Encoder()
_DECODER: Final = msgpack.Decoder(Kept | Delivered | Gone)


def encode(entry: Entry) -> bytes:
    """Return the octets of a record."""
    return _ENCODER.encode(entry)


def decode(octets: bytes) -> Entry:
    """Return what `encode` wrote.

    Raises:
        msgspec.DecodeError: If it is none of ours.
    """
    entry: Entry = _DECODER.decode(octets)
    return entry
