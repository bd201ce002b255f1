"""The mail data of one transaction on its way in, by DATA or by BDAT."""

from posthouse.protocol.framing import ChunkReader, ContentCheck, DotReader, with_crlf
from posthouse.protocol.smtp.events import ContentEnded


class ContentFlow:
    """Reads, checks and counts. Content that is to be refused is not passed on any more.

    Attributes:
        ended: The end of the data is here.
        chunk_octets: Size of the chunk that BDAT announced last.
        chunk_left: How much of it is missing.
        chunk_is_last: It ends the message.
    """

    def __init__(
        self,
        size_octets_max: int,
        surplus_octets_max: int,
        *,
        binary: bool,
        mends_newlines: bool = False,
    ) -> None:
        self._size_octets_max = size_octets_max  # 0: no limit
        self._surplus_octets_max = surplus_octets_max
        self._binary = binary
        self._mends_newlines = mends_newlines and not binary
        self._dots = DotReader()
        self._chunks = ChunkReader()
        self._check = ContentCheck()
        self._octets_total = 0
        self._too_big = False
        self.ended = False
        self.chunk_octets = self.chunk_left = 0
        self.chunk_is_last = False

    @property
    def endless(self) -> bool:
        """Whether so much came beyond the size limit that the client will not be heard out."""
        limit = self._size_octets_max
        return limit > 0 and self._octets_total > limit + self._surplus_octets_max

    def read_data(self, octets: bytes) -> tuple[bytes, bytes]:
        """Take octets after 354; return content, and what follows the end."""
        body, rest = self._dots.read(octets)
        self.ended = self._dots.ended
        return self._passed(body), rest

    def begin_chunk(self, octets: int, *, last: bool) -> None:
        """BDAT announces octets (RFC 3030 §2)."""
        self.chunk_octets = self.chunk_left = octets
        self.chunk_is_last = last

    def read_chunk(self, octets: bytes) -> bytes:
        """Take octets of the chunk, not more than `chunk_left`; return content."""
        self.chunk_left -= len(octets)
        self.ended = self.chunk_is_last and self.chunk_left == 0
        return self._passed(self._chunks.read(octets, last=self.ended))

    def end_event(self) -> ContentEnded:
        """Return what the session gets to know at the end."""
        bad = "too-big" if self._too_big else self._check.bad
        return ContentEnded(self._octets_total, bad, self._check.overlong)

    def _passed(self, body: bytes) -> bytes:
        if self._mends_newlines:  # no block splits a CRLF
            body = with_crlf(body)
        self._octets_total += len(body)
        if 0 < self._size_octets_max < self._octets_total:
            self._too_big = True
        if not self._binary:
            self._check.look_at(body)
        return b"" if self._too_big or self._check.bad else body
