"""What a server offers at this moment, and the limits of a session."""

from functools import lru_cache
from typing import Final

from msgspec import Struct

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.timing import FutureRelease
from posthouse.protocol.xclient import XCLIENT_NAMES, XFORWARD_NAMES

COMMAND_OCTETS_MAX: Final = 512  # RFC 5321 §4.5.3.1.4, CRLF included
# MAIL and RCPT grow with each extension: SIZE by 26 (RFC 1870 §3), BODY by 17 (RFC 6152 §2), AUTH=
# by 500 (RFC 4954 §3), ORCPT and NOTIFY by some 530 (RFC 3461), SMTPUTF8 by 10 (RFC 6531 §3.1), BY
# by 17 (RFC 2852 §3), HOLDFOR or HOLDUNTIL by 34 (RFC 4865 §3).
PATH_COMMAND_OCTETS_MAX: Final = 2048
SASL_LINE_OCTETS_MAX: Final = 12288  # RFC 4954 §4

_ALWAYS: Final = ("EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "VRFY", "HELP", "QUIT")


class Offer(Struct, frozen=True):
    """What EHLO offers. The session changes it: after TLS, after a sign-in.

    Attributes:
        hostname: Our name, said in greeting and EHLO.
        size_octets_max: Largest message (RFC 1870); 0 for no fixed limit.
        starttls: STARTTLS is offered (RFC 3207).
        mechanisms: SASL mechanisms, upper case; none: AUTH is not offered (RFC 4954).
        sign_in_after_tls: AUTH is not offered now, but would be after STARTTLS.
        tls: The connection is encrypted now; REQUIRETLS is then offered (RFC 8689).
        dsn: DSN (RFC 3461).
        smtputf8: SMTPUTF8 (RFC 6531).
        chunking: CHUNKING (RFC 3030).
        binarymime: BINARYMIME (RFC 3030); needs `chunking`.
        requiretls: REQUIRETLS may be offered where there is TLS.
        recipients_max: RCPTMAX of LIMITS (RFC 9422); 0: it is not told.
        messages_max: MAILMAX of LIMITS; 0: it is not told.
        future_release: FUTURERELEASE (RFC 4865), and how far ahead; None: not offered.
        deliver_by_seconds_min: DELIVERBY (RFC 2852), with the shortest time for what is to be
            returned when it is late; None: not offered.
        mends_newlines: Not said: bare CR and bare LF in content become CRLF instead of being
            refused. What ends the content stays CRLF, dot, CRLF and nothing else.
        in_turn: Not said: a client that talks on behind EHLO, HELO or DATA before it has the answer
            is sent away (RFC 2920 §3.1 has these last in a group).
        tells: The peer is trusted to tell whom it speaks for: XCLIENT and XFORWARD.
        postmaster_domain: Domain of ``RCPT TO:<postmaster>``; the hostname if empty.
    """

    hostname: str
    size_octets_max: int
    starttls: bool = False
    mechanisms: tuple[str, ...] = ()
    sign_in_after_tls: bool = False
    tls: bool = False
    dsn: bool = True
    smtputf8: bool = True
    chunking: bool = True
    binarymime: bool = False
    requiretls: bool = False
    recipients_max: int = 0
    messages_max: int = 0
    future_release: FutureRelease | None = None
    deliver_by_seconds_min: int | None = None
    mends_newlines: bool = False
    in_turn: bool = False
    tells: bool = False
    postmaster_domain: str = ""

    def hello_reply(self, *, extended: bool) -> Reply:
        """The answer to EHLO, a keyword a line (RFC 5321 §4.1.1.1), or to HELO."""
        return _hello_reply(self) if extended else Reply(250, "", self.hostname)

    def help_reply(self) -> Reply:
        """The answer to HELP: the commands that make sense at this moment (RFC 5321 §4.1.1.8)."""
        sometimes = (
            ("BDAT", self.chunking),
            ("STARTTLS", self.starttls and not self.tls),
            ("AUTH", bool(self.mechanisms)),
            ("XCLIENT", self.tells),
            ("XFORWARD", self.tells),
        )
        words = [*_ALWAYS, *(word for word, yes in sometimes if yes)]
        return Reply(214, "2.0.0", " ".join(words))


class SessionLimits(Struct, frozen=True):
    """Limits of one session that the core itself keeps.

    Attributes:
        errors_max: Refused commands since the last accepted message; then 421.
        idle_commands_max: Commands that lead to no mail (NOOP, RSET, VRFY, EXPN, HELP, EHLO, AUTH)
            since the last accepted message; then 421.
        recipients_max: RCPT commands since the last accepted message, taken or not; then 421. RFC
            5321 §4.5.3.1.8 wants at least 100 taken.
        small_chunks_max: Chunks (BDAT) of less than 1 KiB that are not the last of their message,
            since the last accepted message; then 421.
        surplus_octets_max: Octets of a message beyond the size limit that are still read and
            thrown away, so that the client can be told 552; then 421.
        early_octets_max: What is kept of a client that talks before the greeting.
    """

    errors_max: int = 20
    idle_commands_max: int = 100
    recipients_max: int = 1100
    small_chunks_max: int = 500
    surplus_octets_max: int = 64 * 1024 * 1024
    early_octets_max: int = 4096


@lru_cache(maxsize=64)
def shared(offer: Offer) -> Offer:
    """Return the same object for all that are equal: each session keeps one."""
    return offer


@lru_cache(maxsize=64)
def _hello_reply(offer: Offer) -> Reply:
    offered = (
        (offer.hostname, True),
        ("PIPELINING", True),
        (f"SIZE {offer.size_octets_max}", True),
        ("STARTTLS", offer.starttls and not offer.tls),
        (f"AUTH {' '.join(offer.mechanisms)}", bool(offer.mechanisms)),
        ("8BITMIME", True),
        ("SMTPUTF8", offer.smtputf8),
        ("DSN", offer.dsn),
        ("CHUNKING", offer.chunking),
        ("BINARYMIME", offer.binarymime and offer.chunking),
        ("REQUIRETLS", offer.requiretls and offer.tls),
        (f"FUTURERELEASE {offer.future_release}", offer.future_release is not None),
        (f"DELIVERBY {offer.deliver_by_seconds_min}", offer.deliver_by_seconds_min is not None),
        (f"LIMITS{_limits_of(offer)}", bool(_limits_of(offer))),
        (f"XCLIENT {' '.join(XCLIENT_NAMES)}", offer.tells),
        (f"XFORWARD {' '.join(XFORWARD_NAMES)}", offer.tells),
        ("ENHANCEDSTATUSCODES", True),
        ("HELP", True),
    )
    return Reply(250, "", "\n".join(line for line, yes in offered if yes))


def _limits_of(offer: Offer) -> str:
    told = (("MAILMAX", offer.messages_max), ("RCPTMAX", offer.recipients_max))
    return "".join(f" {name}={value}" for name, value in told if value > 0)
