"""Content made fit for a way that is narrower than the one it came by (RFC 3030 §3, RFC 6152 §3).

Binary content is for servers with BINARYMIME, and 8-bit content for those with 8BITMIME. For all
others the parts that need it get another Content-Transfer-Encoding, one by one: the octets that a
reader sees after decoding stay the same. What nobody may touch, such as a signed part (RFC 1847
§2.1), stays as it is, and where it cannot, the conversion is refused.

Any signature over the message as it was (DKIM, RFC 6376 §5.3) is broken by it.
"""

from binascii import b2a_base64, b2a_qp
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Final

from msgspec import Struct

from posthouse.mail.message import HeaderSection
from posthouse.mail.mime_parts import (
    Body,
    Header,
    Kind,
    Part,
    PartReader,
    Piece,
    UnreadableMessageError,
)

LINE_OCTETS_MAX: Final = 998  # RFC 5322 §2.1.1, without CRLF
BLOCK_OCTETS: Final = 64 * 1024

_ENCODINGS: Final = frozenset({"base64", "quoted-printable"})
_BASE64_LINE: Final = 57  # octets that make a line of 76 (RFC 2045 §6.8)
_DROPPED: Final = "dropped"
_KEPT: Final = ""


class ConversionError(Exception):
    """The content cannot be converted without damage; the message says why, in plain words."""


class Fit(Enum):
    """What the way can carry: lines that end with CRLF, of octets or of ASCII."""

    EIGHT_BIT = "8bit"
    SEVEN_BIT = "7bit"


class Plan(Struct, frozen=True):
    """What is to be done.

    Attributes:
        parts: By number of the part: its new Content-Transfer-Encoding.
        dropped: Multiparts by number: what stands before or behind their parts is left out.
        unknown: Parts whose text is of an unknown character set and must be called so (RFC 1428).
    """

    parts: Mapping[int, str]
    dropped: frozenset[int] = frozenset()
    unknown: frozenset[int] = frozenset()


class _Facts:
    """What the body of a part is made of."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.octets = self.foreign = 0
        self.broken = self.nul = self.overlong = False
        self._line_octets = 0

    def look_at(self, octets: bytes) -> None:
        """Take the next octets, in which no CRLF is split."""
        self.octets += len(octets)
        if not octets.isascii():
            self.foreign += len(octets) - len(octets.translate(None, _FOREIGN))
        pairs = octets.count(b"\r\n")
        if octets.count(b"\n") != pairs or octets.count(b"\r") != pairs:
            self.broken = True
        self.nul = self.nul or b"\0" in octets
        first, *more = octets.split(b"\r\n")
        lengths = [self._line_octets + len(first), *(len(line) for line in more)]
        self.overlong = self.overlong or max(lengths) > LINE_OCTETS_MAX
        self._line_octets = lengths[-1]


_FOREIGN: Final = bytes(range(128, 256))


def plan_for(blocks: Iterable[bytes], fit: Fit) -> Plan | None:
    """Return what makes a message fit; None if it is fit as it is.

    Raises:
        ConversionError: If that is impossible.
    """
    parts: dict[int, str] = {}
    dropped: set[int] = set()
    unknown: set[int] = set()
    for facts in _surveyed(blocks):
        what = _action(facts, fit)
        if what == _DROPPED:
            dropped.add(facts.part.number)
        elif what:
            parts[facts.part.number] = what
            if what in _ENCODINGS and not facts.part.typed and facts.foreign:
                unknown.add(facts.part.number)
    if not (parts or dropped):
        return None
    return Plan(parts, frozenset(dropped), frozenset(unknown))


def reencoded(blocks: Iterable[bytes], plan: Plan) -> Iterator[bytes]:
    """Yield the message as planned; `blocks` are those that `plan_for` saw."""
    writer = _Writer(plan)
    for pieces in _read(blocks):
        if octets := b"".join(writer.write(piece) for piece in pieces):
            yield octets
    if rest := writer.end():
        yield rest


def _read(blocks: Iterable[bytes]) -> Iterator[list[Piece]]:
    """Take a message apart, a little at a time, however large its blocks are."""
    reader = PartReader()
    try:
        for block in blocks:
            for at in range(0, len(block), BLOCK_OCTETS):
                yield reader.take(block[at : at + BLOCK_OCTETS])
        yield reader.end()
    except UnreadableMessageError as error:
        raise ConversionError(str(error)) from error


def _surveyed(blocks: Iterable[bytes]) -> Iterable[_Facts]:
    """What each part and each padding is made of."""
    found: dict[tuple[int, bool], _Facts] = {}
    for pieces in _read(blocks):
        for piece in pieces:
            match piece:
                case Header(part=part, octets=octets):
                    _check_header(octets)
                    found[part.number, False] = _Facts(part)
                case Body(part=part, octets=octets):
                    key = part.number, part.kind is Kind.PADDING
                    found.setdefault(key, _Facts(part)).look_at(octets)
                case _:
                    pass
    return found.values()


def _check_header(octets: bytes) -> None:
    pairs = octets.count(b"\r\n")
    if octets.count(b"\n") != pairs or octets.count(b"\r") != pairs or b"\0" in octets:
        raise ConversionError("a bare CR, a bare LF or a NUL is in a header")


def _action(facts: _Facts, fit: Fit) -> str:
    """What becomes of a part: a new encoding, or nothing."""
    part = facts.part
    too_wide = facts.foreign > 0 and fit is Fit.SEVEN_BIT
    unfit = facts.broken or facts.nul or too_wide
    match part.kind:
        case Kind.PADDING:
            return _DROPPED if unfit or facts.overlong else _KEPT
        case Kind.MULTIPART | Kind.MESSAGE:
            return _label(part, fit, fit.value)
        case Kind.OPAQUE:
            if unfit:
                raise ConversionError(f"a part ({part.media_type}) must not be changed")
            return _KEPT
        case _:
            if unfit or facts.overlong:
                return _encoding_for(facts)
            return _label(part, fit, "8bit" if facts.foreign else "7bit")


def _label(part: Part, fit: Fit, fitting: str) -> str:
    """The new label of a part whose octets stay; none if the old one does."""
    is_wide = part.encoding == "binary" or (part.encoding == "8bit" and fit is Fit.SEVEN_BIT)
    return fitting if is_wide else _KEPT


def _encoding_for(facts: _Facts) -> str:
    """Text that is mostly ASCII stays readable; all else is shorter in base64."""
    is_text = facts.part.media_type.startswith("text/") and not facts.nul
    return "quoted-printable" if is_text and facts.foreign * 6 < facts.octets else "base64"


class _Writer:
    """Writes pieces as planned."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._encoder: _Base64 | _QuotedPrintable | None = None
        self._header_unwritten: tuple[Part, bytes] | None = None

    def write(self, piece: Piece) -> bytes:
        """Return the wire form of a piece."""
        match piece:
            case Header(part=part, octets=octets):
                return self._ended() + self._header(part, octets)
            case Body(part=part, octets=octets):
                return self._body(part, octets)
            case _:
                return self._ended() + piece.octets

    def end(self) -> bytes:
        """Return what is left behind the last piece."""
        last = self._ended()
        return last + b"\r\n" if last and not last.endswith(b"\r\n") else last

    def _ended(self) -> bytes:
        encoder, self._encoder = self._encoder, None
        return encoder.end() if encoder is not None else b""

    def _body(self, part: Part, octets: bytes) -> bytes:
        if part.kind is Kind.PADDING:
            return b"" if part.number in self._plan.dropped else octets
        if self._encoder is None:
            match self._plan.parts.get(part.number):
                case "base64":
                    self._encoder = _Base64()
                case "quoted-printable":
                    self._encoder = _QuotedPrintable()
                case _:
                    return octets
        return self._encoder.take(octets)

    def _header(self, part: Part, octets: bytes) -> bytes:
        label = self._plan.parts.get(part.number)
        if label is None:
            return octets
        field = f"Content-Transfer-Encoding: {label}\r\n".encode()
        header = HeaderSection(octets, complete=True)
        lines = [
            b"%b:%b\r\n" % (it.name, it.folded)
            for it in header.all_fields
            if it.key != b"content-transfer-encoding"
        ]
        if label in _ENCODINGS and part.top and not header.has("MIME-Version"):
            lines.append(b"MIME-Version: 1.0\r\n")
        if part.number in self._plan.unknown:
            lines.append(b"Content-Type: text/plain; charset=unknown-8bit\r\n")
        return b"".join([*lines, field])


class _Base64:
    """Encodes in lines; the last one has no CRLF."""

    def __init__(self) -> None:
        self._kept = b""
        self._begun = False

    def take(self, octets: bytes) -> bytes:
        """Return whole lines."""
        octets = self._kept + octets
        # At least one octet is kept, so that a line follows every CRLF.
        whole = max(len(octets) - 1, 0) // _BASE64_LINE * _BASE64_LINE
        self._kept = octets[whole:]
        return self._lines(octets[:whole])

    def end(self) -> bytes:
        """Return the last line."""
        return self._lines(self._kept)

    def _lines(self, octets: bytes) -> bytes:
        if not octets:
            return b""
        lead = b"\r\n" if self._begun else b""
        self._begun = True
        signs = b2a_base64(octets, newline=False)
        return lead + b"\r\n".join(signs[at : at + 76] for at in range(0, len(signs), 76))


class _QuotedPrintable:
    """Encodes line by line; CRLF stays, and every other CR and LF is encoded."""

    def __init__(self) -> None:
        self._kept = b""

    def take(self, octets: bytes) -> bytes:
        """Return whole lines."""
        *lines, self._kept = (self._kept + octets).split(b"\r\n")
        written = b"".join(_quoted(line) + b"\r\n" for line in lines)
        if len(self._kept) > BLOCK_OCTETS:  # a line without end, broken softly
            written += _quoted(self._kept) + b"=\r\n"
            self._kept = b""
        return written

    def end(self) -> bytes:
        """Return the last line, which has no CRLF."""
        return _quoted(self._kept)


def _quoted(line: bytes) -> bytes:
    return b2a_qp(line, istext=False).replace(b"=\n", b"=\r\n")
