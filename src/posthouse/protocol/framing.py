"""Lines and content on the wire, in blocks: CRLF, dots, limits (RFC 5321 §2.3.8, §4.5.2).

There is one end of data: CRLF, dot, CRLF. A bare CR or LF never ends a line of content and never
hides an end of data; it is reported, and content with one is to be refused.
"""

from enum import Enum
from io import IncrementalNewlineDecoder
from typing import Final

TEXT_LINE_OCTETS_MAX: Final = 1000  # RFC 5321 §4.5.3.1.6, CRLF included

_END: Final = b"\r\n.\r\n"
_DOT: Final = b"\r\n."
_NUL, _CR = b"\x00\r"  # as numbers: to look for octets takes five times as long


class LineFault(Enum):
    """Why a line cannot be a command."""

    TOO_LONG = "too long"
    BARE_NEWLINE = "bare newline"  # it ends with LF alone, or has a CR inside
    NUL = "NUL"


class LineBuffer:
    """Cuts a stream into lines. A line ends at LF; one without CR before it is a fault.

    The end of a line that is too long is skipped as it comes, so that no more than the limit is
    kept of one line.

    Attributes:
        unread: What no line was made of yet; not to be changed by others.
    """

    __slots__ = ("_searched", "_skipping", "unread")

    def __init__(self) -> None:
        self.unread = bytearray()
        self._searched = 0
        self._skipping = False

    def __len__(self) -> int:
        return len(self.unread)

    def feed(self, octets: bytes) -> None:
        """Take octets of the stream."""
        self.unread += octets

    def next_line(self, octets_max: int) -> bytes | LineFault | None:
        """Return the next line without CRLF, a fault in its place, or None while none is whole.

        Args:
            octets_max: Limit of a line, CRLF included.
        """
        unread = self.unread
        end = unread.find(b"\n", self._searched)
        if end < 0:
            self._skip_what_is_too_long(octets_max)
            return None
        if end + 1 == len(unread):
            line = bytes(unread)
            unread.clear()
        else:
            line = bytes(unread[: end + 1])
            del unread[: end + 1]
        self._searched = 0
        if self._skipping or end >= octets_max:
            self._skipping = False
            return LineFault.TOO_LONG
        if not line.endswith(b"\r\n"):
            return LineFault.BARE_NEWLINE
        line = line[:-2]
        if _NUL in line:
            return LineFault.NUL
        if _CR in line:
            return LineFault.BARE_NEWLINE
        return line

    def take(self, octets_max: int | None = None) -> bytes:
        """Return and forget what is unread: all of it, or not more than `octets_max`."""
        self._searched = 0
        if octets_max is None or octets_max >= len(self.unread):
            octets = bytes(self.unread)
            self.unread.clear()
            return octets
        octets = bytes(self.unread[:octets_max])
        del self.unread[:octets_max]
        return octets

    def put_back(self, octets: bytes) -> None:
        """Make octets that were taken unread again, before all others."""
        self.unread[:0] = octets
        self._searched = 0

    def forget(self) -> None:
        """Forget all that is unread, a half line included."""
        self.unread.clear()
        self._searched = 0
        self._skipping = False

    def _skip_what_is_too_long(self, octets_max: int) -> None:
        if self._skipping or len(self.unread) > octets_max:
            self._skipping = True
            self.unread.clear()
        self._searched = len(self.unread)


class ContentCheck:
    """Looks for what content must not hold, over all its blocks.

    Blocks must be cut so that no CRLF is split between two of them.

    Attributes:
        bad: "" or ``bare-newline`` or ``nul``, the first that was found.
        overlong: A line of more than 1000 octets, CRLF included, was seen.
    """

    def __init__(self) -> None:
        self.bad = ""
        self.overlong = False
        self._line_octets = 0  # of the line that the last block left open

    def look_at(self, block: bytes) -> None:
        """Examine one more block."""
        if not self.bad:
            if has_bare_newline(block):
                self.bad = "bare-newline"
            elif _NUL in block:
                self.bad = "nul"
        if not self.overlong:
            self._measure(block)

    def _measure(self, block: bytes) -> None:
        # Jump to the last LF that a line of legal length can end with: some 1000 octets a step.
        at = -self._line_octets
        while (rest := len(block) - at) > TEXT_LINE_OCTETS_MAX:
            newline = block.rfind(b"\n", max(at, 0), at + TEXT_LINE_OCTETS_MAX)
            if newline < 0:
                self.overlong = True
                return
            at = newline + 1
        newline = block.rfind(b"\n", max(at, 0))
        self._line_octets = rest if newline < 0 else len(block) - newline - 1


class DotReader:
    """Mail data as DATA brings it: finds its end and takes the stuffed dots out.

    Octets that may belong to an end of data are kept back until the next block (4 at most).
    """

    def __init__(self) -> None:
        self._kept = b"\r\n"  # as if a line had just ended: a first line "." is the end
        self._surplus = 2  # of these, octets that are not content
        self.ended = False

    def read(self, octets: bytes) -> tuple[bytes, bytes]:
        """Take a block; return the content in it and, once `ended`, what follows the end."""
        block = self._kept + octets
        dot = block.rfind(_DOT)  # twice as fast as a search from the front
        plain = dot < 0 or (block.startswith(_END, dot) and block.rfind(_DOT, 0, dot + 2) < 0)
        end = dot if plain else block.find(_END)
        if end >= 0:
            self.ended = True
            body, self._kept, rest = block[: end + 2], b"", block[end + 5 :]
        else:
            body, self._kept = _split_tail(block)
            rest = b""
        if not plain:
            body = body.replace(_DOT, b"\r\n")
        if self._surplus and body:
            body, self._surplus = body[self._surplus :], 0
        return body, rest


class ChunkReader:
    """Mail data as BDAT brings it, without dots. A CR is kept back until what follows is known."""

    def __init__(self) -> None:
        self._kept = b""

    def read(self, octets: bytes, *, last: bool) -> bytes:
        """Take octets of a chunk; `last` if none will follow in the message. Return content."""
        block = self._kept + octets
        self._kept = b""
        if not last and block.endswith(b"\r"):
            self._kept = b"\r"
            return block[:-1]
        return block


class DotWriter:
    """Makes content fit for DATA: every line ends with CRLF, and dots are stuffed.

    Bare CR and LF become CRLF before the dots are stuffed, so nothing that a message holds can
    end it early, whatever the next hop takes for a line end.
    """

    def __init__(self) -> None:
        self._at_line_start = True
        self._cr_kept = False

    def write(self, octets: bytes) -> bytes:
        """Return the wire form of a block."""
        block = b"\r" + octets if self._cr_kept else octets
        self._cr_kept = block.endswith(b"\r")
        if self._cr_kept:
            block = block[:-1]
        if not block:
            return b""
        if has_bare_newline(block):
            block = with_crlf(block)
        starts_with_dot = self._at_line_start and block.startswith(b".")
        self._at_line_start = block.endswith(b"\n")
        block = _stuffed(block)
        return b"." + block if starts_with_dot else block

    def finish(self) -> bytes:
        """Return what ends the data, with a CRLF before it where the last line has none."""
        if self._cr_kept:
            self._cr_kept, self._at_line_start = False, True
            return b"\r\n.\r\n"
        return b".\r\n" if self._at_line_start else b"\r\n.\r\n"


def dotted(content: bytes) -> bytes:
    """Return a whole content as `DotWriter` makes it, with its end; lines may end with LF."""
    if b"\r" not in content:  # as in a Maildir
        lines = content.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
    else:
        content = with_crlf(content) if has_bare_newline(content) else content
        lines = _stuffed(content)
    first = b"." if content.startswith(b".") else b""
    last = b"" if content.endswith(b"\n") or not content else b"\r\n"
    return b"".join((first, lines, last, b".\r\n"))


def has_bare_newline(block: bytes) -> bool:
    """Whether a CR or LF of a block is no half of a CRLF."""
    # What reads text files sees it in one look, four times as fast as three counts do.
    newlines = IncrementalNewlineDecoder(None, translate=False)
    newlines.decode(block.decode("latin-1"), final=True)
    return newlines.newlines not in (None, "\r\n")


def with_crlf(octets: bytes) -> bytes:
    """Return `octets` with every CRLF, bare CR and bare LF as CRLF."""
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def _stuffed(block: bytes) -> bytes:
    """Double the dots at the begin of lines; few blocks have any."""
    return block.replace(_DOT, b"\r\n..") if block.rfind(_DOT) >= 0 else block


def _split_tail(block: bytes) -> tuple[bytes, bytes]:
    """Cut off the longest end of `block` that an end of data may begin with."""
    for length in (4, 3, 2, 1):
        if block.endswith(_END[:length]):
            return block[:-length], block[-length:]
    return block, b""
