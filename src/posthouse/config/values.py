"""The kinds of values in the file, each read by its own rule and refused in our own words."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Final, Literal, TypeVar

from msgspec import Struct, structs
from pydantic import Field, PlainSerializer, PlainValidator, Strict
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from posthouse.config import units
from posthouse.config.words import quoted
from posthouse.mail.address import AddressError, Mailbox, parse_domain, parse_mailbox
from posthouse.policy.networks import Network, NetworkError, parse_networks
from posthouse.policy.rules import Budget

T = TypeVar("T")
D = TypeVar("D", date, datetime)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
WORKERS_MAX: Final = 32  # as many as there are last signs of a message's id
_EVERYBODY: Final = "no entry may cover everybody; strangers reach your own domains without any"


def fault(
    kind: str,
    message: str,
    help: str = "",  # noqa: A002 - as in `Diagnostic`
    key: str = "",
) -> PydanticCustomError:
    """Return the error for a value, or for a `key` in a table; `kind` is in `catalogue.CODES`."""
    return PydanticCustomError(kind, "{message}", {"message": message, "help": help, "key": key})


def text_of(value: object) -> str:
    """Return `value` if it is text without control characters.

    Raises:
        PydanticCustomError: If not.
    """
    if not isinstance(value, str):
        raise fault("text", f"this is {kind_of(value)}, text is needed", "put it in quotes")
    if _CONTROL.search(value):
        raise fault("text", "a control character or line break is in this text")
    return value


def kind_of(value: object) -> str:
    """Return what a TOML value is, in words."""
    if isinstance(value, bool):
        return "true or false"
    kinds: tuple[tuple[type, str], ...] = (
        (str, "text"), (int, "a number"), (float, "a number with a point"),
        (datetime, "a date and time"), (date, "a date"), (dict, "a table"), (list, "a list"),
    )  # fmt: skip
    return next((words for each, words in kinds if isinstance(value, each)), "a time")


class Endpoint(Struct, frozen=True):
    """An address and a port of ours: ``203.0.113.25:587`` or ``[2001:db8::25]:587``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class NetworkText(Struct, frozen=True):
    """Networks as written, and what they mean."""

    text: str
    networks: tuple[Network, ...]

    def __str__(self) -> str:
        return self.text


class ViaKind(Enum):
    """How mail goes on."""

    MX = "mx"  # to the exchangers of its domain
    SMTP = "smtp"  # to one host, STARTTLS where it is offered
    SMTPS = "smtps"  # to one host, TLS from the first octet
    LMTP = "lmtp"  # to a mail store that answers for each recipient
    CAPTURE = "capture"  # kept here, for development


class Via(Struct, frozen=True):
    """The next hop: ``mx``, ``capture``, or a host by ``smtp://``, ``smtps://`` or ``lmtp://``.

    Attributes:
        kind: By which way.
        host: Its name or address; the path of a Unix socket.
        port: 0 for a Unix socket.
        others: Further hosts of the same next hop.
    """

    kind: ViaKind
    host: str = ""
    port: int = 0
    others: tuple["Via", ...] = ()

    def __str__(self) -> str:
        if self.host and not self.port:
            return f"{self.kind.value}://{self.host}"
        where = Endpoint(self.host, self.port)
        return f"{self.kind.value}://{where}" if self.host else self.kind.value

    @property
    def every(self) -> tuple["Via", ...]:
        """All hosts, this one first."""
        return (self, *self.others)


def _units(kind: str, parse: Callable[[object], T]) -> Callable[[object], T]:
    def read(value: object) -> T:
        try:
            return parse(value)
        except units.UnitError as problem:
            raise fault(kind, str(problem), problem.help) from None

    return read


def read_domain(value: object) -> str:
    """Return a domain name in its compared form: lower-case A-labels."""
    text = text_of(value)
    if text.startswith(("*", "[")):
        raise fault("domain", f"{quoted(text)} is no domain name", "name each domain: example.com")
    if "@" in text:
        raise fault(
            "domain", f"{quoted(text)} is an address", f'did you mean "{text.rpartition("@")[2]}"?'
        )
    try:
        return parse_domain(text.removesuffix("."))
    except AddressError as problem:
        raise fault("domain", str(problem), "a domain name looks like example.com") from None


def read_address(value: object) -> Mailbox:
    """Return a mailbox."""
    text = text_of(value)
    try:
        return parse_mailbox(text)
    except AddressError as problem:
        words = "" if "looks like" in str(problem) else "an address looks like name@example.com"
        raise fault("address", str(problem), words) from None


def read_pattern(value: object) -> str:
    """Return an address pattern (``a@b``, ``@b``, ``b``, ``*.b``, ``*``) in its compared form."""
    text = text_of(value).strip()
    prefix = next((each for each in ("*.", "@") if text.startswith(each)), "")
    try:
        if text == "*":
            return text
        if "@" in text and prefix != "@":
            return str(parse_mailbox(text))
        return prefix + parse_domain(text.removeprefix(prefix))
    except AddressError as problem:
        words = 'write name@example.com, @example.com, *.example.com or "*"'
        raise fault("pattern", str(problem), words) from None


def read_route(value: object) -> str:
    """Return a destination (``example.com``, ``*.jp`` or ``*``) in its compared form."""
    text = text_of(value).strip()
    if text == "*":
        return text
    prefix = "*." if text.startswith("*.") else ""
    try:
        return prefix + parse_domain(text.removeprefix(prefix).removeprefix("@"))
    except AddressError as problem:
        raise fault("route", str(problem), 'write example.com, *.example.com or "*"') from None


def read_network(value: object) -> NetworkText:
    """Return the networks that an address, CIDR network or first-last range means."""
    text = text_of(value).strip()
    if text.lower() in ("*", "all", "any", "everybody", "everyone"):
        raise fault("everybody", f"{quoted(text)} is no network", _EVERYBODY)
    try:
        networks = parse_networks(text)
    except NetworkError as problem:
        words, _, hint = str(problem).partition(": ")
        raise fault("network", words, hint) from None
    if any(network.prefixlen == 0 for network in networks):
        raise fault("everybody", f"{quoted(text)} covers every address there is", _EVERYBODY)
    return NetworkText(text, networks)


def read_client(value: object) -> str:
    """Return the address of one client, in its usual spelling."""
    text = text_of(value)
    try:
        return str(ip_address(text))
    except ValueError:
        raise fault("client", f"{quoted(text)} is no IP address", 'write "198.51.100.7"') from None


def read_endpoint(value: object) -> Endpoint:
    """Return an address and port to listen on."""
    return _endpoint(value, default_port=None)


def read_dns_server(value: object) -> Endpoint:
    """Return an address of a DNS server; port 53 unless written."""
    return _endpoint(value, default_port=53)


def _endpoint(value: object, *, default_port: int | None) -> Endpoint:
    text = text_of(value).strip()
    host, port = _split_port(text)
    if not port and default_port is not None:
        port = str(default_port)
    help_words = 'write "192.0.2.1:25", "[2001:db8::1]:25", or "0.0.0.0:25" and "[::]:25" for all'
    try:
        address = ip_address(host)
    except ValueError:
        raise fault(
            "endpoint", f"{quoted(text)} is no IP address with a port", help_words
        ) from None
    if not (port.isascii() and port.isdigit() and int(port[:9]) <= 65_535):
        raise fault("endpoint", f"{quoted(text)} has no port from 0 to 65535", help_words)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return Endpoint(str(address), int(port))


def _split_port(text: str) -> tuple[str, str]:
    """Cut ``host:port`` and ``[v6]:port``; the port is "" where none is written."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, ""


def read_via(value: object) -> Via:
    """Return a next hop."""
    text = text_of(value).strip()
    if text in (ViaKind.MX.value, ViaKind.CAPTURE.value):
        return Via(ViaKind(text))
    scheme, mark, rest = text.partition("://")
    help_words = 'write "mx", "smtp://host:25", "smtps://host:465", "lmtp://host:24" or "capture"'
    if not mark or scheme not in _VIA_PORTS:
        raise fault("via", f"{quoted(text)} is no way for mail to go", help_words)
    if scheme == "lmtp" and rest.startswith("/"):
        return Via(ViaKind.LMTP, rest)
    host, port = _split_port(rest.removesuffix("/"))
    port = port or _VIA_PORTS[scheme]
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:9]) <= 65_535):
        raise fault("via", f"{quoted(text)} has no port from 1 to 65535", help_words)
    return Via(ViaKind(scheme), _host(host, text, help_words), int(port))


def read_vias(value: object) -> Via:
    """Return a next hop of one host or several."""
    if not isinstance(value, list):
        return read_via(value)
    ways = [read_via(each) for each in value]
    if not ways or any(not way.host for way in ways[: len(ways) if len(ways) > 1 else 0]):
        words = 'write via = ["smtp://a.example.com:587", "smtp://b.example.com:587"]'
        raise fault("via", "a list of ways names hosts, at least one", words)
    return structs.replace(ways[0], others=tuple(ways[1:]))


def _written_vias(via: Via) -> str | list[str]:
    return [str(each) for each in via.every] if via.others else str(via)


_VIA_PORTS: Final = {"smtp": "25", "smtps": "465", "lmtp": "24"}


def _host(host: str, text: str, help_words: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return parse_domain(host.removesuffix("."))
    except AddressError:
        raise fault("via", f"{quoted(text)} names no host", help_words) from None


def read_end(value: object) -> date | datetime:
    """Return the last day (whole, UTC) or first moment after which something is closed."""
    if isinstance(value, datetime):
        return _possible(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return _possible(value)
    quoted = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d.*", value, re.DOTALL)
    words = "write the date without quotes: " + (
        value[:10] if quoted and isinstance(value, str) else "2026-06-30"
    )
    raise fault("date", f"this is {kind_of(value)}, a date is needed", words)


def _possible(end: D) -> D:
    """A day at the edge of the calendar has no day after it to close on."""
    if not 1 < end.year < 9999:
        raise fault("date", f"the year {end.year} is out of range", "leave the key out for no end")
    return end


def read_moment(value: object) -> datetime:
    """Return a moment; one without an offset is UTC."""
    end = read_end(value)
    if isinstance(end, datetime):
        return end
    return datetime(end.year, end.month, end.day, 12, tzinfo=UTC)


def read_path(value: object) -> str:
    """Return a path as written."""
    text = text_of(value)
    if not text.strip():
        raise fault("path", "the path is empty", "write where the file is, or leave the key out")
    return text


def read_name(value: object) -> str:
    """Return the name of a listener."""
    text = text_of(value)
    if not _NAME.fullmatch(text):
        raise fault(
            "name", f"{quoted(text)} is no name", "use letters, digits, - and _, such as devices"
        )
    return text


def read_workers(value: object) -> int | Literal["auto"]:
    """Return how many processes; "auto": as many as there are processors."""
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int):
        words = 'write workers = "auto" or a number without quotes, such as workers = 2'
        raise fault("int_type", f'this is {kind_of(value)}, workers is a number or "auto"', words)
    if not 1 <= value <= WORKERS_MAX:
        raise fault("less_than_equal", f"{value} is out of range", f"1 to {WORKERS_MAX} workers")
    return value


def _schema(kind: str, example: object, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, "examples": [example], **more})


_TEXT = PlainSerializer(str, return_type=str)
Text = Annotated[str, PlainValidator(text_of), _schema("string", "text")]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=1, le=10_000_000)]
WorkerCount = Annotated[
    int | Literal["auto"],
    PlainValidator(read_workers),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": WORKERS_MAX}, {"const": "auto"}]}
    ),
]
Port = Annotated[int, Strict(), Field(ge=1, le=65_535)]
Duration = Annotated[
    timedelta,
    PlainValidator(_units("duration", units.parse_duration)),
    PlainSerializer(units.format_duration, return_type=str),
    _schema("string", "30 min"),
]
Size = Annotated[
    int,
    PlainValidator(_units("size", units.parse_size)),
    PlainSerializer(units.format_size, return_type=str),
    _schema("string", "25 MB"),
]
Rate = Annotated[
    Budget,
    PlainValidator(_units("rate", units.parse_rate)),
    PlainSerializer(units.format_rate, return_type=str),
    _schema("string", "500 per hour"),
]
DomainName = Annotated[str, PlainValidator(read_domain), _schema("string", "example.com")]
Address = Annotated[
    Mailbox, PlainValidator(read_address), _TEXT, _schema("string", "ann@example.com")
]
Pattern = Annotated[str, PlainValidator(read_pattern), _schema("string", "@example.com")]
Destination = Annotated[str, PlainValidator(read_route), _schema("string", "*.example")]
Networks = Annotated[
    NetworkText, PlainValidator(read_network), _TEXT, _schema("string", "192.0.2.0/24")
]
ClientAddress = Annotated[str, PlainValidator(read_client), _schema("string", "198.51.100.7")]
ListenOn = Annotated[Endpoint, PlainValidator(read_endpoint), _TEXT, _schema("string", "[::]:25")]
DnsServer = Annotated[
    Endpoint, PlainValidator(read_dns_server), _TEXT, _schema("string", "127.0.0.1:53")
]
NextHop = Annotated[
    Via,
    PlainValidator(read_vias),
    PlainSerializer(_written_vias),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "examples": ["smtp://relay.example.com:587"],
        }
    ),
]
Until = Annotated[date | datetime, PlainValidator(read_end), _TEXT, _schema("string", "2026-06-30")]
Moment = Annotated[
    datetime, PlainValidator(read_moment), _TEXT, _schema("string", "2026-06-30T12:00:00Z")
]
FilePath = Annotated[str, PlainValidator(read_path), _schema("string", "/etc/posthouse/file.pem")]
Name = Annotated[str, PlainValidator(read_name), _schema("string", "submission")]
