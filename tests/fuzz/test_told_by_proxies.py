"""PROXY headers, XCLIENT and XFORWARD: any octets, in any split."""

import struct

from hypothesis import strategies as st

from posthouse.protocol.proxy import SIGNATURE as V2
from posthouse.protocol.proxy import V2_OCTETS_MAX, ProxyError, ProxyHeader, ProxyReader
from posthouse.protocol.xclient import AttributesError, parse_xclient, parse_xforward
from tests.fuzz.fuzzing import CUTS, damaged, fuzz, octets_of, pieces, text_of


def v2(kind: bytes, body: bytes) -> bytes:
    return V2 + kind + struct.pack(">H", len(body)) + body


TLS = b"\x20\x00\x13\x07\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x01a"
ANY_V2 = st.builds(
    v2,
    st.tuples(st.sampled_from(b"\x20\x21\x22\x11"), st.integers(0, 0x33)).map(bytes),
    octets_of(b"\x7f\0\0\1" * 2 + b"\0\x19\0\x19", b"\0" * 36, b"\0" * 216, TLS, b"\x03\0\4abcd",
              b"\x02\0\1a", b"\x04\0\0", b"\x05\0\2id", at_most=6),
)  # fmt: skip
LINES = octets_of(
    b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"192.0.2.1 ", b"2001:db8::1 ", b"25", b" ",
    b"\r\n", b"\n", b"0", b"\xff", b"EHLO a\r\n", b"x" * 100, b"65536", at_most=10,
)  # fmt: skip
WHOLE = damaged(
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 25\r\nEHLO a\r\n",
    b"PROXY TCP6 2001:db8::1 ::1 4000 25\r\n",
    v2(b"\x21\x11", b"\x7f\0\0\1\x7f\0\0\2\x10\0\0\x19" + TLS) + b"EHLO a\r\n",
    v2(b"\x21\x21", b"\0" * 36 + b"\x03\0\4abcd"),
)


def received(octets: bytes, cuts: list[int]) -> tuple[ProxyHeader | None, bytes] | str:
    reader, header, rest = ProxyReader(), None, b""
    try:
        for piece in pieces(octets, cuts):
            if header is None:
                header = reader.receive(piece)
                rest = reader.rest
            else:
                rest += piece
    except ProxyError:
        return "no header"
    return header, rest


@fuzz(st.tuples(st.one_of(ANY_V2, LINES, WHOLE), CUTS))
def test_proxy(given: tuple[bytes, list[int]]) -> None:
    octets, cuts = given
    found = received(octets, [])
    assert received(octets, cuts) == found
    if isinstance(found, tuple) and found[0] is not None:
        assert octets.endswith(found[1])
        assert len(octets) - len(found[1]) <= V2_OCTETS_MAX
        assert found[0].server_name.isprintable()
    elif isinstance(found, tuple):
        assert len(octets) < V2_OCTETS_MAX


ATTRIBUTES = text_of(
    "NAME=", "ADDR=", "PORT=", "PROTO=", "HELO=", "DESTADDR=", "IDENT=", "SOURCE=", "192.0.2.1",
    "IPV6:::1", "25", "ESMTP", "[UNAVAILABLE]", "+40", "+0A", "+", " ", "mail.example", "LOCAL",
)  # fmt: skip


@fuzz(ATTRIBUTES, allowed=(AttributesError,))
def test_xclient(arguments: str) -> None:
    for parse in (parse_xclient, parse_xforward):
        told = parse(arguments)
        assert told.hello.isprintable()
        assert told.identity.isprintable()
