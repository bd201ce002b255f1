"""Commands and their arguments (RFC 5321 §4.1.1, §4.1.2), as lenient as mail programs need.

Tolerated: any case, spaces after the colon and at the end. Not tolerated: an address without
brackets, an unknown parameter, a control character.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, NoReturn

from msgspec import Struct

from posthouse.mail.address import AddressError, parse_forward_path, parse_reverse_path
from posthouse.mail.envelope import Notify
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import (
    AuthRequested,
    ClientTold,
    DataRequested,
    Event,
    ExpandReceived,
    HelloReceived,
    HelpReceived,
    MailReceived,
    NoopReceived,
    OriginTold,
    QuitReceived,
    RecipientReceived,
    ResetReceived,
    TlsRequested,
    VerifyReceived,
)
from posthouse.protocol.smtp.offer import (
    COMMAND_OCTETS_MAX,
    PATH_COMMAND_OCTETS_MAX,
    SASL_LINE_OCTETS_MAX,
    Offer,
)
from posthouse.protocol.smtp.states import Verb
from posthouse.protocol.smtp.timing import (
    DeliverBy,
    FutureRelease,
    parse_by,
    parse_instant,
    parse_wait,
)
from posthouse.protocol.xclient import (
    AttributesError,
    ToldClient,
    parse_xclient,
    parse_xforward,
)

HELLO_NAME_OCTETS_MAX: Final = 255  # a domain (RFC 5321 §4.5.3.1.2)
ENVELOPE_ID_SIGNS_MAX: Final = 100  # RFC 3461 §4.4
ORIGINAL_SIGNS_MAX: Final = 500  # RFC 3461 §4.2
SIZE_DIGITS_MAX: Final = 20  # RFC 1870 §6

_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_HELLO: Final = frozenset({b"EHLO", b"HELO"})
_UNUSUAL_IN_NAME: Final = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
# To the ">" that closes the path: one inside a quoted local-part does not.
_PATH: Final = re.compile(r'<(?:[^">]|"(?:[^"\\]|\\.)*")*>')
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")  # RFC 3461 §4
# An ORCPT may be in xtext, or, with SMTPUTF8, in UTF-8 (RFC 6533 §3).
_ORIGINAL: Final = re.compile(r"[A-Za-z0-9-]+;[^\x00-\x20\x7f=]+")
_XTEXT_OCTET: Final = re.compile(r"\+([0-9A-F]{2})")
_NOTIFY: Final[Mapping[str, Notify]] = {it.value: it for it in Notify}


class CommandError(Exception):
    """The command is refused; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Chunk(Struct, frozen=True):
    """BDAT: so many octets follow (RFC 3030 §2)."""

    octets: int
    last: bool


Parser = Callable[[str, Offer], Event]


class Command(Struct, frozen=True):
    """A command: its place in the order and its parser.

    Attributes:
        verb: None: it may come between any other commands.
        parse: Makes the event of the argument, or raises `CommandError`.
        octets_max: Limit of its line, CRLF included.
    """

    verb: Verb | None
    parse: Parser
    octets_max: int = COMMAND_OCTETS_MAX


def text_of(line: bytes) -> str:
    """Return a command line as text without blanks at its end.

    Raises:
        CommandError: If it holds a control character, or is neither ASCII nor UTF-8.
    """
    line = line.rstrip(b" \t")
    if _CONTROL.search(line):
        raise CommandError(replies.CONTROL_CHARACTER)
    try:
        return line.decode()
    except UnicodeDecodeError:
        if line[:4].upper() in _HELLO:  # computers are named in any character set
            return line.decode("latin-1")
        raise CommandError(replies.NOT_UTF8) from None


def parse_hello(argument: str, *, extended: bool) -> HelloReceived:
    """Return the event of EHLO or HELO. Any name is taken: clients often do not know theirs."""
    if not argument:
        raise CommandError(replies.HELLO_NAME_MISSING)
    if len(argument) > HELLO_NAME_OCTETS_MAX:
        raise CommandError(replies.HELLO_NAME_TOO_LONG)
    return HelloReceived(_UNUSUAL_IN_NAME.sub("?", argument), extended)


def parse_mail(argument: str, offer: Offer) -> MailReceived:
    """Return the event of MAIL (RFC 5321 §4.1.1.2)."""
    path, given = _path_and_parameters(argument, "FROM:", replies.MAIL_SYNTAX, replies.bad_sender)
    try:
        reverse_path = parse_reverse_path(path)
    except AddressError as error:
        raise CommandError(replies.bad_sender(str(error))) from None
    if not given:
        if not path.isascii():
            raise CommandError(replies.NEEDS_SMTPUTF8)
        return MailReceived(reverse_path)
    values = _mail_values(given, offer)
    if not path.isascii() and "smtputf8" not in values:
        raise CommandError(replies.NEEDS_SMTPUTF8)
    return MailReceived(
        reverse_path,
        declared_octets=int(values["size"]) if "size" in values else None,
        body=values.get("body", "7BIT"),
        smtputf8="smtputf8" in values,
        return_content=values.get("ret", ""),
        envelope_id=values.get("envid", ""),
        auth_parameter=values.get("auth", ""),
        requiretls="requiretls" in values,
        hold=_hold(values, offer.future_release),
        deliver_by=parse_by(values["by"]) if "by" in values else None,
    )


def parse_recipient(argument: str, offer: Offer) -> RecipientReceived:
    """Return the event of RCPT (RFC 5321 §4.1.1.3). Whether it may be non-ASCII is not decided."""
    path, given = _path_and_parameters(
        argument, "TO:", replies.RECIPIENT_SYNTAX, replies.bad_recipient
    )
    domain = offer.postmaster_domain or offer.hostname
    try:
        forward_path = parse_forward_path(path, postmaster_domain=domain)
    except AddressError as error:
        raise CommandError(replies.bad_recipient(str(error))) from None
    notify: frozenset[Notify] = frozenset()
    for name, value in given.items():
        if name not in {"NOTIFY", "ORCPT"} or not offer.dsn:
            raise CommandError(replies.UNKNOWN_PARAMETER)
        if name == "NOTIFY":
            notify = _notify(value)
        elif len(value) > ORIGINAL_SIGNS_MAX or not _ORIGINAL.fullmatch(value):
            raise CommandError(replies.BAD_PARAMETER)
    return RecipientReceived(forward_path, notify, given.get("ORCPT", ""))


def parse_chunk(argument: str) -> Chunk:
    """Return the chunk that BDAT announces."""
    octets, _, last = argument.partition(" ")
    fits = len(octets) <= SIZE_DIGITS_MAX and octets.isascii() and octets.isdigit()
    if not fits or last.strip().upper() not in {"", "LAST"}:
        raise CommandError(replies.CHUNK_SYNTAX)
    return Chunk(int(octets), bool(last))


def parse_auth(argument: str, offer: Offer) -> AuthRequested:
    """Return the event of AUTH (RFC 4954 §4)."""
    if not offer.mechanisms:
        waits = offer.sign_in_after_tls
        raise CommandError(replies.TLS_BEFORE_AUTH if waits else replies.AUTH_NOT_OFFERED)
    mechanism, _, initial = argument.partition(" ")
    if not mechanism:
        raise CommandError(replies.AUTH_SYNTAX)
    mechanism = mechanism.upper()
    if mechanism not in offer.mechanisms:
        raise CommandError(replies.AUTH_UNKNOWN_MECHANISM)
    initial = initial.strip()
    if not initial:
        return AuthRequested(mechanism, None)
    octets = b"" if initial == "=" else decode_base64(initial.encode())
    return AuthRequested(mechanism, octets)


def decode_base64(line: bytes) -> bytes:
    """Return what a line of a SASL exchange holds (RFC 4648 §4).

    Raises:
        CommandError: If it is not base64.
    """
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise CommandError(replies.AUTH_NOT_BASE64) from None


def _tls(argument: str, offer: Offer) -> TlsRequested:
    if argument:
        raise CommandError(replies.NO_ARGUMENT_WANTED)
    if offer.tls:
        raise CommandError(replies.TLS_IN_USE)
    if not offer.starttls:
        raise CommandError(replies.TLS_NOT_OFFERED)
    return TlsRequested()


def _without_argument(event: Event) -> Parser:
    def parse(argument: str, _: Offer) -> Event:
        if argument:
            raise CommandError(replies.NO_ARGUMENT_WANTED)
        return event

    return parse


def _with_argument(event: Callable[[str], Event]) -> Parser:
    def parse(argument: str, _: Offer) -> Event:
        if not argument:
            raise CommandError(replies.ADDRESS_MISSING)
        return event(argument)

    return parse


def _path_and_parameters(
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


def _mail_values(given: Mapping[str, str], offer: Offer) -> dict[str, str]:
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
    if _CONTROL.search(shown.encode()):
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


def _hold(values: Mapping[str, str], allowed: FutureRelease | None) -> timedelta | datetime | None:
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


def _told(
    parse: Callable[[str], ToldClient], make: Callable[[ToldClient], Event]
) -> Callable[[str, Offer], Event]:
    """Return what reads XCLIENT or XFORWARD; a peer that is not trusted hears of neither."""

    def event(argument: str, offer: Offer) -> Event:
        if not offer.tells:
            raise CommandError(replies.NOT_IMPLEMENTED)
        try:
            return make(parse(argument))
        except AttributesError:
            raise CommandError(replies.TOLD_SYNTAX) from None

    return event


def _not_implemented(_: str, __: Offer) -> NoReturn:
    raise CommandError(replies.NOT_IMPLEMENTED)


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

COMMANDS: Final[Mapping[str, Command]] = {
    "EHLO": Command(Verb.HELLO, lambda argument, _: parse_hello(argument, extended=True)),
    "HELO": Command(Verb.HELLO, lambda argument, _: parse_hello(argument, extended=False)),
    "MAIL": Command(Verb.MAIL, parse_mail, PATH_COMMAND_OCTETS_MAX),
    "RCPT": Command(Verb.RECIPIENT, parse_recipient, PATH_COMMAND_OCTETS_MAX),
    "DATA": Command(Verb.DATA, _without_argument(DataRequested())),
    "BDAT": Command(Verb.CHUNK, _not_implemented),  # the core calls `parse_chunk` itself
    "RSET": Command(Verb.RESET, _without_argument(ResetReceived())),
    "QUIT": Command(Verb.QUIT, _without_argument(QuitReceived())),
    "NOOP": Command(None, lambda _, __: NoopReceived()),
    "HELP": Command(None, lambda argument, _: HelpReceived(argument)),
    "VRFY": Command(None, _with_argument(VerifyReceived)),
    "EXPN": Command(None, _with_argument(ExpandReceived)),
    "STARTTLS": Command(Verb.TLS, _tls),
    "XCLIENT": Command(Verb.CLIENT_TOLD, _told(parse_xclient, ClientTold)),
    "XFORWARD": Command(Verb.ORIGIN_TOLD, _told(parse_xforward, OriginTold)),
    "AUTH": Command(Verb.AUTH, parse_auth, SASL_LINE_OCTETS_MAX),
    **{
        word: Command(None, _not_implemented)
        for word in ("SEND", "SOML", "SAML", "TURN", "ETRN", "ATRN", "LHLO")
    },
}

# First words of other protocols: a browser or a proxy was made to talk to us.
FOREIGN_VERBS: Final = frozenset({"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE"})
