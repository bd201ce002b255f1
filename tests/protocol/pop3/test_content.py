from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.pop3.content import LINES_A_BLOCK, listing, top

HEADER = b"A: b\r\nC: d\r\n\r\n"


def first(lines: int, *blocks: bytes) -> bytes:
    return b"".join(top(blocks, lines))


def test_no_lines_are_the_header_and_the_empty_line() -> None:
    assert first(0, HEADER + b"1\r\n2\r\n") == HEADER


def test_so_many_lines_of_the_body_as_were_asked_for() -> None:
    assert first(1, HEADER + b"1\r\n2\r\n") == HEADER + b"1\r\n"
    assert first(2, HEADER + b"1\r\n2\r\n") == HEADER + b"1\r\n2\r\n"
    assert first(9, HEADER + b"1\r\n2") == HEADER + b"1\r\n2"


def test_a_message_may_have_no_header_or_no_body() -> None:
    assert first(1, b"\r\n1\r\n2\r\n") == b"\r\n1\r\n"
    assert first(1, b"A: b\r\n") == b"A: b\r\n"
    assert first(1, b"") == b""
    assert first(1) == b""


LINES = st.lists(st.sampled_from([b"", b".", b"a", b"bc: d"]), max_size=8)


def obvious(lines: list[bytes], wanted: int) -> bytes:
    end = lines.index(b"") + 1 if b"" in lines else len(lines)
    return b"".join(line + b"\r\n" for line in lines[: end + wanted])


@given(lines=LINES, wanted=st.integers(0, 9), cuts=st.sets(st.integers(1, 50)))
def test_any_cut_gives_the_obvious_lines(lines: list[bytes], wanted: int, cuts: set[int]) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    inside = {cut for cut in cuts if cut < len(message) and message[cut - 1 : cut + 1] != b"\r\n"}
    edges = [0, *sorted(inside), len(message)]
    blocks = [message[a:b] for a, b in pairwise(edges)]
    assert first(wanted, *blocks) == (obvious(lines, wanted) if message else b"")


def test_a_listing_comes_in_blocks_of_many_lines() -> None:
    blocks = list(listing((n, n * 2) for n in range(1, LINES_A_BLOCK + 2)))
    assert len(blocks) == 2
    assert blocks[0].startswith(b"1 2\r\n2 4\r\n")
    assert blocks[1] == b"1001 2002\r\n"
    assert list(listing([])) == []
