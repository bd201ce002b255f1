"""The PROXY protocol, versions 1 and 2: a proxy in front of us tells whom it speaks for.

As HAProxy's ``proxy-protocol.txt`` has it. The header comes once, before anything else, and must be
believed only from a proxy that the configuration names. It is binary or one line, never guessed
from timing: the first octets tell which.
"""

import re
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from msgspec import Struct

Address = IPv4Address | IPv6Address

V1_OCTETS_MAX: Final = 107  # the specification's worst case, CRLF included
V2_OCTETS_MAX: Final = 4096  # addresses and TLVs; the specification allows 65,551
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_HEAD: Final = 16
_V1: Final = b"PROXY "
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")
_ADDRESS_OCTETS: Final = {1: 12, 2: 36, 3: 216}  # IPv4, IPv6, Unix: both addresses with ports
_TLV_CRC32C: Final = 0x03
_TLV_AUTHORITY: Final = 0x02
_TLV_UNIQUE_ID: Final = 0x05
_TLV_SSL: Final = 0x20
_SSL_VERSION: Final = 0x21
_SSL_COMMON_NAME: Final = 0x22
_SSL_CIPHER: Final = 0x23
_CLIENT_SSL: Final = 0x01
_CLIENT_CERTIFICATE: Final = 0x02 | 0x04  # on this connection, or in its TLS session


class ProxyError(ValueError):
    """This is no PROXY header; close the connection. The message is for the log."""


class ProxiedTls(Struct, frozen=True):
    """The TLS connection between the client and the proxy.

    Attributes:
        version: ``TLSv1.3``; "" if not told.
        cipher: OpenSSL's name of the suite; "" if not told.
        common_name: Of the client's certificate, if the proxy verified it; "" otherwise.
        certificate_verified: The client showed a certificate, and the proxy verified it.
    """

    version: str = ""
    cipher: str = ""
    common_name: str = ""
    certificate_verified: bool = False


class ProxyHeader(Struct, frozen=True):
    """Whom the proxy speaks for.

    Attributes:
        source: Address of the client; None: the proxy speaks for itself (a health check), or does
            not know. The connection's own addresses count then.
        source_port: Port of the client.
        destination: Address the client connected to; None with `source`.
        destination_port: Port the client connected to.
        tls: How the client's connection to the proxy is encrypted; None: not at all, or not told.
        server_name: Name the client asked for (SNI); "" if not told.
        is_local: LOCAL: the proxy speaks for itself.
    """

    source: Address | None = None
    source_port: int = 0
    destination: Address | None = None
    destination_port: int = 0
    tls: ProxiedTls | None = None
    server_name: str = ""
    is_local: bool = False


class ProxyReader:
    """Reads the header from the beginning of a stream, however it is cut.

    Attributes:
        rest: What came after the header, once `receive` has returned it.
    """

    def __init__(self) -> None:
        self._unread = bytearray()
        self.rest = b""

    def receive(self, octets: bytes) -> ProxyHeader | None:
        """Take octets; return the header once it is complete, None before.

        Raises:
            ProxyError: If this is no PROXY header, or it is too long.
        """
        self._unread += octets
        unread = self._unread
        if unread[:1] == b"P":
            return self._line(bytes(unread))
        if not SIGNATURE.startswith(bytes(unread[: len(SIGNATURE)])):
            raise ProxyError("the connection does not begin with a PROXY header")
        if len(unread) < _V2_HEAD:
            return None
        (length,) = struct.unpack_from(">H", unread, 14)
        if _V2_HEAD + length > V2_OCTETS_MAX:
            raise ProxyError(f"the PROXY header has {length} octets")
        if len(unread) < _V2_HEAD + length:
            return None
        header = bytes(unread[: _V2_HEAD + length])
        self._end_at(len(header))
        return _binary(header)

    def _line(self, unread: bytes) -> ProxyHeader | None:
        if not _V1.startswith(unread[: len(_V1)]):
            raise ProxyError("the connection does not begin with a PROXY header")
        end = unread.find(b"\r\n", 0, V1_OCTETS_MAX)
        if end < 0:
            if len(unread) >= V1_OCTETS_MAX or b"\n" in unread:
                raise ProxyError("the PROXY line does not end")
            return None
        self._end_at(end + 2)
        return _words(unread[len(_V1) : end])

    def _end_at(self, end: int) -> None:
        self.rest = bytes(self._unread[end:])
        self._unread.clear()


def _words(line: bytes) -> ProxyHeader:
    """Read what follows ``PROXY`` in version 1."""
    try:
        words = line.decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyError("the PROXY line is not ASCII") from None
    if words[0] == "UNKNOWN":
        return ProxyHeader()
    if len(words) != 5 or words[0] not in ("TCP4", "TCP6"):
        raise ProxyError("the PROXY line cannot be read")
    kind = IPv4Address if words[0] == "TCP4" else IPv6Address
    try:
        source, destination = kind(words[1]), kind(words[2])
    except ValueError:
        raise ProxyError("the PROXY line has no addresses of its family") from None
    return ProxyHeader(source, _port(words[3]), destination, _port(words[4]))


def _port(word: str) -> int:
    if not _PORT.fullmatch(word) or int(word) > 65535:
        raise ProxyError("the PROXY line has no port")
    return int(word)


def _binary(header: bytes) -> ProxyHeader:
    """Read a complete header of version 2."""
    version, command = header[12] >> 4, header[12] & 0x0F
    family, transport = header[13] >> 4, header[13] & 0x0F
    if version != 2 or command not in (0, 1) or family > 3 or transport > 2:
        raise ProxyError("the PROXY header is of an unknown kind")
    if command == 0:
        return ProxyHeader(is_local=True)
    if family == 0 or transport == 0:  # unspecified: the proxy does not know
        return ProxyHeader()
    start = _V2_HEAD + _ADDRESS_OCTETS[family]
    if len(header) < start:
        raise ProxyError("the PROXY header is shorter than its addresses")
    fields = _fields(header[start:])
    if _TLV_CRC32C in fields:
        _check_sum(header, start, fields[_TLV_CRC32C])
    tls, name = _tls(fields.get(_TLV_SSL)), _text(fields.get(_TLV_AUTHORITY, b""))
    if family == 3:  # Unix sockets: the client is on the proxy's own machine
        return ProxyHeader(tls=tls, server_name=name)
    octets = 4 if family == 1 else 16
    at = _V2_HEAD
    source = ip_address(header[at : at + octets])
    destination = ip_address(header[at + octets : at + 2 * octets])
    ports = struct.unpack_from(">2H", header, at + 2 * octets)
    return ProxyHeader(source, ports[0], destination, ports[1], tls, name)


def _fields(octets: bytes) -> dict[int, bytes]:
    """Return type-length-value fields; of several of one type the first counts."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(octets):
        if len(octets) - at < 3:
            raise ProxyError("a field of the PROXY header is cut off")
        kind, length = struct.unpack_from(">BH", octets, at)
        value = octets[at + 3 : at + 3 + length]
        if len(value) < length:
            raise ProxyError("a field of the PROXY header is cut off")
        found.setdefault(kind, value)
        at += 3 + length
    return found


def _tls(value: bytes | None) -> ProxiedTls | None:
    if value is None:
        return None
    if len(value) < 5:
        raise ProxyError("the TLS field of the PROXY header is cut off")
    client, verify = struct.unpack_from(">BI", value)
    if not client & _CLIENT_SSL:
        return None
    fields = _fields(value[5:])
    verified = bool(client & _CLIENT_CERTIFICATE) and verify == 0
    return ProxiedTls(
        version=_text(fields.get(_SSL_VERSION, b"")),
        cipher=_text(fields.get(_SSL_CIPHER, b"")),
        common_name=_text(fields.get(_SSL_COMMON_NAME, b"")) if verified else "",
        certificate_verified=verified,
    )


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ProxyError("a field of the PROXY header is no text") from None
    if not text.isprintable():
        raise ProxyError("a field of the PROXY header has control characters")
    return text


def _check_sum(header: bytes, start: int, value: bytes) -> None:
    """Check the CRC-32C over the whole header, the sum itself counted as zeros."""
    at = start
    while header[at] != _TLV_CRC32C:
        at += 3 + struct.unpack_from(">H", header, at + 1)[0]
    if len(value) != 4:
        raise ProxyError("the checksum of the PROXY header has another length")
    zeroed = header[: at + 3] + b"\0\0\0\0" + header[at + 7 :]
    if crc32c(zeroed) != int.from_bytes(value, "big"):
        raise ProxyError("the checksum of the PROXY header is wrong")


def crc32c(octets: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of a few octets."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
