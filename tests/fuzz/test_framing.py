"""Lines and content: any octets in any split, and what is written is read as it was meant."""

from hypothesis import strategies as st

from posthouse.protocol.framing import (
    ChunkReader,
    ContentCheck,
    DotReader,
    DotWriter,
    LineBuffer,
    with_crlf,
)
from tests.fuzz.fuzzing import CUTS, fuzz, octets_of, pieces

STREAM = octets_of(
    b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n", b"\r", b"\n", b".", b"..",
    b"\0", b"MAIL FROM:<>", b"z" * 1000, at_most=30,
)  # fmt: skip


def lines(octets: bytes, cuts: list[int]) -> list[object]:
    buffer, found = LineBuffer(), list[object]()
    for piece in pieces(octets, cuts):
        buffer.feed(piece)
        while (line := buffer.next_line(512)) is not None:
            found.append(line)
        assert len(buffer) <= 512
    return found


def read(octets: bytes, cuts: list[int]) -> tuple[bytes, bytes, bool]:
    reader, content, rest = DotReader(), b"", b""
    for piece in pieces(octets, cuts):
        if reader.ended:
            rest += piece
            continue
        body, rest = reader.read(piece)
        content += body
    return content, rest, reader.ended


@fuzz(st.tuples(STREAM, CUTS))
def test_framing(given: tuple[bytes, list[int]]) -> None:
    octets, cuts = given
    assert lines(octets, cuts) == lines(octets, [])
    content, rest, ended = read(octets, cuts)
    assert (content, rest, ended) == read(octets, [])
    assert ended == (b"\r\n.\r\n" in b"\r\n" + octets)
    writer, check, chunks = DotWriter(), ContentCheck(), ChunkReader()
    wire = b"".join(writer.write(piece) for piece in pieces(octets, cuts)) + writer.finish()
    assert wire.count(b"\r\n.\r\n") + wire.startswith(b".\r\n") == 1
    body, after, ended = read(wire, cuts)
    assert ended
    assert after == b""
    plain = with_crlf(octets)
    assert body == plain + (b"" if plain.endswith(b"\r\n") or not plain else b"\r\n")
    blocks = [chunks.read(piece, last=False) for piece in pieces(octets, cuts)]
    blocks.append(chunks.read(b"", last=True))
    assert b"".join(blocks) == octets
    for block in blocks:
        check.look_at(block)
    bare = octets.replace(b"\r\n", b"")
    bad = b"\r" in bare or b"\n" in bare or b"\0" in bare
    assert bool(check.bad) == bad
