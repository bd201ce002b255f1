"""The SMTP server core: octets in, events out; answers in, octets out. It does no I/O."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from posthouse.mail.reply import Reply
from posthouse.protocol.framing import LineBuffer, LineFault
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.content import ContentFlow
from posthouse.protocol.smtp.events import (
    AuthRequested,
    ClientTold,
    CommandRefused,
    ConnectionAbused,
    ContentArrived,
    ContentEnded,
    DataRequested,
    Event,
    HelloReceived,
    MailReceived,
    OriginTold,
    QuitReceived,
    RecipientReceived,
    ResetReceived,
    SaslResponse,
    SignInBroken,
    TlsRequested,
)
from posthouse.protocol.smtp.offer import (
    SASL_LINE_OCTETS_MAX,
    Offer,
    SessionLimits,
)
from posthouse.protocol.smtp.parameters import CommandError
from posthouse.protocol.smtp.parsing import (
    FOREIGN_VERBS,
    Said,
    decode_base64,
    parse,
    parse_chunk,
    read,
)
from posthouse.protocol.smtp.patience import Patience
from posthouse.protocol.smtp.states import AFTER, Phase, Verb

__all__ = ["Offer", "ServerConnection", "SessionLimits"]

SHOWN_OCTETS_MAX: Final = 80  # of a refused line, for the log

_VERB_OF: Final[Mapping[type, Verb]] = {
    HelloReceived: Verb.HELLO,
    MailReceived: Verb.MAIL,
    RecipientReceived: Verb.RECIPIENT,
    DataRequested: Verb.DATA,
    ContentEnded: Verb.CONTENT_END,
    ResetReceived: Verb.RESET,
    QuitReceived: Verb.QUIT,
    TlsRequested: Verb.TLS,
    ClientTold: Verb.CLIENT_TOLD,
    OriginTold: Verb.ORIGIN_TOLD,
    AuthRequested: Verb.AUTH,
    SaslResponse: Verb.AUTH,
}
_FAULTS: Final[Mapping[LineFault, Reply]] = {
    LineFault.TOO_LONG: replies.LINE_TOO_LONG,
    LineFault.BARE_NEWLINE: replies.BARE_NEWLINE,
    LineFault.NUL: replies.CONTROL_CHARACTER,
}
_LAST_OF_GROUP: Final = frozenset({Verb.HELLO, Verb.DATA})
_TOLD: Final = frozenset({Verb.CLIENT_TOLD, Verb.ORIGIN_TOLD})
# In which phases there is no command to take.
_DEAF: Final = frozenset({Phase.SILENT, Phase.HANDSHAKE, Phase.CLOSED})


class ServerConnection:
    """One SMTP session as the server sees it.

    Give it what the socket read, take `next_event`, call `answer`, send `bytes_to_send`:

        connection.greet(replies.ready("mail.example.com"))
        connection.receive(octets)
        while (event := connection.next_event()) is not None:
            if not isinstance(event, ContentArrived):
                connection.answer(decide(event))
        transport.write(connection.bytes_to_send())

    While an answer is missing, octets pile up: stop reading when `pending_octets` is high. Close
    the connection when `wants_close` is true and `bytes_to_send` was sent.

    Attributes:
        phase: How far the session has come.
        offer: What EHLO offers now.
        extended: The last greeting was EHLO.
        signed_in: AUTH has succeeded; a second one is refused (RFC 4954 §4).
        spoke_early: The client talked before it was greeted (RFC 5321 §4.3.1 forbids it).
    """

    __slots__ = (
        "_awaiting",
        "_content",
        "_limits",
        "_lines",
        "_mail",
        "_patience",
        "_swallow_octets",
        "_unsent",
        "extended",
        "offer",
        "phase",
        "signed_in",
        "spoke_early",
    )

    def __init__(self, offer: Offer, limits: SessionLimits | None = None) -> None:
        self.phase = Phase.SILENT
        self.offer = offer
        self.extended = False
        self.signed_in = False
        self.spoke_early = False
        self._limits = limits or SessionLimits()
        self._lines = LineBuffer()
        self._unsent = b""
        self._awaiting: Event | None = None
        self._content: ContentFlow | None = None
        self._swallow_octets = 0  # of a refused BDAT
        self._patience = Patience(self._limits)
        self._mail: MailReceived | None = None

    @property
    def wants_close(self) -> bool:
        """Whether nothing more will be said: close once all is sent."""
        return self.phase is Phase.CLOSED

    @property
    def pending_octets(self) -> int:
        """Octets that are received and not yet dealt with: the measure for back-pressure."""
        return len(self._lines.unread)

    def greet(self, reply: Reply) -> None:
        """Say the first word: 220, or 421 or 554 and then close (RFC 5321 §3.1)."""
        assert self.phase is Phase.SILENT, "greeted already"
        self._say(reply)
        self.phase = AFTER[self.phase][Verb.GREETING] if reply.code == 220 else Phase.CLOSED

    def hang_up(self, reply: Reply) -> None:
        """Say 421 and close, whatever the client was about to say (RFC 5321 §3.8)."""
        if self.phase is not Phase.CLOSED:
            if self.phase is not Phase.HANDSHAKE:
                self._say(reply)
            self._close()

    def set_offer(self, offer: Offer) -> None:
        """Change what is offered from now on."""
        self.offer = offer

    def tls_started(self) -> None:
        """The handshake is done: forget all that was said before (RFC 3207 §4.2).

        Octets that came behind STARTTLS in the clear are forgotten too: whoever sent them, it was
        not the peer of the TLS session.
        """
        assert self.phase is Phase.HANDSHAKE, "no STARTTLS was answered with 220"
        self._lines.forget()
        self._mail = None
        self.extended = self.signed_in = False
        self.phase = AFTER[self.phase][Verb.TLS_DONE]

    def receive(self, octets: bytes) -> None:
        """Take what the peer sent; any split of the stream gives the same events."""
        if self.phase is Phase.SILENT:
            self.spoke_early = self.spoke_early or bool(octets)
            octets = octets[: max(self._limits.early_octets_max - len(self._lines), 0)]
        elif self.phase is Phase.CLOSED or self.phase is Phase.HANDSHAKE:
            return
        self._lines.feed(octets)

    def next_event(self) -> Event | None:
        """Return the next event, or None while octets or an answer are missing."""
        while self._awaiting is None and self.phase not in _DEAF:
            phase = self.phase
            if not self._lines.unread and (self._content is None or self._needs_octets):
                return None
            if phase is Phase.CONTENT:
                event = self._next_of_data()
            elif phase is Phase.CHUNK:
                event = self._next_of_chunk()
            else:
                event = self._next_command()
            if event is not None:
                if type(event) is ContentArrived:
                    return event
                self._awaiting = self._patience.count(event)
                return self._awaiting
            if self.phase is phase:  # else BDAT has moved on without an event
                return None
        return None

    @property
    def _needs_octets(self) -> bool:
        """Whether nothing can happen before something comes: only the end of content needs none."""
        content = self._content
        return content is None or not (content.ended or self.phase is Phase.CHUNK)

    def hello_reply(self) -> Reply:
        """The positive answer to the `HelloReceived` that waits for one."""
        assert isinstance(self._awaiting, HelloReceived), "no EHLO waits for an answer"
        return self.offer.hello_reply(extended=self._awaiting.extended)

    def answer(self, reply: Reply) -> None:
        """Answer the event that `next_event` returned last, and move on.

        A positive answer moves to the next phase; 421 closes (RFC 5321 §3.8).

        Raises:
            AssertionError: If no event waits for an answer (a bug of the caller).
        """
        if self.phase is Phase.CLOSED:
            return  # `hang_up` came first
        event, self._awaiting = self._awaiting, None
        assert event is not None, "nothing to answer"
        self._unsent += _wire_form(reply)
        kind = type(event)
        if reply.code == 421 or kind is ConnectionAbused:
            self._close()
        elif (verb := _VERB_OF.get(kind)) is not None:
            self._move(event, verb, reply)
        elif kind is SignInBroken:
            self.phase = AFTER[Phase.SIGNING_IN][Verb.AUTH_END]

    def bytes_to_send(self) -> bytes:
        """Return and forget the octets that are ready for the peer."""
        octets, self._unsent = self._unsent, b""
        return octets

    # ---------------------------------------------------------------- moving on

    def _say(self, reply: Reply) -> None:
        self._unsent += _wire_form(reply)

    def _close(self) -> None:
        self.phase = Phase.CLOSED
        self._awaiting = self._content = None
        self._lines.forget()

    def _move(self, event: Event, verb: Verb, reply: Reply) -> None:
        """Go where the table says, now that the command of `verb` is answered."""
        if verb is Verb.AUTH and reply.code != 334:
            self.signed_in = reply.is_positive
            self.phase = Phase.READY
            return
        if verb is Verb.CONTENT_END:
            if reply.is_positive:
                self._patience.restore()
        elif not reply.is_positive:
            return
        assert verb is not Verb.DATA or reply.code == 354, "DATA is answered by 354 or refused"
        self.phase = AFTER[self.phase][verb]
        if verb is not Verb.RECIPIENT:
            self._enter(event)

    def _enter(self, event: Event) -> None:
        """Prepare what the new phase needs."""
        match event:
            case MailReceived():
                self._mail = event
            case DataRequested():
                self._content = self._new_content()
            case HelloReceived(extended=extended):
                self.extended = extended
            case ClientTold():
                self.extended = self.signed_in = False
            case _:
                pass
        if self.phase is Phase.READY:
            self._mail = self._content = None
        elif self.phase in _DEAF:
            self._lines.forget()

    def _new_content(self) -> ContentFlow:
        return ContentFlow(
            self.offer.size_octets_max,
            self._limits.surplus_octets_max,
            binary=self._is_binary,
            mends_newlines=self.offer.mends_newlines,
        )

    # ---------------------------------------------------------------- commands

    def _next_command(self) -> Event | None:
        if self._swallow_octets:
            self._swallow_octets -= len(self._lines.take(self._swallow_octets))
            if self._swallow_octets:
                return None
        line = self._lines.next_line(SASL_LINE_OCTETS_MAX)
        if line is None:
            return None
        if isinstance(line, LineFault):
            return self._refused(self._fault(line), b"")
        try:
            if self.phase is Phase.SIGNING_IN:
                return self._sasl_response(line)
            return self._command(line)
        except CommandError as error:
            return self._refused(error.reply, line)

    def _refused(self, reply: Reply, line: bytes) -> CommandRefused:
        if self.phase is Phase.SIGNING_IN:
            return SignInBroken(reply)  # the line may hold a password
        verb = line[:4].upper()
        # What follows AUTH, and a line that is no command, may be a password gone astray.
        is_safe = verb != b"AUTH" and reply != replies.UNKNOWN_COMMAND
        return CommandRefused(reply, line[:SHOWN_OCTETS_MAX] if is_safe else verb)

    def _command(self, line: bytes) -> Event | None:
        said = read(line)
        command = said.command
        if command is None:
            if said.word in FOREIGN_VERBS:
                return ConnectionAbused(replies.NOT_A_MAIL_CLIENT, f"said {said.word}")
            raise CommandError(replies.UNKNOWN_COMMAND if said.word else replies.EMPTY_LINE)
        verb = command.verb
        if verb is Verb.CHUNK:
            return self._begin_chunk(said.argument)
        if verb in _TOLD and not self.offer.tells:
            raise CommandError(replies.NOT_IMPLEMENTED)
        if verb is not None and verb not in AFTER[self.phase]:
            raise CommandError(self._why_not_now(verb))
        if verb in _LAST_OF_GROUP and self.offer.in_turn and len(self._lines):
            return ConnectionAbused(replies.OUT_OF_TURN, f"talked on behind {said.word}")
        if verb is Verb.AUTH and self.signed_in:
            raise CommandError(replies.AUTH_TWICE)
        event = said.event or parse(line, said, self.offer)
        if verb is Verb.DATA or verb is Verb.RECIPIENT:
            self._check_with_mail(verb, said)
        return event

    def _check_with_mail(self, verb: Verb, said: Said) -> None:
        """Refuse what the parameters of MAIL do not allow."""
        if verb is Verb.DATA and self._is_binary:  # RFC 3030 §3
            raise CommandError(replies.BINARY_BY_CHUNKS)
        utf8 = self._mail is not None and self._mail.smtputf8
        if verb is Verb.RECIPIENT and not (utf8 or said.argument.isascii()):  # RFC 6531 §3.5
            raise CommandError(replies.NEEDS_SMTPUTF8)

    @property
    def _is_binary(self) -> bool:
        return self._mail is not None and self._mail.body == "BINARYMIME"

    def _why_not_now(self, verb: Verb) -> Reply:
        if self.phase is Phase.CONNECTED:
            return replies.HELLO_FIRST
        if self.phase is Phase.CHUNKS:
            return replies.CHUNKS_OPEN
        if verb in {Verb.RECIPIENT, Verb.DATA, Verb.CHUNK}:
            return replies.MAIL_FIRST if self.phase is Phase.READY else replies.RECIPIENT_FIRST
        return replies.TRANSACTION_OPEN

    def _fault(self, fault: LineFault) -> Reply:
        if fault is LineFault.TOO_LONG and self.phase is Phase.SIGNING_IN:
            return replies.AUTH_TOO_LONG
        return _FAULTS[fault]

    def _sasl_response(self, line: bytes) -> Event:
        if line == b"*":
            raise CommandError(replies.AUTH_CANCELLED)
        return SaslResponse(decode_base64(line))

    # ---------------------------------------------------------------- content

    def _begin_chunk(self, argument: str) -> ConnectionAbused | None:
        """Take BDAT. Its octets come whatever we answer (RFC 3030 §2), so they are swallowed."""
        try:
            chunk = parse_chunk(argument)
        except CommandError as error:
            # How much follows is unknown; to read content as commands would be dangerous.
            return ConnectionAbused(error.reply, "BDAT without a size")
        size_max = self.offer.size_octets_max
        if 0 < size_max < chunk.octets - self._limits.surplus_octets_max:
            return ConnectionAbused(replies.CONTENT_ENDLESS, "BDAT beyond all limits")
        if not self.offer.chunking or Verb.CHUNK not in AFTER[self.phase]:
            self._swallow_octets = chunk.octets
            why = self._why_not_now(Verb.CHUNK) if self.offer.chunking else replies.NOT_IMPLEMENTED
            raise CommandError(why)
        self._content = self._content or self._new_content()
        self._content.begin_chunk(chunk.octets, last=chunk.last)
        self.phase = AFTER[self.phase][Verb.CHUNK]
        return None if chunk.last else self._patience.count_chunk(chunk.octets)

    def _next_of_data(self) -> Event | None:
        content = self._content
        assert content is not None
        if not content.ended:
            body, rest = content.read_data(self._lines.take())
            if rest:
                self._lines.put_back(rest)
            if content.endless:
                return ConnectionAbused(replies.CONTENT_ENDLESS, "content beyond all limits")
            if body:
                return ContentArrived(body)
        return content.end_event() if content.ended else None

    def _next_of_chunk(self) -> Event | None:
        content = self._content
        assert content is not None
        if not content.ended:
            body = content.read_chunk(self._lines.take(content.chunk_left))
            if content.endless:
                return ConnectionAbused(replies.CONTENT_ENDLESS, "content beyond all limits")
            if body:
                return ContentArrived(body)
        if content.ended:
            return content.end_event()
        if content.chunk_left == 0:
            self._say(replies.chunk_ok(content.chunk_octets))
            self.phase = AFTER[self.phase][Verb.CHUNK_END]
        return None


@lru_cache(maxsize=256)
def _wire_form(reply: Reply) -> bytes:
    return reply.encode()
