"""The field that tells mail programs what was found, and its forgeries (RFC 8601)."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from posthouse.authentication.results import Result
from posthouse.mail.address import AddressError, parse_domain
from posthouse.mail.message import HEADER_OCTETS_MAX

FIELD_NAME: Final = b"authentication-results"
WORDS_MAX: Final = 160
_TOKEN: Final = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")
_MAILBOX: Final = re.compile(r"[!#$%&'*+./0-9=?A-Z^_`a-z{|}~-]*@[0-9A-Za-z.-]+")
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")
_LINE_OCTETS: Final = 78
_EMPTY_LINE: Final = b"\r\n\r\n"


class Finding(Struct, frozen=True):
    """What one method found (RFC 8601 §2.7).

    Attributes:
        method: ``spf``, ``dkim``, ``dmarc`` or ``arc``.
        result: In one word.
        properties: What it was found of, such as ``("header.d", "example.com")``; empty values
            are left out.
        reason: In a few words; "" if the result says it all.
    """

    method: str
    result: Result
    properties: tuple[tuple[str, str], ...] = ()
    reason: str = ""


def results_field(hostname: str, findings: Sequence[Finding]) -> bytes:
    """Return an Authentication-Results field, CRLF included (RFC 8601 §2.2).

    Args:
        hostname: Our name, by which our readers know the field is ours.
        findings: What was found; without any the field says ``none``.
    """
    return b"Authentication-Results: " + results_value(hostname, findings) + b"\r\n"


def results_value(hostname: str, findings: Sequence[Finding]) -> bytes:
    """Return what stands after the field's colon: also the last part of ARC's field."""
    if not findings:
        return f"{hostname}; none".encode()
    lines = [f"{hostname};"]
    for place, finding in enumerate(findings):
        end = ";" if place < len(findings) - 1 else ""
        line = "\t"
        for word in _words(finding):
            if len(line) + len(word) + 1 > _LINE_OCTETS and line.strip():
                lines.append(line)
                line = "\t "
            line += word if line == "\t" else f" {word}"
        lines.append(line + end)
    return "\r\n".join(lines).encode()


class ForgedResults:
    """Takes fields away that claim to be ours, while a message comes (RFC 8601 §5).

    Attributes:
        removed: How many there were.
    """

    def __init__(self, hostname: str) -> None:
        self._ours = _compared(hostname)
        self._held: bytearray | None = bytearray()
        self.removed = 0

    def take(self, octets: bytes) -> bytes:
        """Return what may go on; the header section is held back until it is there."""
        if self._held is None:
            return octets
        if not self._held and octets.find(_EMPTY_LINE, 0, HEADER_OCTETS_MAX) >= 0:
            self._held = None  # as ever: the whole header section comes at once
            return self._without_forged(octets)
        seen = max(0, len(self._held) - len(_EMPTY_LINE) + 1)
        self._held += octets
        end = 0 if self._held.startswith(b"\r\n") else self._held.find(_EMPTY_LINE, seen)
        if 0 <= end <= HEADER_OCTETS_MAX:
            return self.end()
        if end < 0 and len(self._held) < HEADER_OCTETS_MAX + len(_EMPTY_LINE):
            return b""
        held, self._held = bytes(self._held), None  # too large a header: others refuse it, whole
        return held

    def end(self) -> bytes:
        """Return what was held back, after the last part."""
        if self._held is None:
            return b""
        held, self._held = bytes(self._held), None
        return self._without_forged(held)

    def _without_forged(self, held: bytes) -> bytes:
        end = held.find(_EMPTY_LINE)
        head = held if end < 0 else held[:end]
        if held.startswith(b"\r\n") or FIELD_NAME not in head.lower():
            return held
        head, empty_line, body = held.partition(_EMPTY_LINE)
        return b"\r\n".join(self._kept(head)) + empty_line + body

    def _kept(self, head: bytes) -> Iterator[bytes]:
        ours = False
        for lines in _logical_lines(head):
            name, _, value = lines.partition(b":")
            ours = name.strip(b" \t").lower() == FIELD_NAME and self._is_ours(value)
            if ours:
                self.removed += 1
            else:
                yield lines

    def _is_ours(self, value: bytes) -> bool:
        """Whether a value names us before its first semicolon, in any word."""
        text = _without_comments(value.replace(b"\r\n", b"").decode("utf-8", "replace"))
        return self._ours in (_compared(word.strip('"')) for word in text.partition(";")[0].split())


def _logical_lines(head: bytes) -> Iterator[bytes]:
    """Each field with the lines that are folded from it."""
    group: list[bytes] = []
    for line in head.split(b"\r\n"):
        if group and not line.startswith((b" ", b"\t")):
            yield b"\r\n".join(group)
            group = []
        group.append(line)
    yield b"\r\n".join(group)


def _without_comments(text: str) -> str:
    """Comments may be nested and hold anything (RFC 5322 §3.2.2)."""
    depth, kept, escaped = 0, [], False
    for sign in text[:2048]:
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
            continue
        elif sign == "(":
            depth += 1
            kept.append(" ")
            continue
        elif sign == ")" and depth:
            depth -= 1
            continue
        if not depth:
            kept.append(sign)
    return "".join(kept)


def _compared(name: str) -> str:
    try:
        return parse_domain(name.rstrip("."))
    except AddressError:
        return name.casefold()


def _words(finding: Finding) -> Iterator[str]:
    yield f"{finding.method}={finding.result}"
    if finding.reason:
        yield f"reason={_quoted(finding.reason)}"
    for name, value in finding.properties:
        if value:
            yield f"{name}={_value(value)}"


def _value(value: str) -> str:
    if _TOKEN.fullmatch(value) or _MAILBOX.fullmatch(value):
        return value
    return _quoted(value)


def _quoted(text: str) -> str:
    """A quoted string of one line; what is not ASCII becomes a question mark."""
    plain = _UNPRINTABLE.sub("?", text)[:WORDS_MAX]
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
