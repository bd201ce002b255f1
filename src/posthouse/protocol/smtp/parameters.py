"""Paths of MAIL and RCPT, and the parameters that extensions put behind them (RFC 5321 §4.1.2)."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from posthouse.mail.envelope import Notify
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.offer import Offer
from posthouse.protocol.smtp.timing import (
    DeliverBy,
    FutureRelease,
    parse_by,
    parse_instant,
    parse_wait,
)

ENVELOPE_ID_SIGNS_MAX: Final = 100  # RFC 3461 §4.4
ORIGINAL_SIGNS_MAX: Final = 500  # RFC 3461 §4.2
SIZE_DIGITS_MAX: Final = 20  # RFC 1870 §6

CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
# To the ">" that closes the path: one inside a quoted local-part does not.
_PATH: Final = re.compile(r'<(?:[^">]|"(?:[^"\\]|\\.)*")*>')
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")  # RFC 3461 §4
# An ORCPT is in xtext; of the type utf-8 it may be in UTF-8, or have \x{FC} in it (RFC 6533 §3).
_ORIGINAL: Final = re.compile(
    r"(?:[Uu][Tt][Ff]-8;(?:[^\x00-\x20\x7f+=]|\+[0-9A-F]{2})+"
    r"|(?![Uu][Tt][Ff]-8;)[A-Za-z0-9-]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2})+)"
)
_XTEXT_OCTET: Final = re.compile(r"\+([0-9A-F]{2})")
_NOTIFY: Final[Mapping[str, Notify]] = {it.value: it for it in Notify}


class CommandError(Exception):
    """The command is refused; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def path_and_parameters(
    argument: str, keyword: str, syntax: Reply, bad_address: Callable[[str], Reply]
) -> tuple[str, dict[str, str]]:
    """Split ``FROM:<path> NAME=VALUE NAME``; names come back in upper case."""
    if argument[: len(keyword)].upper() != keyword:
        raise CommandError(syntax)
    rest = argument[len(keyword) :].lstrip(" ")
    path = _PATH.match(rest)
    if path is None:
        why = "an address in a command stands in angle brackets: <name@example.com>"
        raise CommandError(bad_address(why) if rest else syntax)
    given: dict[str, str] = {}
    rest = rest[path.end() :]
    if rest:
        if rest[0] != " ":
            raise CommandError(syntax)
        for parameter in rest.split():
            name, _, value = parameter.partition("=")
            name = name.upper()
            if name in given:
                raise CommandError(replies.REPEATED_PARAMETER)
            given[name] = value
    return path[0], given


def recipient_values(given: Mapping[str, str], offer: Offer) -> tuple[frozenset[Notify], str]:
    """Check the parameters of RCPT: NOTIFY and ORCPT (RFC 3461 §4)."""
    notify: frozenset[Notify] = frozenset()
    for name, value in given.items():
        if name not in {"NOTIFY", "ORCPT"} or not offer.dsn:
            raise CommandError(replies.UNKNOWN_PARAMETER)
        if name == "NOTIFY":
            notify = _notify(value)
        elif len(value) > ORIGINAL_SIGNS_MAX or not _ORIGINAL.fullmatch(value):
            raise CommandError(replies.BAD_PARAMETER)
    return notify, given.get("ORCPT", "")


def mail_values(given: Mapping[str, str], offer: Offer) -> dict[str, str]:
    """Check the parameters of MAIL one by one; the values that count, under lower-case names."""
    values: dict[str, str] = {}
    for name, value in given.items():
        check = _MAIL_PARAMETERS.get(name)
        if check is None:
            raise CommandError(replies.UNKNOWN_PARAMETER)
        values[name.lower()] = check(value, offer)
    return values


def _size(value: str, _: Offer) -> str:
    # One beyond the offer is refused by the session, which gives a reason and records a case.
    if not (value.isascii() and value.isdigit() and len(value) <= SIZE_DIGITS_MAX):
        raise CommandError(replies.BAD_PARAMETER)
    return value


def _body(value: str, offer: Offer) -> str:
    value = value.upper()
    binary = value == "BINARYMIME" and offer.binarymime and offer.chunking
    if value not in {"7BIT", "8BITMIME"} and not binary:
        raise CommandError(replies.BAD_PARAMETER)
    return value


def _flag(offered: Callable[[Offer], bool]) -> Callable[[str, Offer], str]:
    def check(value: str, offer: Offer) -> str:
        if not offered(offer):
            raise CommandError(replies.UNKNOWN_PARAMETER)
        if value:
            raise CommandError(replies.BAD_PARAMETER)
        return ""

    return check


def _ret(value: str, offer: Offer) -> str:
    if not offer.dsn:
        raise CommandError(replies.UNKNOWN_PARAMETER)
    if value.upper() not in {"FULL", "HDRS"}:
        raise CommandError(replies.BAD_PARAMETER)
    return value.upper()


def _envid(value: str, offer: Offer) -> str:
    if not offer.dsn:
        raise CommandError(replies.UNKNOWN_PARAMETER)
    if not value or len(value) > ENVELOPE_ID_SIGNS_MAX or not _XTEXT.fullmatch(value):
        raise CommandError(replies.BAD_PARAMETER)
    return value


def _auth(value: str, _: Offer) -> str:
    # Taken whether or not AUTH is offered now: it is no longer, once the client has signed in.
    if not value or not _XTEXT.fullmatch(value):
        raise CommandError(replies.BAD_PARAMETER)
    shown = _XTEXT_OCTET.sub(lambda found: chr(int(found[1], 16)), value)
    if CONTROL.search(shown.encode()):
        raise CommandError(replies.BAD_PARAMETER)
    return shown


def _by(value: str, offer: Offer) -> str:
    if offer.deliver_by_seconds_min is None:
        raise CommandError(replies.UNKNOWN_PARAMETER)
    by: DeliverBy | None = parse_by(value)
    if by is None:
        raise CommandError(replies.BAD_PARAMETER)
    if by.returned and by.seconds < offer.deliver_by_seconds_min:  # RFC 2852 §4
        raise CommandError(replies.DEADLINE_TOO_SOON)
    return value


def _release(value: str, offer: Offer) -> str:
    if offer.future_release is None:
        raise CommandError(replies.UNKNOWN_PARAMETER)
    return value


def hold_of(
    values: Mapping[str, str], allowed: FutureRelease | None
) -> timedelta | datetime | None:
    """How long or until when the mail waits; the two exclude each other (RFC 4865 §4)."""
    if allowed is None or not values.keys() & {"holdfor", "holduntil"}:
        return None
    wait, until = parse_wait(values.get("holdfor", "")), parse_instant(values.get("holduntil", ""))
    if ("holdfor" in values) is (wait is None) or ("holduntil" in values) is (until is None):
        raise CommandError(replies.BAD_PARAMETER)
    if wait is not None and until is not None:
        raise CommandError(replies.BAD_PARAMETER)
    if (wait is not None and wait > allowed.interval) or (
        until is not None and until > allowed.until
    ):
        raise CommandError(replies.HELD_TOO_LONG)
    return wait if wait is not None else until


def _notify(value: str) -> frozenset[Notify]:
    words = value.upper().split(",")
    if not all(word in _NOTIFY for word in words) or ("NEVER" in words and len(words) > 1):
        raise CommandError(replies.BAD_PARAMETER)
    return frozenset(_NOTIFY[word] for word in words)


_MAIL_PARAMETERS: Final[Mapping[str, Callable[[str, Offer], str]]] = {
    "SIZE": _size,
    "BODY": _body,
    "SMTPUTF8": _flag(lambda offer: offer.smtputf8),
    "RET": _ret,
    "ENVID": _envid,
    "AUTH": _auth,
    "REQUIRETLS": _flag(lambda offer: offer.requiretls and offer.tls),
    "HOLDFOR": _release,
    "HOLDUNTIL": _release,
    "BY": _by,
}
