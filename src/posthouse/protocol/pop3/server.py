"""The POP3 server core: octets in, events out; answers in, octets out. It does no I/O."""

from typing import Final

from msgspec import Struct

from posthouse.protocol.framing import DotWriter, LineBuffer, LineFault, dotted
from posthouse.protocol.pop3 import replies
from posthouse.protocol.pop3.commands import (
    CharacterError,
    CommandError,
    decode_base64,
    parse,
    split,
)
from posthouse.protocol.pop3.events import (
    ApopGiven,
    AuthRequested,
    CapabilitiesRequested,
    CommandRefused,
    ConnectionAbused,
    Event,
    PasswordGiven,
    QuitReceived,
    SaslResponse,
    SignInBroken,
    TlsRequested,
    UserNamed,
)
from posthouse.protocol.pop3.replies import Challenge, Language, Reply
from posthouse.protocol.pop3.states import AFTER, AFTER_FAILURE, Phase, Verb

_VERBS: Final = {verb.value: verb for verb in Verb if verb is not Verb.EXCHANGE_LINE}
_VERB_OF: Final[dict[type[Event], Verb]] = {  # only commands that can change the phase
    UserNamed: Verb.USER,
    PasswordGiven: Verb.PASS,
    ApopGiven: Verb.APOP,
    AuthRequested: Verb.AUTH,
    SaslResponse: Verb.EXCHANGE_LINE,
    TlsRequested: Verb.STLS,
    QuitReceived: Verb.QUIT,
}
_OPENING: Final = (Phase.AUTHORIZATION, Phase.NAMED)
_WHY_NOT: Final = {(Phase.AUTHORIZATION, Verb.PASS): replies.USER_FIRST} | {
    (phase, verb): replies.SIGN_IN_FIRST
    for phase in _OPENING
    for verb in AFTER[Phase.TRANSACTION].keys() - AFTER[phase].keys()
}
_FAULTS: Final = {
    LineFault.TOO_LONG: replies.LINE_TOO_LONG,
    LineFault.BARE_NEWLINE: replies.BARE_NEWLINE,
    LineFault.NUL: replies.BAD_CHARACTERS,
}


class Offer(Struct, frozen=True):
    """What the server offers at this moment; CAPA says it, and no more is accepted.

    Attributes:
        user: USER and PASS may be used now.
        apop: APOP may be used now; the greeting has the timestamp that it needs.
        mechanisms: SASL mechanisms for AUTH, in capitals; empty if AUTH may not be used now.
        stls: The client may say STLS now.
        is_encrypted: TLS is active.
        implementation: What IMPLEMENTATION shows.
        expire_days: After so many days messages are removed here; None: never (RFC 2449 §6.7).
        login_delay_seconds: At least so long between sign-ins of an account; 0: any time (§6.5).
    """

    user: bool = False
    apop: bool = False
    mechanisms: tuple[str, ...] = ()
    stls: bool = False
    is_encrypted: bool = False
    implementation: str = "Posthouse"
    expire_days: int | None = None
    login_delay_seconds: int = 0


class CoreLimits(Struct, frozen=True):
    """What one connection may cost.

    Attributes:
        line_octets_max: Of a command, CRLF included; RFC 2449 section 4 asks for 255.
        exchange_octets_max: Of a line in a SASL exchange, as RFC 4954 section 4 has it.
        errors_max: Commands in a row that the core refuses.
        opening_commands_max: Commands before signing in; after TLS they are counted anew.
        flood_octets_max: Received without a line end.
    """

    line_octets_max: int = 1024
    exchange_octets_max: int = 12288
    errors_max: int = 20
    opening_commands_max: int = 100
    flood_octets_max: int = 65536


class ServerConnection:
    """One POP3 session as the server sees it.

    Give it what the socket read, take `next_event`, call `answer` or the three `*_content`
    methods, send `bytes_to_send`. While content is being sent no further event comes, so that
    memory stays bounded when the caller sends block by block.

    Attributes:
        phase: How far the session has come.
        language: Of the replies (RFC 6856 section 3).
    """

    def __init__(self, offer: Offer, limits: CoreLimits = CoreLimits()) -> None:  # noqa: B008 - frozen
        self.phase = Phase.AUTHORIZATION
        self.language = Language.ENGLISH
        self._offer = offer
        self._limits = limits
        self._unread = LineBuffer()
        self._unsent = bytearray()
        self._awaiting: Event | None = None
        self._content: DotWriter | None = None
        self._name = ""
        self._errors = 0
        self._opening_commands = 0
        self._octets_without_line = 0

    @property
    def wants_close(self) -> bool:
        """The session is over once `bytes_to_send` was sent."""
        return self.phase is Phase.CLOSED

    @property
    def pending_octets(self) -> int:
        """Received and not yet turned into events."""
        return len(self._unread)

    @property
    def unsent_octets(self) -> int:
        """Ready for the peer."""
        return len(self._unsent)

    def greet(self, reply: Reply) -> None:
        """Say the first line; a negative one ends the session."""
        self._unsent += reply.encode()
        if not reply.is_positive:
            self.end()

    def set_offer(self, offer: Offer) -> None:
        """Offer something else from the next command on."""
        self._offer = offer

    def receive(self, octets: bytes) -> None:
        """Take what the peer sent; any split of the stream gives the same events."""
        if self.phase not in (Phase.CLOSED, Phase.HANDSHAKE):
            self._octets_without_line += len(octets)
            self._unread.feed(octets)

    def next_event(self) -> Event | None:
        """Return the next event, or None while octets or an answer are missing."""
        if self._awaiting is not None or self.phase in (Phase.CLOSED, Phase.HANDSHAKE):
            return None
        exchange = self.phase is Phase.EXCHANGE
        limits = self._limits
        line = self._unread.next_line(
            limits.exchange_octets_max if exchange else limits.line_octets_max
        )
        if line is None and self._octets_without_line <= limits.flood_octets_max:
            return None
        self._octets_without_line = 0
        if line is None:
            event: Event = ConnectionAbused(replies.LINE_TOO_LONG)
        elif isinstance(line, LineFault):
            event = self._refused(_FAULTS[line])
        elif exchange:
            event = self._response(line)
        elif self._asks_too_much():
            event = ConnectionAbused(replies.TOO_MANY_COMMANDS)
        else:
            event = self._command(line)
        self._awaiting = event
        return event

    def answer(self, reply: Reply | Challenge) -> None:
        """Answer the event that `next_event` returned last, and move on.

        A `Challenge` answers AUTH or a line of its exchange only.
        """
        event = self._take_awaiting()
        if isinstance(reply, Challenge):
            self._unsent += reply.encode()
            assert isinstance(event, AuthRequested | SaslResponse), "no exchange"
            self.phase = Phase.EXCHANGE
            return
        self._unsent += reply.encode(self.language)
        if isinstance(event, ConnectionAbused):
            self.end()
        else:
            self._move(event, reply)

    def begin_content(self, reply: Reply) -> None:
        """Answer the event by a positive reply that content follows (multi-line response)."""
        assert self._awaiting is not None, "nothing to answer"
        assert reply.is_positive, "only a positive reply has content"
        self._unsent += reply.encode(self.language)
        self._content = DotWriter()

    def send_content(self, octets: bytes) -> None:
        """Send a block of content, cut anywhere; dots are stuffed here (RFC 1939 section 3)."""
        assert self._content is not None, "begin_content comes first"
        self._unsent += self._content.write(octets)

    def end_content(self) -> None:
        """End the content with its dot, and move on."""
        assert self._content is not None, "begin_content comes first"
        self._unsent += self._content.finish()
        self._content = None
        self._errors = 0
        self._take_awaiting()

    def answer_whole(self, reply: Reply, content: bytes) -> None:
        """Answer the event by a positive reply and all of its content; lines may end with LF."""
        assert reply.is_positive, "only a positive reply has content"
        self._unsent += reply.encode(self.language)
        self._unsent += dotted(content)
        self._errors = 0
        self._take_awaiting()

    def answer_capabilities(self) -> None:
        """Answer `CapabilitiesRequested` by what is offered now (RFC 2449 section 5)."""
        assert isinstance(self._awaiting, CapabilitiesRequested), "CAPA was not asked"
        lines = "".join(f"{line}\r\n" for line in self._capabilities())
        self.answer_whole(replies.CAPABILITIES, lines.encode("ascii"))

    def tls_started(self) -> None:
        """Go on after the handshake; what was said in clear is forgotten (RFC 2595 section 4)."""
        self.phase = Phase.AUTHORIZATION
        self.language = Language.ENGLISH
        self._unread.forget()
        self._octets_without_line = 0
        self._name = ""
        self._errors = self._opening_commands = 0

    def end(self) -> None:
        """End the session; what is unread is forgotten, what is unsent may still be sent."""
        self.phase = Phase.CLOSED
        self._awaiting = self._content = None
        self._unread.forget()

    def say_last(self, reply: Reply) -> None:
        """End the session with a reply that nobody asked for, unless content is half sent."""
        if self._content is None and self.phase not in (Phase.CLOSED, Phase.HANDSHAKE):
            self._unsent += reply.encode(self.language)
        self.end()

    def bytes_to_send(self) -> bytes:
        """Return and forget the octets that are ready for the peer."""
        octets = bytes(self._unsent)
        self._unsent.clear()
        return octets

    def _take_awaiting(self) -> Event:
        assert self._awaiting is not None, "nothing to answer"
        event, self._awaiting = self._awaiting, None
        return event

    def _move(self, event: Event, reply: Reply) -> None:
        verb = _VERB_OF.get(type(event))
        if not isinstance(event, CommandRefused):
            self._errors = 0
        if verb is None:
            return
        if reply.is_positive:
            self.phase = AFTER[self.phase][verb]
        else:
            self.phase = AFTER_FAILURE.get(verb, self.phase)
        if isinstance(event, UserNamed):
            self._name = event.name
        if self.phase is Phase.CLOSED:
            self.end()
        elif self.phase is Phase.HANDSHAKE:
            self._unread.forget()

    def _asks_too_much(self) -> bool:
        """Whether somebody who does not sign in keeps us busy all the same."""
        if self.phase not in _OPENING:
            return False
        self._opening_commands += 1
        return self._opening_commands > self._limits.opening_commands_max

    def _command(self, line: bytes) -> Event:
        try:
            keyword, arguments = split(line)
        except CharacterError:
            return self._refused(replies.BAD_CHARACTERS)
        verb = _VERBS.get(keyword)
        if verb is None:
            return self._refused(replies.UNKNOWN_COMMAND)
        if refusal := self._refusal(verb):
            return self._refused(refusal)
        try:
            event = parse(verb, arguments, user_name=self._name)
        except CommandError:
            return self._refused(replies.BAD_ARGUMENTS)
        if isinstance(event, AuthRequested) and event.mechanism not in self._offer.mechanisms:
            return self._refused(replies.UNKNOWN_MECHANISM)
        return event

    def _response(self, line: bytes) -> Event:
        if line == b"*":
            return self._refused(replies.SIGN_IN_CANCELLED)
        try:
            return SaslResponse(decode_base64(line))
        except CommandError:
            return self._refused(replies.SIGN_IN_NOT_BASE64)

    def _refusal(self, verb: Verb) -> Reply | None:
        """Why the command cannot come now, or None."""
        offer = self._offer
        if self.phase in _OPENING and not self._may_sign_in_by(verb):
            nothing_yet = offer.stls and not (offer.user or offer.apop or offer.mechanisms)
            return replies.TLS_FIRST if nothing_yet else replies.SIGN_IN_NOT_OFFERED
        if verb not in AFTER[self.phase]:
            return _WHY_NOT.get((self.phase, verb), replies.OUT_OF_ORDER)
        if verb is Verb.STLS and not offer.stls:
            return replies.TLS_ACTIVE if offer.is_encrypted else replies.TLS_NOT_OFFERED
        return None

    def _may_sign_in_by(self, verb: Verb) -> bool:
        if verb in (Verb.USER, Verb.PASS):
            return self._offer.user
        if verb is Verb.APOP:
            return self._offer.apop
        return verb is not Verb.AUTH or bool(self._offer.mechanisms)

    def _refused(self, reply: Reply) -> Event:
        self._errors += 1
        if self._errors > self._limits.errors_max:
            return ConnectionAbused(replies.TOO_MANY_ERRORS)
        if self.phase is Phase.EXCHANGE:
            self.phase = Phase.AUTHORIZATION  # a broken line ends the exchange
            return SignInBroken(reply)
        return CommandRefused(reply)

    def _capabilities(self) -> list[str]:
        offer = self._offer
        expire = "NEVER" if offer.expire_days is None else offer.expire_days
        lines = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", f"EXPIRE {expire}"]
        if offer.login_delay_seconds:
            lines.append(f"LOGIN-DELAY {offer.login_delay_seconds}")
        if offer.user:
            lines.append("USER")
        lines += ["UTF8 USER" if offer.user else "UTF8", "LANG"]
        if offer.mechanisms:
            lines.append("SASL " + " ".join(offer.mechanisms))
        if offer.stls and self.phase in _OPENING:
            lines.append("STLS")
        return [*lines, f"IMPLEMENTATION {offer.implementation}"]
