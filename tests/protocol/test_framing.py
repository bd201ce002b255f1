import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.framing import (
    TEXT_LINE_OCTETS_MAX,
    ChunkReader,
    ContentCheck,
    DotReader,
    DotWriter,
    LineBuffer,
    LineFault,
    dotted,
    has_bare_newline,
    with_crlf,
)

TRICKY = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\r\n.", b"..", b"\0", b"\r\n.\r\n"]),
    max_size=30,
).map(b"".join)
CUTS = st.sets(st.integers(0, 60))


def pieces_of(stream: bytes, cuts: set[int]) -> list[bytes]:
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(stream)), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


# ------------------------------------------------------------------------------- lines


def lines_of(pieces: list[bytes], octets_max: int = 512) -> list[bytes | LineFault]:
    buffer, seen = LineBuffer(), list[bytes | LineFault]()
    for piece in pieces:
        buffer.feed(piece)
        while (line := buffer.next_line(octets_max)) is not None:
            seen.append(line)
    return seen


@pytest.mark.parametrize(
    ("stream", "line"),
    [
        (b"NOOP\r\n", b"NOOP"),
        (b"\r\n", b""),
        (b"NOOP\n", LineFault.BARE_NEWLINE),
        (b"NO\rOP\r\n", LineFault.BARE_NEWLINE),
        (b"NOOP\r\r\n", LineFault.BARE_NEWLINE),
        (b"NO\0OP\r\n", LineFault.NUL),
        (b"12345678\r\n", b"12345678"),
        (b"123456789\r\n", LineFault.TOO_LONG),
        (b"1234567890123\r\n", LineFault.TOO_LONG),
    ],
)
def test_a_line_ends_with_crlf_and_has_a_limit(stream: bytes, line: bytes | LineFault) -> None:
    assert lines_of([stream], octets_max=10) == [line]


@given(TRICKY, CUTS)
def test_any_split_gives_the_same_lines(stream: bytes, cuts: set[int]) -> None:
    assert lines_of(pieces_of(stream, cuts), 10) == lines_of([stream], 10)


def test_a_line_without_end_costs_no_memory() -> None:
    buffer = LineBuffer()
    for _ in range(100):
        buffer.feed(b"x" * 1000)
        assert buffer.next_line(512) is None
        assert len(buffer) <= 512
    buffer.feed(b"\r\nNOOP\r\n")
    assert buffer.next_line(512) is LineFault.TOO_LONG
    assert buffer.next_line(512) == b"NOOP"


def test_what_was_taken_can_be_put_back() -> None:
    buffer = LineBuffer()
    buffer.feed(b"NOOP\r\nQUIT")
    assert buffer.take(2) == b"NO"
    assert buffer.take() == b"OP\r\nQUIT"
    buffer.put_back(b"QUIT\r\n")
    assert buffer.next_line(512) == b"QUIT"


# ------------------------------------------------------------------------------- content in


def read_by_dots(pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    """Content, and what follows its end; None where it has no end."""
    reader, content, rest = DotReader(), b"", b""
    for piece in pieces:
        if reader.ended:
            rest += piece
            continue
        body, rest = reader.read(piece)
        content += body
    return content, rest if reader.ended else None


def obvious_content(stream: bytes) -> tuple[bytes, bytes] | None:
    """The same by hand: cut at CRLF, look for the line that is a dot."""
    content, rest = b"", stream
    while True:
        line, crlf, rest = rest.partition(b"\r\n")
        if not crlf:
            return None
        if line == b".":
            return content, rest
        content += line.removeprefix(b".") + crlf


@given(TRICKY, CUTS, st.sampled_from([b"", b"\r\n.\r\n", b"\r\n.\r\nNOOP\r\n"]))
def test_content_is_what_a_reader_line_by_line_sees(
    stream: bytes, cuts: set[int], end: bytes
) -> None:
    content, rest = read_by_dots(pieces_of(stream + end, cuts))
    expected = obvious_content(stream + end)
    assert (None if rest is None else (content, rest)) == expected


def test_an_empty_message_is_a_dot() -> None:
    assert read_by_dots([b".\r\n"]) == (b"", b"")
    assert read_by_dots([b".", b"\r", b"\n"]) == (b"", b"")


@pytest.mark.parametrize(
    "trick",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n", b"\n.\r"],
)
def test_no_other_end_of_data_is_one(trick: bytes) -> None:
    content, rest = read_by_dots([b"a" + trick + b"MAIL FROM:<evil@example.net>\r\nb"])
    assert rest is None
    assert b"evil" in content


@given(TRICKY, CUTS)
def test_chunks_are_passed_on_as_they_are(stream: bytes, cuts: set[int]) -> None:
    reader = ChunkReader()
    pieces = pieces_of(stream, cuts)
    read = [reader.read(piece, last=False) for piece in pieces] + [reader.read(b"", last=True)]
    assert b"".join(read) == stream
    blocks = [block for block in read if block]
    split = [a for a, b in pairwise(blocks) if a.endswith(b"\r") and b.startswith(b"\n")]
    assert not split, "a CRLF is never split, so that each block can be checked alone"


# ------------------------------------------------------------------------------- checks


def checked(blocks: list[bytes]) -> ContentCheck:
    check = ContentCheck()
    for block in blocks:
        check.look_at(block)
    return check


@given(TRICKY, CUTS)
def test_bare_newlines_and_nul_are_found(stream: bytes, cuts: set[int]) -> None:
    reader = ChunkReader()
    pieces = pieces_of(stream, cuts)
    blocks = [reader.read(piece, last=False) for piece in pieces] + [reader.read(b"", last=True)]
    bare = re.search(rb"\r(?!\n)|(?<!\r)\n", stream) is not None
    assert bool(checked(blocks).bad) == (bare or b"\0" in stream)


@given(
    st.lists(st.integers(0, 2 * TEXT_LINE_OCTETS_MAX), max_size=6),
    st.sets(st.integers(0, 4000), max_size=4),
)
def test_a_line_that_is_too_long_is_found(lengths: list[int], cuts: set[int]) -> None:
    stream = b"".join(b"x" * length + b"\r\n" for length in lengths)
    pieces = [piece for piece in pieces_of(stream, cuts) if not piece.endswith(b"\r")]
    if b"".join(pieces) == stream:  # else a cut fell inside a CRLF
        too_long = any(length + 2 > TEXT_LINE_OCTETS_MAX for length in lengths)
        assert checked(pieces).overlong == too_long


# ------------------------------------------------------------------------------- content out


def written(pieces: list[bytes]) -> bytes:
    writer = DotWriter()
    return b"".join(writer.write(piece) for piece in pieces) + writer.finish()


@given(TRICKY, CUTS)
def test_what_is_written_is_read_again_and_nothing_follows(stream: bytes, cuts: set[int]) -> None:
    content, rest = read_by_dots([written(pieces_of(stream, cuts))])
    assert rest == b""
    expected = with_crlf(stream)
    assert content == (
        expected if expected.endswith(b"\r\n") or not expected else expected + b"\r\n"
    )


@given(TRICKY)
def test_a_whole_content_is_written_as_its_pieces_are(stream: bytes) -> None:
    assert dotted(stream) == written([stream])


@given(TRICKY)
def test_a_bare_newline_is_one_that_is_no_half_of_a_pair(stream: bytes) -> None:
    rest = stream.replace(b"\r\n", b"")
    assert has_bare_newline(stream) == (b"\r" in rest or b"\n" in rest)


@given(TRICKY, CUTS)
def test_what_is_written_has_no_bare_newline(stream: bytes, cuts: set[int]) -> None:
    wire = written(pieces_of(stream, cuts))
    assert not checked([wire]).bad.startswith("bare")
    assert wire.count(b"\r\n.\r\n") == (0 if wire == b".\r\n" else 1)


def test_a_last_line_without_end_gets_one() -> None:
    assert written([b"a"]) == b"a\r\n.\r\n"
    assert written([b"a\r"]) == b"a\r\n.\r\n"
    assert written([b""]) == b".\r\n"
    assert written([b".\r", b"\n", b".x"]) == b"..\r\n..x\r\n.\r\n"
