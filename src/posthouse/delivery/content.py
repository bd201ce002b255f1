"""The content of a message on its way out: small ones whole, large ones in blocks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, Protocol, TypeVar

from posthouse.mail.message import HEADER_OCTETS_MAX, HeaderSection, split_header
from posthouse.mail.reencoding import Fit, Plan, plan_for, reencoded

WHOLE_OCTETS_MAX: Final = 256 * 1024

_Result = TypeVar("_Result")


class ContentSource(Protocol):
    """Where contents are kept: the spool."""

    def content(self, message_id: str) -> Iterator[bytes]:
        """Yield the content in parts."""
        ...


class Content:
    """One message's content. Nothing is read before it is needed.

    Attributes:
        octets: Its size.
        is_small: It may be held whole in memory.
    """

    def __init__(self, source: ContentSource, message_id: str, octets: int) -> None:
        self.octets = octets
        self.is_small = octets <= WHOLE_OCTETS_MAX
        self._source = source
        self._id = message_id
        self._whole: bytes | None = None
        self._header: HeaderSection | None = None
        self._is_ascii: bool | None = None

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

    async def is_ascii(self) -> bool:
        """Whether all of it is ASCII."""
        if self._is_ascii is None and self.is_small:
            self._is_ascii = self.whole().isascii()
        if self._is_ascii is None:
            self._is_ascii = await self._looked_at(
                lambda: all(part.isascii() for part in self.parts())
            )
        return self._is_ascii

    async def fitted(self, fit: Fit) -> "Content":
        """Return it as a narrower way can carry it: itself, if that can be.

        Raises:
            ConversionError: If no conversion is possible without damage.
        """
        plan = await self._looked_at(lambda: plan_for(self.parts(), fit))
        if plan is None:
            return self
        source = _Reencoded(self, plan)
        octets = await self._looked_at(lambda: sum(len(part) for part in source.content("")))
        return Content(source, "", octets)

    async def _looked_at(self, look: Callable[[], _Result]) -> _Result:
        """Look at all of it; at a large one in a thread."""
        if self.is_small:
            self.whole()
            return look()
        return await asyncio.to_thread(look)

    def parts(self) -> Iterator[bytes]:
        """Yield it in parts. Blocks: for threads."""
        return iter([self._whole]) if self._whole is not None else self._source.content(self._id)

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield it in parts without blocking the loop."""
        parts = self.parts()
        while part := await asyncio.to_thread(next, parts, b""):
            yield part


class _Reencoded:
    """The source of a content that was converted; it is made again for each reader."""

    def __init__(self, content: Content, plan: Plan) -> None:
        self._content = content
        self._plan = plan

    def content(self, message_id: str) -> Iterator[bytes]:
        del message_id
        return reencoded(self._content.parts(), self._plan)
