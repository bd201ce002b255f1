"""Delivery reports: messages that tell a sender what became of a message (RFC 3464, RFC 6522).

A report has three parts: words for people, fields for programs, and the header of the message or
all of it. It is sent with the null reverse-path, so that no report is ever made about a report.
"""

import quopri
from contextlib import suppress
from datetime import datetime
from email import errors, message_from_bytes
from email.header import Header, decode_header, make_header
from email.message import Message
from typing import Final

from msgspec import Struct

from posthouse.mail.address import Mailbox
from posthouse.mail.delivery_status import (
    Action,
    DeliveryStatus,
    StatusError,
    read_status,
    write_status,
)
from posthouse.mail.message import HeaderSection, date_field, message_id_field, split_header

RETURNED_OCTETS_MAX: Final = 1_048_576
"""A message above this size is never returned whole: its header is."""
RETURNED_HEADER_OCTETS_MAX: Final = 32_768
_STATUS_TYPES: Final = ("message/delivery-status", "message/global-delivery-status")


class Words(Struct, frozen=True):
    """What a report says to people.

    Attributes:
        subject: One line.
        text: Lines that end in LF.
        language: Tag of RFC 5646.
    """

    subject: str
    text: str
    language: str = "en"


class Report(Struct, frozen=True):
    """What a report is made of.

    Attributes:
        status: What became of the message, for which recipients.
        to: Reverse-path of the message: who gets the report.
        author: Our address in From; replies go to people there.
        unique: Part of Message-ID and boundary; never used twice.
        now: Carries a zone.
        return_content: ``FULL`` or ``HDRS`` (RET, RFC 3461 §4.3); FULL counts for failures only.
        smtputf8: The report may go out under SMTPUTF8 (RFC 6533).
        held: This is a notice about held mail.
    """

    status: DeliveryStatus
    to: Mailbox
    author: Mailbox
    unique: str
    now: datetime
    return_content: str = "HDRS"
    smtputf8: bool = False
    held: bool = False


def compose(report: Report, words: Words, original: bytes) -> bytes:
    """Return the report as a message. `original` is the message, or the head of it.

    The caller spools it with the null reverse-path; as 8BITMIME if it is not ASCII.
    """
    header = split_header(original)
    parts = [
        _text_part(words),
        _status_part(report),
        _returned_part(report, original, header),
    ]
    boundary = f"=_{report.unique}"
    while any(f"--{boundary}".encode() in part for part in parts):
        boundary += "_"
    mark = f"--{boundary}".encode()
    body = b"".join(mark + b"\r\n" + part for part in parts)
    return (
        _header(report, words.subject, boundary, header, body) + b"\r\n" + body + mark + b"--\r\n"
    )


def read(octets: bytes) -> DeliveryStatus | None:
    """Return what a report says, ours or another's; None if `octets` is no readable report."""
    try:
        message = message_from_bytes(octets)
        if message.get_content_type() != "multipart/report" or not message.is_multipart():
            return None
        for part in message.walk():
            if part.get_content_type() in _STATUS_TYPES:
                return read_status(_body_of(part))
    except (StatusError, errors.MessageError, UnicodeError, LookupError, ValueError):
        return None
    return None


def _header(
    report: Report, subject: str, boundary: str, original: HeaderSection, body: bytes
) -> bytes:
    kind = "8bit" if not body.isascii() else "7bit"
    lines = [
        f"From: Mail delivery <{report.author}>",
        f"To: <{report.to}>",
        f"Subject: {_encoded(subject)}",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
        f"Content-Transfer-Encoding: {kind}",
    ]
    if thread := _message_id(original):
        lines += [f"In-Reply-To: {thread}", f"References: {thread}"]
    ours = date_field(report.now) + message_id_field(report.unique, report.status.reporting_host)
    return ours + "".join(f"{line}\r\n" for line in lines).encode("utf-8")


def _message_id(original: HeaderSection) -> str:
    """The original's Message-ID, if it can stand in a header of ours."""
    for value in original.fields("Message-ID"):
        text = value.decode("ascii", "replace")
        if text.isprintable() and text.isascii() and len(text) < 250 and text.startswith("<"):
            return text
    return ""


def _encoded(subject: str) -> str:
    """A subject as it stands in a header (RFC 2047)."""
    return subject if subject.isascii() else Header(subject, "utf-8").encode(linesep="\r\n")


def _text_part(words: Words) -> bytes:
    text = words.text
    if text.isascii():
        kind, octets = "us-ascii\r\nContent-Transfer-Encoding: 7bit", text.encode()
    else:
        kind = "utf-8\r\nContent-Transfer-Encoding: quoted-printable"
        octets = quopri.encodestring(text.encode())
    head = (
        f"Content-Description: Notification\r\nContent-Language: {words.language}\r\n"
        f"Content-Type: text/plain; charset={kind}\r\n\r\n"
    )
    return head.encode() + octets.replace(b"\n", b"\r\n") + b"\r\n"


def _status_part(report: Report) -> bytes:
    body = write_status(report.status, utf8=report.smtputf8)
    kind = "message/delivery-status" if body.isascii() else "message/global-delivery-status"
    head = f"Content-Description: Delivery report\r\nContent-Type: {kind}\r\n"
    return head.encode() + _encoding_of(body) + b"\r\n" + body + b"\r\n"


def _returned_part(report: Report, original: bytes, header: HeaderSection) -> bytes:
    failed = any(one.action is Action.FAILED for one in report.status.recipients)
    whole = (
        failed
        and not report.held
        and report.return_content == "FULL"
        and len(original) <= RETURNED_OCTETS_MAX
    )
    octets = original if whole else _beginning(header)
    if not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    if report.smtputf8 and not header.octets.isascii():
        kind = "message/global" if whole else "message/global-headers"
    else:
        kind = "message/rfc822" if whole else "text/rfc822-headers"
    what = "Undelivered message" if whole else "Header of the message"
    head = f"Content-Description: {what}\r\nContent-Type: {kind}\r\n".encode()
    return head + _encoding_of(octets) + b"\r\n" + octets + b"\r\n"


def _beginning(header: HeaderSection) -> bytes:
    """The header section, cut between two fields where it is too long."""
    octets = header.octets
    if len(octets) <= RETURNED_HEADER_OCTETS_MAX:
        return octets
    end = octets.rfind(b"\r\n", 0, RETURNED_HEADER_OCTETS_MAX)
    while end > 0 and octets[end + 2 : end + 3] in {b" ", b"\t"}:
        end = octets.rfind(b"\r\n", 0, end)
    return octets[: end + 2] if end > 0 else b""


def _encoding_of(octets: bytes) -> bytes:
    return b"" if octets.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"


def subject_of(header: HeaderSection) -> str:
    """The original's subject as people read it: one line, whatever its encoding."""
    for value in header.fields("Subject"):
        text = value.decode("utf-8", "replace")
        with suppress(errors.HeaderParseError, LookupError, ValueError):
            text = str(make_header(decode_header(text)))
        return "".join(s for s in " ".join(text.split()) if s.isprintable())
    return ""


def _body_of(part: Message) -> bytes:
    """A status body put together again: the standard library has cut it into messages."""
    payload = part.get_payload()
    blocks = payload if isinstance(payload, list) else []
    return b"\n\n".join(_fields_of(block) for block in blocks if isinstance(block, Message))


def _fields_of(block: Message) -> bytes:
    lines = [f"{name}:{value}" for name, value in block.raw_items()]
    rest = block.get_payload(decode=True)
    head = "\n".join(lines).encode("utf-8", "surrogateescape")
    return head + b"\n\n" + rest if isinstance(rest, bytes) else head
