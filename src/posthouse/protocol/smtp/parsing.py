"""Commands and their arguments (RFC 5321 §4.1.1, §4.1.2), as lenient as mail programs need.

Tolerated: any case, spaces after the colon and at the end. Not tolerated: an address without
brackets, an unknown parameter, a control character.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from msgspec import Struct

from posthouse.mail.address import AddressError, parse_forward_path, parse_reverse_path
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
from posthouse.protocol.smtp.parameters import (
    CONTROL,
    SIZE_DIGITS_MAX,
    CommandError,
    hold_of,
    mail_values,
    path_and_parameters,
    recipient_values,
)
from posthouse.protocol.smtp.states import Verb
from posthouse.protocol.smtp.timing import parse_by
from posthouse.protocol.xclient import (
    AttributesError,
    ToldClient,
    parse_xclient,
    parse_xforward,
)

HELLO_NAME_OCTETS_MAX: Final = 255  # a domain (RFC 5321 §4.5.3.1.2)

_HELLO: Final = frozenset({b"EHLO", b"HELO"})
_UNUSUAL_IN_NAME: Final = re.compile(r"[^A-Za-z0-9.:_\[\]-]")


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
    if CONTROL.search(line):
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
    path, given = path_and_parameters(argument, "FROM:", replies.MAIL_SYNTAX, replies.bad_sender)
    try:
        reverse_path = parse_reverse_path(path)
    except AddressError as error:
        raise CommandError(replies.bad_sender(str(error))) from None
    if not given:
        if not path.isascii():
            raise CommandError(replies.NEEDS_SMTPUTF8)
        return MailReceived(reverse_path)
    values = mail_values(given, offer)
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
        hold=hold_of(values, offer.future_release),
        deliver_by=parse_by(values["by"]) if "by" in values else None,
    )


def parse_recipient(argument: str, offer: Offer) -> RecipientReceived:
    """Return the event of RCPT (RFC 5321 §4.1.1.3). Whether it may be non-ASCII is not decided."""
    path, given = path_and_parameters(
        argument, "TO:", replies.RECIPIENT_SYNTAX, replies.bad_recipient
    )
    domain = offer.postmaster_domain or offer.hostname
    try:
        forward_path = parse_forward_path(path, postmaster_domain=domain)
    except AddressError as error:
        raise CommandError(replies.bad_recipient(str(error))) from None
    return RecipientReceived(forward_path, *recipient_values(given, offer))


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


class Said(Struct, frozen=True):
    """A command line, its first word looked up.

    Attributes:
        word: The first word, in upper case.
        command: What it is; None where nobody knows it.
        argument: The rest.
        event: What it asks for, where that depends on the line alone; else `parse` says it.
    """

    word: str
    command: Command | None
    argument: str
    event: Event | None = None


KNOWN_MAX: Final = 4096
KNOWN_OCTETS_MAX: Final = 320  # of a line: memory is bounded so
_known: Final[dict[bytes, Said]] = {}  # lines that come again and again


def read(line: bytes) -> Said:
    """Return what a command line says.

    Raises:
        CommandError: If it is no text, or too long for its command.
    """
    known = _known.get(line)
    if known is not None:
        return known
    word, _, argument = text_of(line).partition(" ")
    word = word.upper()
    command = COMMANDS.get(word)
    if command is not None and len(line) > command.octets_max - 2:
        raise CommandError(replies.LINE_TOO_LONG)
    return Said(word, command, argument.strip(" "))


def parse(line: bytes, said: Said, offer: Offer) -> Event:
    """Return the event of a line that `read` has read; its command is known.

    Raises:
        CommandError: If its argument is wrong, or asks for what is not offered.
    """
    assert said.command is not None, "the caller has looked"
    event = said.command.parse(said.argument, offer)
    if len(line) <= KNOWN_OCTETS_MAX and _is_the_same_for_all(said, event):
        if len(_known) >= KNOWN_MAX:
            _known.clear()
        _known[line] = Said(said.word, said.command, said.argument, event)
    return event


def _is_the_same_for_all(said: Said, event: Event) -> bool:
    """Whether it is this event whatever is offered; one that may hold a password is not kept."""
    match event:
        case MailReceived(reverse_path=path):
            return said.argument.endswith(">") and event == MailReceived(path)
        case RecipientReceived(forward_path=path):
            ours = said.argument.lower().endswith("postmaster>")  # its domain is our name
            return not ours and said.argument.endswith(">") and event == RecipientReceived(path)
        case DataRequested() | ResetReceived() | QuitReceived():
            return True
        case _:
            return False
