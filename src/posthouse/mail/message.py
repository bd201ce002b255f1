"""The header section of a message, found without copying its body, and the fields we write.

Contents use CRLF throughout; a session refuses what does not (RFC 5321 §2.3.8).
"""

import re
from datetime import datetime
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import chain, starmap
from typing import Final

from msgspec import Struct

from posthouse.mail.address import Mailbox
from posthouse.mail.address_list import mailboxes_in

HEADER_OCTETS_MAX: Final = 65_536
"""How much of a content is looked at to find its header section."""

_NAME: Final = re.compile(rb"[!-9;-~]+")
# A field with its folded lines, none of them of white space only. It is looked for at the begin of
# a line only: else a line without colon would be searched anew from each of its octets.
_FIELD: Final = re.compile(
    rb"^([!-9;-~]++[ \t]*+):((?:[^\r\n\x00]++|\r\n[ \t]++(?!\r))*+)\r\n", re.MULTILINE
)
_SPACE: Final = (b" ", b"\t")
_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_UNSAFE_HELLO: Final = re.compile(r"[^A-Za-z0-9._:\[\]-]")
_DAYS: Final = "Mon Tue Wed Thu Fri Sat Sun"
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"


class Field(Struct, frozen=True):
    """One header field.

    Attributes:
        name: As written, white space before the colon included (RFC 5322 §4.5 calls it obsolete).
        folded: All after the colon as written, without the last CRLF.
    """

    name: bytes
    folded: bytes

    @property
    def key(self) -> bytes:
        """The name as it is compared: lower-case, nothing around it."""
        return _key(self.name)

    @property
    def value(self) -> bytes:
        """Unfolded (RFC 5322 §2.2.3) and without space around it."""
        return self.folded.replace(b"\r\n", b"").strip(b" \t")


class HeaderSection(Struct, frozen=True, dict=True):
    """The fields at the head of a content.

    Attributes:
        octets: The header section, last CRLF included, the empty line not.
        complete: The empty line was found.
    """

    octets: bytes
    complete: bool

    @cached_property
    def _parsed(self) -> tuple[tuple[Field, ...], str]:
        return _parse(self.octets)

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Every field in its order; lines that are none are left out."""
        return self._parsed[0]

    @cached_property
    def _by_key(self) -> dict[bytes, list[Field]]:
        found: dict[bytes, list[Field]] = {}
        for field in self._parsed[0]:
            found.setdefault(_key(field.name), []).append(field)
        return found

    def named(self, key: bytes) -> list[Field]:
        """Return all fields whose name, in lower case, is `key`, in their order."""
        return self._by_key.get(key, [])

    @property
    def malformed(self) -> str:
        """What is wrong with the section as a whole, in plain words; "" if nothing is."""
        return self._parsed[1]

    def fields(self, name: str) -> list[bytes]:
        """Return the unfolded values of all fields of that name, in their order."""
        return [field.value for field in self.named(name.lower().encode())]

    def has(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return bool(self.named(name.lower().encode()))


class Writers(Struct, frozen=True):
    """The fields by which a message says whose it is; attribute by attribute `facts.Authorship`.

    Attributes:
        authors: Mailboxes of all From fields; None if From is missing, names nobody or cannot be
            parsed.
        from_fields: Number of From fields.
        sender: Mailbox of the Sender field; None where absent or not readable.
        sender_readable: False if a Sender field is there and is not exactly one mailbox.
        reply_to: Mailboxes of all Reply-To fields.
        reply_to_readable: False if a Reply-To field is there and cannot be parsed.
    """

    authors: tuple[Mailbox, ...] | None
    from_fields: int = 0
    sender: Mailbox | None = None
    sender_readable: bool = True
    reply_to: tuple[Mailbox, ...] = ()
    reply_to_readable: bool = True


def header_end(octets: bytes) -> int:
    """Return where the header section ends and the empty line begins; -1 if there is none."""
    if octets.startswith(b"\r\n"):
        return 0
    place = octets.find(b"\r\n\r\n")
    return place + 2 if place >= 0 else -1


def split_header(octets: bytes) -> HeaderSection:
    """Return the header section at the head of `octets`; without an empty line, all of it."""
    end = header_end(octets)
    return HeaderSection(octets if end < 0 else octets[:end], end >= 0)


def authorship(header: HeaderSection) -> Writers:
    """Return who the message says it is from; what two parsers could read apart is unreadable.

    A section that is malformed, or does not end within `HEADER_OCTETS_MAX`, may hide further
    fields from us or from others: nothing in it is then believed.
    """
    froms = header.named(b"from")
    cut = not header.complete and len(header.octets) >= HEADER_OCTETS_MAX
    if header.malformed or cut:
        return Writers(None, len(froms), None, sender_readable=False, reply_to_readable=False)
    senders, replies = header.named(b"sender"), header.named(b"reply-to")
    sender, reply_to = _all_mailboxes(senders), _all_mailboxes(replies)
    one_sender = sender[0] if sender and len(sender) == 1 and len(senders) == 1 else None
    return Writers(
        authors=_all_mailboxes(froms) or None,
        from_fields=len(froms),
        sender=one_sender,
        sender_readable=not senders or one_sender is not None,
        reply_to=reply_to or (),
        reply_to_readable=reply_to is not None,
    )


def count_received(header: HeaderSection) -> int:
    """Return how many hops the message has made: its Received fields (RFC 5321 §6.3)."""
    return len(header.named(b"received"))


def transmission_type(
    *, extended: bool, tls: bool = False, signed_in: bool = False, smtputf8: bool = False
) -> str:
    """Return what follows "with" in a Received field (RFC 3848, RFC 6531 §4.3)."""
    if not extended:
        return "SMTP"
    return ("UTF8SMTP" if smtputf8 else "ESMTP") + ("S" if tls else "") + ("A" if signed_in else "")


class Arrival(Struct, frozen=True):
    """How a message came to us: what its Received field tells.

    Attributes:
        hello: Name given by EHLO or HELO; untrusted, odd characters become `?`.
        address: The client's address; None for mail made here.
        hostname: Our own name.
        transmission: See `transmission_type`.
        message_id: Our id for the message, the one in the 250.
        at: When it was received; carries a zone.
        recipient: Only where there is exactly one: others must not learn of each other.
        tls: TLS version and cipher, for people; "" without.
    """

    hello: str
    address: IPv4Address | IPv6Address | None
    hostname: str
    transmission: str
    message_id: str
    at: datetime
    recipient: Mailbox | None = None
    tls: str = ""


def received_field(arrival: Arrival) -> bytes:
    """Return the trace field, CRLF included (RFC 5321 §4.4)."""
    parts = []
    hello = _UNSAFE_HELLO.sub("?", arrival.hello)[:255]
    if arrival.address is not None:
        literal = _literal(arrival.address)
        parts.append(f"from {hello or literal} ({literal})")
    if arrival.tls:
        parts.append(f"(using {_UNSAFE_HELLO.sub('-', arrival.tls)})")
    parts.append(f"by {arrival.hostname} (Posthouse)")
    last = f"with {arrival.transmission} id {arrival.message_id}"
    if arrival.recipient:
        parts.append(last)
        last = f"for <{arrival.recipient}>"
    parts += [last + ";", date_time(arrival.at)]
    return ("Received: " + "\r\n\t".join(parts) + "\r\n").encode("utf-8")


def date_time(at: datetime) -> str:
    """Return an instant as header fields write it (RFC 5322 §3.3), in English whatever the locale.

    `at` carries a zone; parts of a second are left out.
    """
    return _date_time(at.replace(microsecond=0)) if at.microsecond else _date_time(at)


@lru_cache(maxsize=16)
def _date_time(at: datetime) -> str:
    offset = at.utcoffset()
    assert offset is not None
    sign, minutes = ("-", -offset) if offset.days < 0 else ("+", offset)
    hours, rest = divmod(int(minutes.total_seconds()) // 60, 60)
    day, month = _DAYS[4 * at.weekday() :][:3], _MONTHS[4 * at.month - 4 :][:3]
    return f"{day}, {at.day} {month} {at.year:04} {at:%H:%M:%S} {sign}{hours:02}{rest:02}"


def date_field(now: datetime) -> bytes:
    """Return a Date field, CRLF included."""
    return f"Date: {date_time(now)}\r\n".encode()


def message_id_field(unique: str, hostname: str) -> bytes:
    """Return a Message-ID field, CRLF included (RFC 5322 §3.6.4).

    `unique` (letters, digits, dots) is never used twice by this host, which may be a literal.
    """
    return f"Message-ID: <{unique}@{hostname}>\r\n".encode()


@lru_cache(maxsize=512)
def _key(name: bytes) -> bytes:
    return name.strip().lower()


def _parse(octets: bytes) -> tuple[tuple[Field, ...], str]:
    """Cut into fields; what is no field is told in plain words."""
    found = _FIELD.findall(octets)
    read = sum(map(len, chain.from_iterable(found))) + len(b":\r\n") * len(found)
    if read == len(octets):  # there is nothing between the fields
        return tuple(starmap(Field, found)), ""
    return _parse_with_care(octets)


def _parse_with_care(octets: bytes) -> tuple[tuple[Field, ...], str]:
    """Cut what is not all fields, line by line."""
    malformed = "a bare CR, LF or NUL is in the header" if _BARE.search(octets) else ""
    lines: list[list[bytes]] = []
    for line in octets.removesuffix(b"\r\n").split(b"\r\n") if octets else ():
        if not line.startswith(_SPACE):
            lines.append([line])
        elif not line.strip(b" \t") or not lines:
            malformed = malformed or "a header line of white space only, or folded from nothing"
        else:
            lines[-1].append(line)
    fields: list[Field] = []
    for first, *more in lines:
        name, colon, value = first.partition(b":")
        if colon and _NAME.fullmatch(name.rstrip(b" \t")):
            fields.append(Field(name, b"\r\n".join([value, *more])))
        else:
            malformed = malformed or "a line of the header is not a field"
    return tuple(fields), malformed


def _all_mailboxes(fields: list[Field]) -> tuple[Mailbox, ...] | None:
    """The mailboxes of all these fields; None if one of them cannot be parsed."""
    if not fields:
        return ()
    found: list[Mailbox] = []
    for field in fields:
        mailboxes = mailboxes_in(field.value)
        if mailboxes is None or field.name != field.name.strip():
            return None
        found += mailboxes
    return tuple(found)


def _literal(address: IPv4Address | IPv6Address) -> str:
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
