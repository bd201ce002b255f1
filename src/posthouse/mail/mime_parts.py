"""A message as its parts, block by block (RFC 2045, RFC 2046): for who rewrites some of them.

Nothing is decoded and nothing is lost: the pieces, one behind the other, are the message. What is
not understood is one part without parts, so that nobody takes it apart by mistake.
"""

import re
from email.message import Message
from enum import Enum
from typing import Final

from msgspec import Struct

from posthouse.mail.message import HEADER_OCTETS_MAX, HeaderSection

DEPTH_MAX: Final = 50  # of parts in parts
PARTS_MAX: Final = 10_000
DELIMITER_OCTETS_MAX: Final = 1000  # a line with a boundary and white space behind it

BOUNDARY_OCTETS_MAX: Final = 200  # RFC 2046 §5.1.1 has 70; not everybody keeps to it

_NEWLINE: Final = b"\r\n"


class UnreadableMessageError(Exception):
    """The message has more parts, or larger headers, than anybody should take apart."""


class Kind(Enum):
    """What a part is."""

    LEAF = "leaf"  # its body may be encoded
    OPAQUE = "opaque"  # nobody but its reader may touch it: signed, or not understood
    MULTIPART = "multipart"
    MESSAGE = "message"  # a whole message
    PADDING = "padding"  # before the first and behind the last part; nobody reads it


class Part(Struct, frozen=True):
    """One part of a message.

    Attributes:
        number: In the order of the message; the message itself is 0.
        kind: What may be done with it.
        media_type: Lower case, such as ``text/plain``; the default where none is given.
        encoding: Content-Transfer-Encoding, lower case; ``7bit`` where none is given.
        typed: It has a Content-Type field.
        top: Its header is that of a message: of the whole one, or of one inside.
    """

    number: int
    kind: Kind
    media_type: str = "text/plain"
    encoding: str = "7bit"
    typed: bool = False
    top: bool = False


class Header(Struct, frozen=True):
    """The header section of a part, last CRLF included; the empty line not."""

    part: Part
    octets: bytes


class Body(Struct, frozen=True):
    """Some of the body of a leaf, an opaque part or padding. No CRLF is split."""

    part: Part
    octets: bytes


class Mark(Struct, frozen=True):
    """What stands between: an empty line behind a header, a line with a boundary."""

    octets: bytes


Piece = Header | Body | Mark


class _Open(Struct, frozen=True):
    """A multipart that has not ended."""

    boundary: bytes
    part: Part
    messages: int  # that it lies in


class PartReader:
    """Cuts a message into pieces.

    A line is a delimiter if it is a boundary and white space, whichever of the multiparts that are
    open it belongs to: the innermost first.
    """

    def __init__(self) -> None:
        self._unread = b""
        self._open: list[_Open] = []
        self._count = 0
        self._messages = 0  # that we are in
        self._top = True
        self._default = "text/plain"
        self._in_header = True
        self._at_start = False  # of a body: a delimiter needs no CRLF of its own before it
        self._part = Part(0, Kind.LEAF)
        self._line = self._line_behind_another = re.compile(b"")

    def take(self, block: bytes) -> list[Piece]:
        """Take a block; return the pieces that are known by it.

        Raises:
            UnreadableMessageError: If it has too many parts, or a header without an end.
        """
        self._unread += block
        pieces: list[Piece] = []
        while self._step(pieces, ended=False):
            pass
        return pieces

    def end(self) -> list[Piece]:
        """Return what is left, after the last block."""
        pieces: list[Piece] = []
        while self._step(pieces, ended=True):
            pass
        return pieces

    def _step(self, pieces: list[Piece], *, ended: bool) -> bool:
        """Go on; False where that needs more octets."""
        if self._in_header:
            return self._read_header(pieces, ended=ended)
        return self._read_body(pieces, ended=ended)

    # ---------------------------------------------------------------- headers

    def _read_header(self, pieces: list[Piece], *, ended: bool) -> bool:
        unread = self._unread
        if not ended and len(unread) < 2:
            return False
        end = 0 if unread.startswith(_NEWLINE) else unread.find(b"\r\n\r\n") + 2
        has_end = end > 1 or unread.startswith(_NEWLINE)
        upto = end if has_end else len(unread)
        if upto > HEADER_OCTETS_MAX:
            raise UnreadableMessageError("a header section is larger than 64 KiB")
        if not has_end and not ended:
            return False
        found, _ = self._delimiter(unread[:upto], -2, ended=True)
        if found is not None:  # a header that the next part cuts off
            upto = found[0] + 2
            self._enter(HeaderSection(unread[:upto], complete=False), pieces)
            self._unread = unread[upto:]
            self._in_header, self._at_start = False, True
            return True
        self._unread = unread[upto + 2 :]
        self._enter(HeaderSection(unread[:upto], complete=has_end), pieces)
        if has_end:
            pieces.append(Mark(_NEWLINE))
        self._at_start = True
        return has_end

    def _enter(self, header: HeaderSection, pieces: list[Piece]) -> None:
        """The header of a part is here: see what it is."""
        part, boundary = _described(header, self._count, self._default, top=self._top)
        self._count += 1
        deep = self._messages + len(self._open) >= DEPTH_MAX
        if self._count > PARTS_MAX:
            raise UnreadableMessageError(f"the message has more than {PARTS_MAX} parts")
        if deep and part.kind in (Kind.MULTIPART, Kind.MESSAGE):
            raise UnreadableMessageError(f"parts lie in parts more than {DEPTH_MAX} times")
        pieces.append(Header(part, header.octets))
        self._in_header = self._top = part.kind is Kind.MESSAGE
        self._part = part
        self._default = "text/plain"
        if part.kind is Kind.MESSAGE:
            self._messages += 1
        if part.kind is Kind.MULTIPART:
            self._open.append(_Open(boundary, part, self._messages))
            self._look_for_open()
            self._part = Part(part.number, Kind.PADDING)

    # ---------------------------------------------------------------- bodies

    def _read_body(self, pieces: list[Piece], *, ended: bool) -> bool:
        unread = self._unread
        found, safe = self._delimiter(unread, -2 if self._at_start else 0, ended=ended)
        if found is None:
            if safe > 0:
                self._add_body(pieces, unread[:safe])
                self._unread = unread[safe:]
                self._at_start = False
            return False
        start, end, level, closes = found
        self._add_body(pieces, unread[: max(start, 0)])
        pieces.append(Mark(unread[max(start, 0) : end]))
        self._at_start = True
        opened = self._open[level]
        del self._open[level + (0 if closes else 1) :]
        self._look_for_open()
        self._messages = opened.messages
        if closes:
            self._part = Part(opened.part.number, Kind.PADDING)
        else:
            self._in_header, self._top = True, False
            is_digest = opened.part.media_type == "multipart/digest"
            self._default = "message/rfc822" if is_digest else "text/plain"
        self._unread = unread[end:]
        return True

    def _add_body(self, pieces: list[Piece], octets: bytes) -> None:
        if octets:
            pieces.append(Body(self._part, octets))

    def _delimiter(
        self, octets: bytes, at: int, *, ended: bool
    ) -> tuple[tuple[int, int, int, bool] | None, int]:
        """Find the next delimiter of any multipart that is open.

        Args:
            octets: Where to look.
            at: From where on; -2: a delimiter may be the first line.
            ended: Nothing will follow `octets`.

        Returns:
            Where it begins (its CRLF; -2 for one in the first line), where it ends, the level it
            belongs to, and whether it closes; or None. Then, up to where there is certainly none.
        """
        if not self._open:
            return None, len(octets) if ended else len(octets) - octets.endswith(b"\r")
        whole = octets + _NEWLINE if ended else octets
        found = self._line.match(whole) if at < 0 else None
        start = -2
        if found is None:
            found = self._line_behind_another.search(whole, max(at, 0))
            start = found.start() if found is not None else 0
        if found is None:
            return None, len(octets) if ended else _certain(octets)
        names = [one.boundary for one in self._open]
        level = len(names) - 1 - names[::-1].index(found[1])
        return (start, min(found.end(), len(octets)), level, found[2] is not None), 0

    def _look_for_open(self) -> None:
        """Know the delimiters of all that is open, the innermost first."""
        names = b"|".join(re.escape(one.boundary) for one in reversed(self._open))
        line = rb"--(%b)(--)?[ \t]*+\r\n" % names
        self._line = re.compile(line)
        self._line_behind_another = re.compile(rb"\r\n" + line)


def _certain(octets: bytes) -> int:
    """Up to where there is no begin of a delimiter that is not whole yet: a line, if short."""
    last = octets.rfind(_NEWLINE)
    begin = max(last, 0)  # without any CRLF, the first line may be one
    if len(octets) - begin < DELIMITER_OCTETS_MAX:
        return begin
    return len(octets) - octets.endswith(b"\r")


def _described(
    header: HeaderSection, number: int, default: str, *, top: bool
) -> tuple[Part, bytes]:
    """What the header says of its part, and the boundary of a multipart."""
    types, encodings = header.fields("Content-Type"), header.fields("Content-Transfer-Encoding")
    media_type, boundary = _media_type(types[0], default) if types else (default, b"")
    encoding = re.split(rb"[\s;(]", encodings[0].lower().strip())[0] if encodings else b"7bit"
    name = encoding.decode("ascii", "replace")
    kind = _kind(media_type, name, boundary)
    if header.malformed or len(types) > 1 or len(encodings) > 1:
        kind = Kind.OPAQUE  # two readers may read it differently
    return Part(number, kind, media_type, name, bool(types), top), boundary


def _media_type(value: bytes, default: str) -> tuple[str, bytes]:
    """Media type and boundary of a Content-Type field."""
    read = Message()
    read.set_default_type(default)
    read["Content-Type"] = value.decode("latin-1")
    boundary = read.get_boundary("")
    return read.get_content_type(), boundary.encode("latin-1", "replace")


def _kind(media_type: str, encoding: str, boundary: bytes) -> Kind:
    main, _, sub = media_type.partition("/")
    plain = encoding in {"7bit", "8bit", "binary"}
    if main == "multipart":
        # What was signed must reach its reader as it is (RFC 1847 §2.1).
        whole = sub != "signed" and plain and 0 < len(boundary) <= BOUNDARY_OCTETS_MAX
        return Kind.MULTIPART if whole else Kind.OPAQUE
    if media_type == "message/rfc822":
        return Kind.MESSAGE if plain else Kind.OPAQUE
    if main == "message" and not sub.startswith("global"):  # RFC 2045 §6.4; RFC 6532 §3.7
        return Kind.OPAQUE
    return Kind.LEAF if plain else Kind.OPAQUE
