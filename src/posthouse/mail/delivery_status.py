"""The part of a delivery report that programs read (RFC 3464 §2, RFC 6533 §3)."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from posthouse.mail.address import AddressError, Mailbox, parse_mailbox
from posthouse.mail.message import HeaderSection, date_time

DIAGNOSTIC_SIGNS_MAX: Final = 800
_REPLY: Final = re.compile(r"[2-5][0-9]{2}(?:[ -]|$)")
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]+")
_EMBEDDED: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


class Action(StrEnum):
    """What became of the message for one recipient (RFC 3464 §2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


class RecipientStatus(Struct, frozen=True):
    """One recipient's fields.

    Attributes:
        recipient: Final-Recipient: the forward-path as we knew it.
        action: What became of it.
        status: Enhanced status code, three numbers (RFC 3463).
        diagnostic: The words of the next hop, or ours; one line of ASCII.
        remote: Next hop as ``host [address]`` that said so; "" if the words are ours.
        original: ORCPT as ``type;address``, xtext already undone; "" where absent.
        last_attempt: When we last tried; carries a zone.
        retry_until: When we give up, in a report of delay.
    """

    recipient: Mailbox
    action: Action
    status: str
    diagnostic: str = ""
    remote: str = ""
    original: str = ""
    last_attempt: datetime | None = None
    retry_until: datetime | None = None


class DeliveryStatus(Struct, frozen=True):
    """All recipients that one report is about.

    Attributes:
        reporting_host: Who tells.
        recipients: At least one.
        envelope_id: ENVID as the sender gave it, xtext undone; "" where absent.
        arrived: When the reporting host took the message.
        deliver_by: The deadline that the sender set (RFC 2852 §5); written, not read.
        release: Until when the sender wanted it to wait (RFC 4865); written, not read.
    """

    reporting_host: str
    recipients: tuple[RecipientStatus, ...]
    envelope_id: str = ""
    arrived: datetime | None = None
    deliver_by: datetime | None = None
    release: datetime | None = None


class StatusError(ValueError):
    """Not a delivery status that can be read."""


def one_line(text: str, signs_max: int = DIAGNOSTIC_SIGNS_MAX) -> str:
    """Return a peer's words as one printable ASCII line: what else they hold becomes `?`."""
    return _UNPRINTABLE.sub("?", " ".join(text.split()))[:signs_max].rstrip()


def write_status(status: DeliveryStatus, *, utf8: bool) -> bytes:
    """Return the body of message/delivery-status, or with `utf8` of its global twin (RFC 6533)."""
    blocks = [_about_message(status), *(_about(one, utf8=utf8) for one in status.recipients)]
    return b"\r\n".join(
        b"".join(_folded(name, value) for name, value in block if value) for block in blocks
    )


def read_status(body: bytes) -> DeliveryStatus:
    """Return what a message/delivery-status body says; unknown fields are skipped.

    Raises:
        StatusError: If it names no host, no recipient, or one of them is not readable.
    """
    octets = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").strip(b"\r\n \t")
    first, *rest = [
        HeaderSection(part, complete=True) for part in re.split(rb"\r\n[ \t]*\r\n", octets)
    ]
    host = _untyped(_only(first, "Reporting-MTA"))
    recipients = tuple(_read_recipient(part) for part in rest if part.octets.strip())
    if not host or not recipients:
        raise StatusError("no reporting host or no recipient")
    envelope_id, arrived = _only(first, "Original-Envelope-Id"), _instant(first, "Arrival-Date")
    return DeliveryStatus(host, recipients, envelope_id, arrived)


def _about_message(status: DeliveryStatus) -> list[tuple[str, str]]:
    return [
        ("Original-Envelope-Id", one_line(status.envelope_id)),
        ("Reporting-MTA", f"dns; {status.reporting_host}"),
        ("Arrival-Date", date_time(status.arrived) if status.arrived else ""),
        ("Deliver-By-Date", date_time(status.deliver_by) if status.deliver_by else ""),
        ("Future-Release-Request", _release(status.release) if status.release else ""),
    ]


def _release(at: datetime) -> str:
    """The wait that was asked for, as an instant, whichever form it came in (RFC 4865)."""
    return f"until;{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _about(one: RecipientStatus, *, utf8: bool) -> list[tuple[str, str]]:
    return [
        ("Original-Recipient", one_line(one.original.replace(";", "; ", 1))),
        ("Final-Recipient", _typed_address(one.recipient, utf8=utf8)),
        ("Action", one.action),
        ("Status", one.status),
        ("Remote-MTA", f"dns; {one_line(one.remote, 300)}" if one.remote else ""),
        ("Diagnostic-Code", _typed_words(one)),
        ("Last-Attempt-Date", date_time(one.last_attempt) if one.last_attempt else ""),
        ("Will-Retry-Until", date_time(one.retry_until) if one.retry_until else ""),
    ]


def _typed_words(one: RecipientStatus) -> str:
    """Only a reply has the type of replies (RFC 3464 §2.3.6): not what we say of a broken host."""
    words = one_line(one.diagnostic)
    said = bool(one.remote) and is_reply(words)
    return f"{'smtp' if said else 'x-posthouse'}; {words}" if words else ""


def is_reply(words: str) -> bool:
    """Whether the words are an SMTP reply, as opposed to what we say ourselves."""
    return _REPLY.match(words) is not None


def _typed_address(mailbox: Mailbox, *, utf8: bool) -> str:
    text = str(mailbox)
    if text.isascii():
        return f"rfc822; {text}"
    if utf8:
        return f"utf-8; {text}"
    plain = "".join(s if s.isascii() and s != "\\" else f"\\x{{{ord(s):02X}}}" for s in text)
    return f"utf-8; {plain}"


def _folded(name: str, value: str) -> bytes:
    """Break at spaces before 78 signs where possible; unfolding gives the value back."""
    lines, line = [], f"{name}:"
    for word in value.split(" "):
        if len(line) + 1 + len(word) > 78 and line.strip() and not line.endswith(":"):
            lines.append(line)
            line = ""
        line += " " + word
    return "\r\n".join([*lines, line]).encode("utf-8") + b"\r\n"


def _read_recipient(part: HeaderSection) -> RecipientStatus:
    status = _only(part, "Status").split(" ", maxsplit=1)[0]
    try:
        action = Action(_only(part, "Action").lower())
        recipient = parse_mailbox(_address(_only(part, "Final-Recipient")))
    except (ValueError, AddressError) as error:
        raise StatusError(str(error)) from None
    if not _STATUS.fullmatch(status):
        raise StatusError("the status is not three numbers")
    return RecipientStatus(
        recipient=recipient,
        action=action,
        status=status,
        diagnostic=_untyped(_only(part, "Diagnostic-Code")),
        remote=_untyped(_only(part, "Remote-MTA")),
        original=_only(part, "Original-Recipient").replace("; ", ";", 1),
        last_attempt=_instant(part, "Last-Attempt-Date"),
        retry_until=_instant(part, "Will-Retry-Until"),
    )


def _address(value: str) -> str:
    text = _untyped(value)
    if value.lower().startswith("utf-8;"):
        text = _EMBEDDED.sub(lambda found: chr(min(int(found[1], 16), 0x10FFFF)), text)
    return text.removeprefix("<").removesuffix(">")


def _untyped(value: str) -> str:
    _, _, rest = value.partition(";")
    return rest.strip()


def _only(part: HeaderSection, name: str) -> str:
    return next(iter(_texts(part.fields(name))), "")


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode("utf-8", "replace") for value in values]


def _instant(part: HeaderSection, name: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(_only(part, name))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else None
