"""PROXY protocol: headers of both versions, any split, and everything that is no header."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.proxy import (
    SIGNATURE,
    V2_OCTETS_MAX,
    ProxiedTls,
    ProxyError,
    ProxyHeader,
    ProxyReader,
    crc32c,
)

V1 = b"PROXY TCP4 192.0.2.7 203.0.113.25 56324 25\r\n"
ANN = ip_address("192.0.2.7")
US = ip_address("203.0.113.25")


def field(kind: int, value: bytes) -> bytes:
    return struct.pack(">BH", kind, len(value)) + value


def v2(
    addresses: bytes = ANN.packed + US.packed + struct.pack(">2H", 56324, 25),
    fields: bytes = b"",
    *,
    command: int = 0x21,
    family: int = 0x11,
) -> bytes:
    content = addresses + fields
    return SIGNATURE + struct.pack(">BBH", command, family, len(content)) + content


def read(octets: bytes) -> tuple[ProxyHeader | None, bytes]:
    reader = ProxyReader()
    return reader.receive(octets), reader.rest


def test_version_1() -> None:
    assert read(V1 + b"EHLO a\r\n") == (ProxyHeader(ANN, 56324, US, 25), b"EHLO a\r\n")
    header, _ = read(b"PROXY TCP6 2001:db8::7 2001:db8::25 1 65535\r\n")
    assert header is not None
    assert (header.source, header.destination_port) == (ip_address("2001:db8::7"), 65535)
    assert read(b"PROXY UNKNOWN\r\n") == (ProxyHeader(), b"")
    assert read(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n") == (ProxyHeader(), b"")


def test_version_2() -> None:
    assert read(v2() + b"\x16\x03") == (ProxyHeader(ANN, 56324, US, 25), b"\x16\x03")
    six = ip_address("2001:db8::7").packed * 2 + struct.pack(">2H", 1, 2)
    header, _ = read(v2(six, family=0x21))
    assert header is not None
    assert header.source == ip_address("2001:db8::7")


def test_a_health_check_speaks_for_the_proxy_itself() -> None:
    assert read(v2(b"", command=0x20, family=0))[0] == ProxyHeader(is_local=True)
    assert read(v2(command=0x20))[0] == ProxyHeader(is_local=True)


def test_what_the_proxy_does_not_know_is_not_told() -> None:
    assert read(v2(b"", family=0))[0] == ProxyHeader()
    assert read(v2(b"\0" * 216, family=0x31))[0] == ProxyHeader()


def test_tls_facts_are_read_from_their_fields() -> None:
    inner = field(0x21, b"TLSv1.3") + field(0x22, b"ann") + field(0x23, b"TLS_AES_128_GCM_SHA256")
    verified = v2(
        fields=field(0x20, struct.pack(">BI", 0x07, 0) + inner) + field(0x02, b"m.example")
    )
    header, _ = read(verified)
    assert header is not None
    assert header.tls == ProxiedTls(
        "TLSv1.3", "TLS_AES_128_GCM_SHA256", "ann", certificate_verified=True
    )
    assert header.server_name == "m.example"
    unverified, _ = read(v2(fields=field(0x20, struct.pack(">BI", 0x07, 1) + inner)))
    assert unverified is not None
    assert unverified.tls == ProxiedTls("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    clear, _ = read(v2(fields=field(0x20, struct.pack(">BI", 0, 1))))
    assert clear is not None
    assert clear.tls is None


def test_a_checksum_is_checked() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    bare = v2(fields=field(0x04, b"pad") + field(0x03, b"\0\0\0\0"))
    right = bare[:-4] + crc32c(bare).to_bytes(4, "big")
    assert read(right)[0] == ProxyHeader(ANN, 56324, US, 25)
    with pytest.raises(ProxyError, match="wrong"):
        read(right.replace(ANN.packed, US.packed, 1))
    with pytest.raises(ProxyError, match="length"):
        read(v2(fields=field(0x03, b"\0")))


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO a\r\n",
        b"\x16\x03\x01",
        b"PROXX",
        b"PROXY TCP4 192.0.2.7 203.0.113.25 56324 25\n",
        b"PROXY " + b"x" * 120,
        b"PROXY TCP4 192.0.2.7 203.0.113.25 56324\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::25 1 2\r\n",
        b"PROXY TCP4 192.0.2.7  203.0.113.25 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.25 01 2\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.25 1 65536\r\n",
        b"PROXY UDP4 192.0.2.7 203.0.113.25 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.25 1 \xff\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
        v2(command=0x11),
        v2(command=0x22),
        v2(family=0x41),
        v2(b"\0" * 11),
        v2(fields=b"\x01"),
        v2(fields=b"\x01\x00\x05abc"),
        v2(fields=field(0x20, b"\x07")),
        v2(fields=field(0x02, b"a\r\nb")),
        v2(fields=field(0x02, b"\xff")),
        v2(fields=field(0x04, b"\0" * V2_OCTETS_MAX)),
    ],
)
def test_what_is_no_header_is_refused(octets: bytes) -> None:
    with pytest.raises(ProxyError):
        read(octets)


HEADERS = [V1, v2(), v2(fields=field(0x02, b"m.example")), v2(b"", command=0x20, family=0)]


@given(header=st.sampled_from(HEADERS), rest=st.binary(max_size=30), data=st.data())
def test_however_the_stream_is_cut_the_header_is_the_same(
    header: bytes, rest: bytes, data: st.DataObject
) -> None:
    stream = header + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reader = ProxyReader()
    found, after = None, b""
    for piece in pieces:
        if found is None:
            found = reader.receive(piece)
            after = reader.rest
        else:
            after += piece
    assert (found, after) == read(stream)
    assert after == rest


@given(st.binary(max_size=300), st.booleans())
def test_any_octets_are_a_header_or_refused(octets: bytes, signed: bool) -> None:
    try:
        header, _ = read((SIGNATURE if signed else b"") + octets)
    except ProxyError:
        return
    if header is not None and header.source is not None:
        assert isinstance(header.source, IPv4Address | IPv6Address)
