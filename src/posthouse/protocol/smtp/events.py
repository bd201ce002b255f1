"""What a client can ask of an SMTP server, as values (RFC 5321 §4.1.1).

Each event but `ContentArrived` stops the core until `ServerConnection.answer` is called, so that
replies leave in the order of the commands even when the client pipelines (RFC 2920 §3.2).
"""

from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec import Struct

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.mail.envelope import Notify
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.timing import DeliverBy
from posthouse.protocol.xclient import ToldClient


class HelloReceived(Struct, frozen=True):
    """EHLO or HELO. Answer with `ServerConnection.hello_reply()`, or refuse.

    Attributes:
        client_name: As the client says, never believed: unusual octets are shown as ``?``, so it
            can stand in a header field.
        extended: EHLO; extensions are listed in the answer.
    """

    client_name: str
    extended: bool


class MailReceived(Struct, frozen=True):
    """MAIL FROM: a mail transaction is asked for.

    Attributes:
        reverse_path: Where reports go.
        declared_octets: SIZE (RFC 1870 §6); None where not declared. Never above the offer.
        body: ``7BIT``, ``8BITMIME`` or ``BINARYMIME`` (RFC 6152, RFC 3030).
        smtputf8: SMTPUTF8 was asked for (RFC 6531).
        return_content: RET: ``FULL``, ``HDRS`` or "" (RFC 3461 §4.3).
        envelope_id: ENVID, xtext as received (RFC 3461 §4.4).
        auth_parameter: AUTH=, decoded; "<>" for nobody; "" where absent (RFC 4954 §5).
        requiretls: REQUIRETLS (RFC 8689).
        hold: HOLDFOR or HOLDUNTIL: how long, or until when, it waits here (RFC 4865).
        deliver_by: BY: the deadline (RFC 2852).
    """

    reverse_path: ReversePath
    declared_octets: int | None = None
    body: str = "7BIT"
    smtputf8: bool = False
    return_content: str = ""
    envelope_id: str = ""
    auth_parameter: str = ""
    requiretls: bool = False
    hold: timedelta | datetime | None = None
    deliver_by: DeliverBy | None = None


class RecipientReceived(Struct, frozen=True):
    """RCPT TO: one more forward-path.

    Attributes:
        forward_path: Who shall get the mail.
        notify: NOTIFY (RFC 3461 §4.1); empty where absent.
        original: ORCPT, ``type;xtext`` as received (RFC 3461 §4.2).
    """

    forward_path: Mailbox
    notify: frozenset[Notify] = frozenset()
    original: str = ""


class DataRequested(Struct, frozen=True):
    """DATA: the client waits for 354; any other answer refuses."""


class ContentArrived(Struct, frozen=True):
    """Part of the mail data, dots already unstuffed, line ends kept. Needs no answer."""

    octets: bytes


class ContentEnded(Struct, frozen=True):
    """The end of the mail data. The answer takes responsibility for it (RFC 5321 §6.1).

    Attributes:
        octets_total: Octets of content in all `ContentArrived` together.
        bad: "" or a key of `replies.FOR_BAD_CONTENT`, with which it must be refused. Content may
            then be incomplete.
        overlong: A line has more than 998 octets before its CRLF (RFC 5322 §2.1.1).
    """

    octets_total: int
    bad: str = ""
    overlong: bool = False


class TlsRequested(Struct, frozen=True):
    """STARTTLS (RFC 3207). After the answer 220 the next octets belong to TLS."""


class AuthRequested(Struct, frozen=True):
    """AUTH with an offered mechanism (RFC 4954 §4). Answer 334 to go on; 235 or 5xx to end.

    Attributes:
        mechanism: Upper case.
        initial_response: Decoded; None where absent, empty for ``=``.
    """

    mechanism: str
    initial_response: bytes | None


class SaslResponse(Struct, frozen=True):
    """The client's answer to a 334, decoded. Answered as `AuthRequested` is."""

    octets: bytes


class ClientTold(Struct, frozen=True):
    """XCLIENT: a trusted server tells whom it speaks for. Answer with the greeting, or refuse."""

    told: ToldClient


class OriginTold(Struct, frozen=True):
    """XFORWARD: a trusted filter tells where the next mail came from, for the record."""

    told: ToldClient


class ResetReceived(Struct, frozen=True):
    """RSET."""


class NoopReceived(Struct, frozen=True):
    """NOOP."""


class HelpReceived(Struct, frozen=True):
    """HELP."""

    argument: str = ""


class VerifyReceived(Struct, frozen=True):
    """VRFY (RFC 5321 §3.5)."""

    argument: str


class ExpandReceived(Struct, frozen=True):
    """EXPN."""

    argument: str


class QuitReceived(Struct, frozen=True):
    """QUIT. The connection closes after the answer."""


class CommandRefused(Struct, frozen=True):
    """A line the core refuses by itself. Answer with `reply`.

    Attributes:
        reply: What to answer.
        line: What was refused, shortened, for the log.
    """

    reply: Reply
    line: bytes = b""


class SignInBroken(CommandRefused, frozen=True):
    """The client cancelled its AUTH by ``*``, or sent what is not base64: forget the exchange."""


class ConnectionAbused(Struct, frozen=True):
    """A limit is passed, or this is no mail client. Answer with `reply`; then it closes.

    Attributes:
        reply: What to answer.
        why: What happened, in plain words for the log.
    """

    reply: Reply
    why: str


Event: TypeAlias = (
    HelloReceived
    | MailReceived
    | RecipientReceived
    | DataRequested
    | ContentArrived
    | ContentEnded
    | TlsRequested
    | AuthRequested
    | SaslResponse
    | ClientTold
    | OriginTold
    | ResetReceived
    | NoopReceived
    | HelpReceived
    | VerifyReceived
    | ExpandReceived
    | QuitReceived
    | CommandRefused
    | SignInBroken
    | ConnectionAbused
)
