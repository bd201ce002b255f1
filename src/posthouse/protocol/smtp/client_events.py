"""What an SMTP server has answered to our client, as values."""

from typing import TypeAlias

from msgspec import Struct

from posthouse.mail.reply import Reply


class Extensions(Struct, frozen=True):
    """What the server offered in its answer to EHLO or LHLO.

    Attributes:
        size_octets_max: SIZE; 0 for no fixed limit, None where SIZE is not offered (RFC 1870).
        mechanisms: Upper case, in the server's order (RFC 4954).
        deliver_by_seconds_min: DELIVERBY; 0 for no minimum, None where not offered (RFC 2852).
    """

    pipelining: bool = False
    size_octets_max: int | None = None
    starttls: bool = False
    mechanisms: tuple[str, ...] = ()
    eightbitmime: bool = False
    smtputf8: bool = False
    dsn: bool = False
    chunking: bool = False
    binarymime: bool = False
    requiretls: bool = False
    deliver_by_seconds_min: int | None = None


class Greeted(Struct, frozen=True):
    """The first word of the server: 220, or it refuses us (RFC 5321 §3.1)."""

    reply: Reply


class HelloAnswered(Struct, frozen=True):
    """The answer to EHLO, or to the HELO that followed a refused EHLO."""

    reply: Reply
    extensions: Extensions


class TlsReady(Struct, frozen=True):
    """STARTTLS was answered 220: shake hands, call `tls_started`, then `hello` again."""

    reply: Reply


class TlsRefused(Struct, frozen=True):
    """STARTTLS was refused; the session goes on in the clear if that is acceptable."""

    reply: Reply


class SignInAnswered(Struct, frozen=True):
    """The last answer to AUTH; positive if signed in."""

    reply: Reply


class ResetAnswered(Struct, frozen=True):
    """The answer to `reset`."""

    reply: Reply


class ContentWanted(Struct, frozen=True):
    """Stream the content now: `write_content` as often as needed, then `end_content`."""

    number: int


class ContentOut(Struct, frozen=True):
    """The whole content, its end included, is ready to be sent.

    From now on the server may take responsibility for transaction `number`.
    """

    number: int


class TransactionEnded(Struct, frozen=True):
    """Transaction `number` is over; `replies` has the deciding reply for each recipient."""

    number: int
    replies: tuple[Reply, ...]


class Closed(Struct, frozen=True):
    """The session is over: 421, the answer to QUIT, or (None) without a word.

    Transactions without `TransactionEnded` have no outcome, but see `ClientConnection.heard_of`.
    """

    reply: Reply | None


ClientEvent: TypeAlias = (
    Greeted
    | HelloAnswered
    | TlsReady
    | TlsRefused
    | SignInAnswered
    | ResetAnswered
    | ContentWanted
    | ContentOut
    | TransactionEnded
    | Closed
)
