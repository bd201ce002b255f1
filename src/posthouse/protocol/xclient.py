"""XCLIENT and XFORWARD: a trusted server or filter tells whom it speaks for (Postfix's extensions).

As Postfix's ``XCLIENT_README`` and ``XFORWARD_README`` have them. XCLIENT replaces what the session
knows of its client; XFORWARD is for the record only and must change no decision. LOGIN is not
taken: who signs in, does so here.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from msgspec import Struct

XCLIENT_NAMES: Final = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "DESTADDR", "DESTPORT")
XFORWARD_NAMES: Final = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE")
VALUE_OCTETS_MAX: Final = 255
_UNKNOWN: Final = frozenset({"[UNAVAILABLE]", "[TEMPUNAVAIL]"})
_HEX: Final = re.compile(r"\+([0-9A-F]{2})")
_LONE_PLUS: Final = re.compile(r"\+(?![0-9A-F]{2})")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_.:\[\]-]*")


class AttributesError(ValueError):
    """The command cannot be read: 501. The message says why."""


class ToldClient(Struct, frozen=True):
    """What was told of a client; None and "" where it was not, or is not known.

    Attributes:
        address: Of the client.
        port: Of the client.
        name: Its verified host name.
        hello: What it said in EHLO or HELO; printable.
        extended: It said EHLO (PROTO=ESMTP); None if not told.
        destination: Address it connected to (XCLIENT).
        destination_port: Port it connected to (XCLIENT).
        identity: Queue id there (XFORWARD).
        source: ``LOCAL`` or ``REMOTE`` (XFORWARD).
    """

    address: IPv4Address | IPv6Address | None = None
    port: int | None = None
    name: str = ""
    hello: str = ""
    extended: bool | None = None
    destination: IPv4Address | IPv6Address | None = None
    destination_port: int | None = None
    identity: str = ""
    source: str = ""


def parse_xclient(arguments: str) -> ToldClient:
    """Read the arguments of XCLIENT.

    Raises:
        AttributesError: If one is unknown, twice there, or its value cannot be.
    """
    return _told(_attributes(arguments, XCLIENT_NAMES))


def parse_xforward(arguments: str) -> ToldClient:
    """Read the arguments of XFORWARD.

    Raises:
        AttributesError: As `parse_xclient`.
    """
    return _told(_attributes(arguments, XFORWARD_NAMES))


def _attributes(arguments: str, names: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in arguments.split():
        name, equals, value = word.partition("=")
        name = name.upper()
        if not equals or name not in names or name in found:
            raise AttributesError(f"attributes are {' '.join(names)}, each once, as NAME=value")
        found[name] = "" if value.upper() in _UNKNOWN else _decoded(value)
    if not found:
        raise AttributesError("an attribute is needed")
    return found


def _decoded(xtext: str) -> str:
    """Undo xtext (RFC 3461 §4)."""
    if len(xtext) > VALUE_OCTETS_MAX or _LONE_PLUS.search(xtext):
        raise AttributesError("a value is too long, or is no xtext")
    octets = _HEX.sub(lambda match: chr(int(match[1], 16)), xtext)
    try:
        text = octets.encode("latin-1").decode()
    except UnicodeError:
        raise AttributesError("a value is not UTF-8") from None
    if not text.isprintable():
        raise AttributesError("a value has control characters")
    return text


def _told(found: dict[str, str]) -> ToldClient:
    protocol = found.get("PROTO", "").upper()
    if protocol not in ("", "SMTP", "ESMTP"):
        raise AttributesError("PROTO is SMTP or ESMTP")
    source = found.get("SOURCE", "").upper()
    if source not in ("", "LOCAL", "REMOTE"):
        raise AttributesError("SOURCE is LOCAL or REMOTE")
    name = found.get("NAME", "")
    if not _HOST_NAME.fullmatch(name):
        raise AttributesError("NAME is no host name")
    return ToldClient(
        address=_address(found.get("ADDR", "")),
        port=_port(found.get("PORT", "")),
        name=name.lower(),
        hello=found.get("HELO", ""),
        extended=protocol == "ESMTP" if protocol else None,
        destination=_address(found.get("DESTADDR", "")),
        destination_port=_port(found.get("DESTPORT", "")),
        identity=found.get("IDENT", ""),
        source=source,
    )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read ``192.0.2.7`` or ``IPV6:2001:db8::7``; Postfix writes IPv6 with the prefix."""
    if not text:
        return None
    bare = text[5:] if text[:5].upper() == "IPV6:" else text
    try:
        return ip_address(bare)
    except ValueError:
        raise AttributesError("this is no address") from None


def _port(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise AttributesError("this is no port")
    return int(text)
