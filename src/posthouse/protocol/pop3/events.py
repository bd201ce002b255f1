"""What a client can ask of a POP3 server (RFC 1939, RFC 2449, RFC 2595, RFC 5034, RFC 6856).

Each event stops the core until it is answered, so that replies leave in the order of the commands
even when the client pipelines (RFC 2449 section 6.6).
"""

from msgspec import Struct

from posthouse.protocol.pop3.replies import Reply


class Event(Struct, frozen=True):
    """Something the client did."""


class SecretEvent(Event, frozen=True):
    """An event that must not be seen in logs or error reports."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class UserNamed(Event, frozen=True):
    """USER: who wants to sign in."""

    name: str


class PasswordGiven(SecretEvent, frozen=True):
    """PASS, together with the name that USER gave."""

    name: str
    password: str


class ApopGiven(SecretEvent, frozen=True):
    """APOP: a name, and the digest of greeting and password (RFC 1939 section 7)."""

    name: str
    digest: str


class AuthRequested(SecretEvent, frozen=True):
    """AUTH with an offered mechanism (RFC 5034 section 4). A `Challenge` goes on with it.

    Attributes:
        mechanism: In capitals.
        initial_response: Decoded; None where absent, empty for ``=``.
    """

    mechanism: str
    initial_response: bytes | None = None


class SaslResponse(SecretEvent, frozen=True):
    """The client's answer to a challenge, decoded. Answered as `AuthRequested` is."""

    octets: bytes


class MechanismsRequested(Event, frozen=True):
    """AUTH alone: some programs ask so for the mechanisms (from RFC 1734's time)."""


class TlsRequested(Event, frozen=True):
    """STLS (RFC 2595 section 4)."""


class CapabilitiesRequested(Event, frozen=True):
    """CAPA (RFC 2449 section 5)."""


class Utf8Requested(Event, frozen=True):
    """UTF8: the client understands internationalized mail (RFC 6856 section 2)."""


class LanguageRequested(Event, frozen=True):
    """LANG: which languages there are, or another one (RFC 6856 section 3).

    Attributes:
        tag: As the client wrote it; None: list them.
    """

    tag: str | None = None


class StatusRequested(Event, frozen=True):
    """STAT: how many messages, how many octets."""


class SizesRequested(Event, frozen=True):
    """LIST: sizes of all messages, or of one."""

    number: int | None = None


class UniqueIdsRequested(Event, frozen=True):
    """UIDL: unique ids of all messages, or of one."""

    number: int | None = None


class MessageRequested(Event, frozen=True):
    """RETR, or TOP with the number of body lines.

    Attributes:
        number: Message number, 0 or more.
        lines: Lines of the body after the header; None for the whole message.
    """

    number: int
    lines: int | None = None


class DeletionRequested(Event, frozen=True):
    """DELE: mark one message."""

    number: int


class ResetReceived(Event, frozen=True):
    """RSET: forget the marks."""


class NoopReceived(Event, frozen=True):
    """NOOP."""


class QuitReceived(Event, frozen=True):
    """QUIT: after a sign-in, marked messages are removed now (RFC 1939 section 6)."""


class CommandRefused(Event, frozen=True):
    """A line the core refuses by itself; answer it with `reply`."""

    reply: Reply


class SignInBroken(CommandRefused, frozen=True):
    """The client cancelled its AUTH by ``*``, or sent what is not base64: forget the exchange."""


class ConnectionAbused(Event, frozen=True):
    """Too many errors or a line without end; answered with `reply` the session is over."""

    reply: Reply
