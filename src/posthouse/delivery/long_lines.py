"""Lines that are longer than a mail may have them (RFC 5322 §2.1.1): folded or refused, never cut.

Some servers break such lines anywhere or end the session; so we do it ourselves before we sign.
What somebody else signed is left as it is: folding would make a good signature a bad one (RFC 6376
§5.3).
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from enum import Enum
from typing import Final

from posthouse.delivery.attempts import Carrier
from posthouse.delivery.content import Content
from posthouse.delivery.outcomes import Failed, Outcome
from posthouse.delivery.routes import Route
from posthouse.mail.message import HeaderSection
from posthouse.spool.records import Work

LINE_OCTETS_MAX: Final = 998  # without CRLF
TOO_LONG: Final = f"a line of the message is longer than {LINE_OCTETS_MAX} octets"

_SIGNATURES: Final = ("DKIM-Signature", "ARC-Message-Signature")
_CONTINUES: Final = range(0x80, 0xC0)  # octets of UTF-8 that begin no character


class LongLines(Enum):
    """What happens to a message with such a line."""

    FOLD = "fold"
    REFUSE = "refuse"
    KEEP = "keep"


class Folder:
    """Breaks lines that are too long, at a blank if there is one, block by block.

    Where there is no blank, one is put at the begin of the next line, which makes it a folded
    header field in a header section.

    Attributes:
        growth: Octets that were put in.
    """

    def __init__(self) -> None:
        self.growth = 0
        self._kept = b""  # the begin of a line that has not ended

    def take(self, block: bytes) -> bytes:
        """Return what is complete: whole lines, and of the last not its end."""
        octets, at = self._kept + block, 0
        pieces: list[bytes] = []
        while True:
            newline = octets.rfind(b"\n", at, at + LINE_OCTETS_MAX + 2)
            if newline >= 0:
                at = newline + 1
            elif len(octets) - at < LINE_OCTETS_MAX + 2:
                break
            else:
                line, octets = self._broken(octets, at)
                pieces.append(line)
                at = 0
        pieces.append(octets[:at])
        self._kept = octets[at:]
        return b"".join(pieces)

    def end(self) -> bytes:
        """Return what was kept of the last line."""
        kept, self._kept = self._kept, b""
        if len(kept.rstrip(b"\r\n")) > LINE_OCTETS_MAX:
            line, rest = self._broken(kept, 0)
            return line + rest
        return kept

    def _broken(self, octets: bytes, at: int) -> tuple[bytes, bytes]:
        """Break the line that begins at `at`."""
        cut = _place_to_break(octets, at, at + LINE_OCTETS_MAX)
        lead = b"" if octets[cut] in b" \t" else b" "
        self.growth += 2 + len(lead)
        return octets[:cut] + b"\r\n", lead + octets[cut:]


def _place_to_break(octets: bytes, begin: int, end: int) -> int:
    """Where a line from `begin` is broken, not behind `end`: before a blank, in no character."""
    blank = max(octets.rfind(b" ", begin + 1, end + 1), octets.rfind(b"\t", begin + 1, end + 1))
    if blank > begin and octets[begin:blank].strip():
        return blank
    cut = end
    while cut > end - 3 and octets[cut] in _CONTINUES:
        cut -= 1
    return cut


class LongLineCarrier:
    """Sees to long lines on the way to another carrier.

    Attributes:
        rule: What happens to them; replaced by a reload.
    """

    def __init__(self, carrier: Carrier, rule: LongLines) -> None:
        self.rule = rule
        self._carrier = carrier

    def deliver(self, route: Route, work: Work, content: Content) -> Awaitable[dict[int, Outcome]]:
        """Try once; by place in the envelope."""
        goes_as_it_is = self.rule is LongLines.KEEP or work.envelope.body == "BINARYMIME"
        if goes_as_it_is or (content.is_small and not _has_long_line(content.whole())):
            return self._carrier.deliver(route, work, content)
        return self._look_and_deliver(route, work, content)

    async def _look_and_deliver(
        self, route: Route, work: Work, content: Content
    ) -> dict[int, Outcome]:
        growth = await _growth(content)
        if growth and self.rule is LongLines.REFUSE:
            return dict.fromkeys(work.indices, Failed("5.6.0", TOO_LONG))
        if growth and not _is_signed(content.header):
            content = Content(_Folded(content), "", content.octets + growth)
        return await self._carrier.deliver(route, work, content)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._carrier.close()


class _Folded:
    """The source of a content whose lines are short."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def content(self, message_id: str) -> Iterator[bytes]:
        del message_id
        folder = Folder()
        for part in self._content.parts():
            if block := folder.take(part):
                yield block
        if last := folder.end():
            yield last


def _is_signed(header: HeaderSection) -> bool:
    """Whether somebody vouches for each octet: by DKIM, ARC, S/MIME or PGP (RFC 1847)."""
    if any(header.fields(name) for name in _SIGNATURES):
        return True
    kinds = (value.strip().lower() for value in header.fields("Content-Type"))
    return any(kind.startswith(b"multipart/signed") for kind in kinds)


async def _growth(content: Content) -> int:
    """How many octets folding would put in; 0 if no line is too long."""
    if content.is_small:
        return _growth_of([content.whole()])
    return await asyncio.to_thread(lambda: _growth_of(content.parts()))


def _has_long_line(octets: bytes) -> bool:
    """Whether a line may be too long: jump to the last end of line that comes in time."""
    at = 0
    while len(octets) - at > LINE_OCTETS_MAX:
        newline = octets.rfind(b"\n", at, at + LINE_OCTETS_MAX + 2)
        if newline < 0:
            return True
        at = newline + 1
    return False


def _growth_of(parts: Iterable[bytes]) -> int:
    folder = Folder()
    for part in parts:
        folder.take(part)
    folder.end()
    return folder.growth
