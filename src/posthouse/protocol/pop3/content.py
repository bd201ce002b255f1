"""The long answers of POP3, block by block (RFC 1939 sections 5 and 7)."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

LINES_A_BLOCK: Final = 1000
_HEADER_END: Final = b"\r\n\r\n"


def listing(pairs: Iterable[tuple[int, int | str]]) -> Iterator[bytes]:
    """Yield the lines of LIST or UIDL, many at a time: message number, then size or unique id."""
    rest = iter(pairs)
    while lines := [f"{number} {value}\r\n" for number, value in islice(rest, LINES_A_BLOCK)]:
        yield "".join(lines).encode("ascii")


def top(blocks: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """Yield the header, the empty line after it and the first `lines` lines of the body.

    Args:
        blocks: The message with CRLF, cut anywhere but inside a CRLF.
        lines: Lines of the body, 0 or more.
    """
    rest = iter(blocks)
    body = b""
    tail = b"\r\n"  # as if a line had ended: a message may begin with the empty line
    for block in rest:
        end = (tail + block).find(_HEADER_END)
        if end >= 0:
            cut = end + len(_HEADER_END) - len(tail)
            yield block[:cut]
            body = block[cut:]
            break
        yield block
        tail = (tail + block)[-3:]
    else:
        return
    yield from _first_lines(body, rest, lines)


def _first_lines(block: bytes, rest: Iterator[bytes], lines: int) -> Iterator[bytes]:
    while lines > 0:
        there = block.count(b"\n")
        if there >= lines:
            after = block.split(b"\n", lines)[-1]
            yield block[: len(block) - len(after)]
            return
        yield block
        lines -= there
        try:
            block = next(rest)
        except StopIteration:
            return
