"""A message while it comes: its header section, and the hashes that its signatures need."""

from typing import Final

from posthouse.authentication.signatures.arc_chain import Chain, read_chain
from posthouse.authentication.signatures.body_hash import BodyDigest, BodyHash, BodyKind
from posthouse.authentication.signatures.signature import Signature, parse_signature
from posthouse.authentication.tags import TagError
from posthouse.mail.message import (
    HEADER_OCTETS_MAX,
    Field,
    HeaderSection,
    header_end,
    split_header,
)

SIGNATURES_MAX: Final = 8  # of each sort, from the top; each costs a look-up and a verification
BODY_KINDS_MAX: Final = 6
_EMPTY_LINE: Final = b"\r\n\r\n"


class ArrivingMessage:
    """Takes a message in parts; afterwards signatures can be verified without its body.

    Attributes:
        header: The header section; empty until it has come.
        signatures: DKIM-Signature fields from the top, read; with what is wrong where they cannot
            be.
        chain: What forwarders left; None if there is none.
    """

    def __init__(self) -> None:
        self.header = HeaderSection(b"", complete=False)
        self.signatures: list[tuple[Field, Signature | TagError]] = []
        self.chain: Chain | None = None
        self._head: bytearray | None = bytearray()
        self._hashes: dict[BodyKind, BodyHash] = {}
        self._digests: dict[BodyKind, BodyDigest] = {}

    def take(self, octets: bytes) -> None:
        """Take the next part, cut anywhere."""
        if self._head is not None:
            self._take_head(octets)
        else:
            self._hash(octets)

    def end(self) -> None:
        """The last part has come."""
        if self._head is not None:
            self._read_header(split_header(bytes(self._head)))
        self._digests = {kind: hashing.end() for kind, hashing in self._hashes.items()}

    def digest(self, kind: BodyKind) -> BodyDigest | None:
        """Return the body's hash; None if it was one too many of them."""
        return self._digests.get(kind)

    def _take_head(self, octets: bytes) -> None:
        assert self._head is not None
        seen = max(0, len(self._head) - len(_EMPTY_LINE) + 1)
        self._head += octets
        found = self._head.startswith(b"\r\n") or self._head.find(_EMPTY_LINE, seen) >= 0
        if not found and len(self._head) < HEADER_OCTETS_MAX:
            return
        whole, self._head = bytes(self._head), None
        self._read_header(split_header(whole))
        if found:
            self._hash(whole[header_end(whole) + 2 :])

    def _read_header(self, header: HeaderSection) -> None:
        self.header = header
        for field in header.all_fields:
            if field.key == b"dkim-signature" and len(self.signatures) < SIGNATURES_MAX:
                self.signatures.append((field, _read(field)))
        self.chain = read_chain(header)
        kinds = [read.body_kind for _, read in self.signatures if isinstance(read, Signature)]
        if self.chain is not None and self.chain.sets:
            kinds.insert(0, self.chain.sets[-1].signature.body_kind)
        for kind in kinds:
            if len(self._hashes) < BODY_KINDS_MAX:
                self._hashes.setdefault(kind, BodyHash(kind))

    def _hash(self, octets: bytes) -> None:
        for hashing in self._hashes.values():
            hashing.take(octets)


def arrived(message: bytes) -> ArrivingMessage:
    """Return a whole message as one that has come."""
    arriving = ArrivingMessage()
    arriving.take(message)
    arriving.end()
    return arriving


def _read(field: Field) -> Signature | TagError:
    try:
        return parse_signature(field)
    except TagError as error:
        return error
