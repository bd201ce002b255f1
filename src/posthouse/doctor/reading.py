"""From what was pasted to plain text: octets, escapes, HTML, encodings, whole messages.

Nothing here raises for any input, and nothing is kept.
"""

import base64
import binascii
import quopri
import re
from email import message_from_string
from email.message import Message
from html import unescape
from typing import Final

from msgspec import Struct

CHARACTERS_MAX: Final = 64 * 1024  # of a paste; longer ones keep their head and their tail

_ENCODINGS: Final = ("utf-8", "gb18030", "cp1252")
_ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])"
)
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_TAG: Final = re.compile(
    r"<!--.{0,4000}?-->|<(style|script|head)\b.{0,4000}?</\1>|"
    r"</?(?:html|body|p|br|div|span|table|tbody|thead|tr|td|th|a|b|i|u|em|strong|font|h\d|ul|ol|li"
    r"|pre|code|hr|img|meta|center|blockquote|tt|link|title|o:p|!doctype)\b[^>]{0,400}>",
    re.IGNORECASE | re.DOTALL,
)
_BLOCK_TAG: Final = re.compile(r"</?(?:p|br|div|tr|li|h\d|table|pre|hr)\b", re.IGNORECASE)
_LOOKS_HTML: Final = re.compile(r"<(?:html|body|div|table|br|p)\b[^>]{0,400}>", re.IGNORECASE)
_QUOTED_PRINTABLE: Final = re.compile(r"=[0-9A-F]{2}|=\r?\n")
_BASE64_BLOCK: Final = re.compile(
    r"(?:^[A-Za-z0-9+/]{40,100}\n){2,}[A-Za-z0-9+/]*={0,2}$", re.MULTILINE
)
_HEADER_FIELD: Final = re.compile(
    r"(?:return-path|received|from|to|date|subject|message-id|content-type|mime-version"
    r"|delivered-to|x-[\w-]+|auto-submitted|arc-[\w-]+|dkim-signature|envelope-to):",
    re.IGNORECASE,
)
_REPORT_FIELDS: Final = (
    "Reporting-MTA", "Final-Recipient", "Original-Recipient", "Action", "Status", "Remote-MTA",
    "Diagnostic-Code",
)  # fmt: skip


class Paste(Struct, frozen=True):
    """What there is to understand.

    Attributes:
        text: Plain text with newlines; may be empty.
        whole_message: It was a whole message (.eml).
        report: It was a delivery report (RFC 3464).
        cut: It was longer than `CHARACTERS_MAX`.
        binary: It was mostly not text.
    """

    text: str
    whole_message: bool = False
    report: bool = False
    cut: bool = False
    binary: bool = False


def read(pasted: str | bytes) -> Paste:
    """Return the readable part of what was pasted."""
    text = _decode(pasted) if isinstance(pasted, bytes) else pasted
    cut = len(text) > CHARACTERS_MAX
    if cut:
        text = f"{text[: CHARACTERS_MAX // 2]}\n\n{text[-CHARACTERS_MAX // 2 :]}"
    controls = len(_CONTROLS.findall(text[:4096])) + text[:4096].count("\ufffd")
    binary = controls > max(8, len(text[:4096]) // 10)
    text = _clean(text)
    message = _message(text)
    if message is None:
        return Paste(_plain(text), cut=cut, binary=binary)
    body, report = _content(message)
    return Paste(_clean(body), whole_message=True, report=report, cut=cut, binary=binary)


def _decode(octets: bytes) -> str:
    if octets[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return octets.decode("utf-16", errors="replace")
    if octets.count(0) > len(octets) // 4 and octets[1:2] == b"\0":
        return octets.decode("utf-16-le", errors="replace")
    for encoding in _ENCODINGS:
        try:
            return octets.decode(encoding)
        except UnicodeDecodeError:
            continue
    return octets.decode("utf-8", errors="replace")


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def _plain(text: str) -> str:
    if _looks_quoted_printable(text):
        decoded = quopri.decodestring(text.encode("utf-8", "replace"))
        text = _clean(_decode(decoded))
    text = _BASE64_BLOCK.sub(_base64_text, text)
    return _without_tags(text) if _LOOKS_HTML.search(text) else text


def _looks_quoted_printable(text: str) -> bool:
    return text.count("=E") > 12 or ("=3D" in text and len(_QUOTED_PRINTABLE.findall(text)) > 8)


def _base64_text(match: re.Match[str]) -> str:
    try:
        decoded = base64.b64decode(match.group().replace("\n", ""), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return "\n"
    return _clean(decoded) if decoded.isprintable() or "\n" in decoded else "\n"


def _without_tags(text: str) -> str:
    text = _BLOCK_TAG.sub(lambda match: f"\n{match.group()}", text)
    return unescape(_TAG.sub(" ", text))


def _message(text: str) -> Message | None:
    head = text.lstrip("\n ")
    start = head.find("\n") + 1 if head.startswith("From ") else 0
    lines = [line for line in head[start:].split("\n", 12)[:12] if line[:1] not in {" ", "\t"}]
    fields = 0
    for line in lines:
        if not line:
            break
        if not re.match(r"[!-9;-~]+:", line):
            return None
        fields += bool(_HEADER_FIELD.match(line))
    return message_from_string(head[start:]) if fields >= 3 else None


def _content(message: Message) -> tuple[str, bool]:
    texts: list[str] = []
    machine: list[str] = []
    for part in _parts(message):
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            machine += _report_fields(part)
        elif kind == "text/plain":
            texts.append(_part_text(part))
        elif kind == "text/html" and not texts:
            texts.append(_without_tags(_part_text(part)))
    if not texts:
        texts.append(_part_text(message))
    subject = str(message.get("Subject", ""))
    own = "" if subject.startswith("=?") else f"Subject: {subject}\n\n"
    report = bool(machine) or message.get("Auto-Submitted", "").startswith("auto-replied")
    return own + "\n\n".join([*texts, *machine]), report


def _parts(message: Message) -> list[Message]:
    """Return the leaf parts, without going into the message that is returned."""
    payload = message.get_payload()
    if message.get_content_type() in {"message/rfc822", "text/rfc822-headers"}:
        return []
    if message.get_content_maintype() != "multipart" or not isinstance(payload, list):
        return [message]
    return [leaf for part in payload if isinstance(part, Message) for leaf in _parts(part)]


def _part_text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset("utf-8")
    try:
        return payload.decode(charset)
    except (LookupError, UnicodeDecodeError):
        return _decode(payload)


def _report_fields(part: Message) -> list[str]:
    blocks = part.get_payload()
    found = []
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, Message):
            fields = [(name, block.get(name)) for name in _REPORT_FIELDS]
            lines = [f"{name}: {' '.join(str(value).split())}" for name, value in fields if value]
            found.append("\n".join(lines))
    return found
