"""The content of a message on its way out: small ones whole, large ones in blocks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final, Protocol

from posthouse.mail.message import HEADER_OCTETS_MAX, HeaderSection, split_header

WHOLE_OCTETS_MAX: Final = 256 * 1024


class ContentSource(Protocol):
    """Where contents are kept: the spool."""

    def content(self, message_id: str) -> Iterator[bytes]:
        """Yield the content in parts."""
        ...


class Content:
    """One message's content. Nothing is read before it is needed."""

    def __init__(self, source: ContentSource, message_id: str, octets: int) -> None:
        self.octets = octets
        self._source = source
        self._id = message_id
        self._whole: bytes | None = None
        self._header: HeaderSection | None = None

    @property
    def is_small(self) -> bool:
        """Whether it may be held whole in memory."""
        return self.octets <= WHOLE_OCTETS_MAX

    def whole(self) -> bytes:
        """Return all of it. Blocks for a large one: call it in a thread then.

        Raises:
            StorageError: If it cannot be read; so do all methods.
        """
        if self._whole is None:
            octets = b"".join(self._source.content(self._id))
            if not self.is_small:
                return octets
            self._whole = octets
        return self._whole

    def head(self) -> bytes:
        """Return the beginning of it, as far as a header section is looked for."""
        if self.is_small:
            return self.whole()[:HEADER_OCTETS_MAX]
        head = b""
        for part in self._source.content(self._id):
            head += part
            if len(head) >= HEADER_OCTETS_MAX:
                break
        return head[:HEADER_OCTETS_MAX]

    @property
    def header(self) -> HeaderSection:
        """The header section."""
        if self._header is None:
            self._header = split_header(self.head())
        return self._header

    def parts(self) -> Iterator[bytes]:
        """Yield it in parts. Blocks: for threads."""
        return iter([self._whole]) if self._whole is not None else self._source.content(self._id)

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield it in parts without blocking the loop."""
        parts = self.parts()
        while part := await asyncio.to_thread(next, parts, b""):
            yield part
