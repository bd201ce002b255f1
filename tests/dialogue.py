"""Plays a transcript against the SMTP server core; its whole conversation must be as written.

- ``# ``: first what it shows, then which RFC or promise it protects
- ``given offer starttls``: a flag of `Offer`; further: mechanisms PLAIN,LOGIN; size N; without X
- ``given limit errors_max 2``: a field of `SessionLimits`
- ``given refused carol@example.org``: RCPT of this mailbox is refused
- ``C: ``: a line, sent with CRLF
- ``C+ ``: the same, but it leaves in one packet with the next
- ``C~ ``: raw octets with escapes and nothing added; answered if ``S:`` follows
- ``C* ``: the TLS handshake is done
- ``S: ``: a line of the server; ``S* closes``: it closes
"""

from itertools import pairwise
from pathlib import Path

from msgspec.structs import replace

from posthouse.mail.reply import Reply
from posthouse.protocol import sasl
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import (
    AuthRequested,
    CommandRefused,
    ConnectionAbused,
    ContentArrived,
    ContentEnded,
    DataRequested,
    Event,
    ExpandReceived,
    HelloReceived,
    HelpReceived,
    MailReceived,
    NoopReceived,
    QuitReceived,
    RecipientReceived,
    ResetReceived,
    SaslResponse,
    TlsRequested,
    VerifyReceived,
)
from posthouse.protocol.smtp.offer import Offer, SessionLimits
from posthouse.protocol.smtp.server import ServerConnection

OFFER = Offer("mail.example", 10_000)
PASSWORDS = {"ann@example.com": "secret"}
POSITIVE: dict[type, Reply] = {
    MailReceived: replies.SENDER_OK,
    RecipientReceived: replies.RECIPIENT_OK,
    DataRequested: replies.SEND_CONTENT,
    ResetReceived: replies.RESET_OK,
    NoopReceived: replies.NOOP_OK,
    VerifyReceived: replies.CANNOT_VERIFY,
    ExpandReceived: replies.NOT_IMPLEMENTED,
    QuitReceived: replies.BYE,
    TlsRequested: replies.START_TLS,
}


class Session:
    """Answers events as a server without policy would: yes, unless the mailbox is listed."""

    def __init__(self, connection: ServerConnection, refused: frozenset[str] = frozenset()) -> None:
        self.connection = connection
        self.refused = refused
        self.events: list[Event] = []
        self.content = b""
        self.messages: list[bytes] = []
        self._mechanism: sasl.Mechanism = sasl.Plain()

    def run(self) -> None:
        """Take every event there is."""
        while (event := self.connection.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, ContentArrived):
                self.content += event.octets
            else:
                self.connection.answer(self.answer_to(event))

    def answer_to(self, event: Event) -> Reply:
        """Return the answer of this session."""
        match event:
            case CommandRefused(reply=reply) | ConnectionAbused(reply=reply):
                return reply
            case HelloReceived():
                self.content = b""
                return self.connection.hello_reply()
            case HelpReceived():
                return self.connection.offer.help_reply()
            case RecipientReceived(forward_path=mailbox) if str(mailbox) in self.refused:
                return Reply(550, "5.1.1", "No such mailbox")
            case AuthRequested(mechanism=mechanism, initial_response=response):
                self._mechanism = sasl.SERVER_SIDE[mechanism]()
                return self._signed_in(response)
            case SaslResponse(octets=response):
                return self._signed_in(response)
            case ContentEnded():
                return self._content_ended(event)
            case _:
                return POSITIVE[type(event)]

    def _content_ended(self, event: ContentEnded) -> Reply:
        content, self.content = self.content, b""
        if event.bad:
            return replies.FOR_BAD_CONTENT[event.bad]
        self.messages.append(content)
        return replies.MESSAGE_OK

    def _signed_in(self, response: bytes | None) -> Reply:
        try:
            step = self._mechanism.respond(response)
        except sasl.SaslError:
            return Reply(501, "5.5.2", "I do not understand this response")
        if isinstance(step, sasl.Challenge):
            return replies.challenge(step.octets)
        right = PASSWORDS.get(step.name) == step.password
        return replies.SIGNED_IN if right else replies.AUTH_FAILED


class Dialogue:
    """A transcript file."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        self._settings = [line.split()[1:] for line in lines if line.startswith("given")]
        self._lines = [line for line in lines if line[:1] in {"C", "S"}]

    def expected(self) -> list[str]:
        """The conversation as written."""
        return self._lines

    def played(self) -> list[str]:
        """The conversation as it went."""
        session = self._session()
        session.connection.greet(replies.ready("mail.example"))
        seen: list[str] = []
        self._listen(session, seen)
        for line, next_line in pairwise([*self._lines, "S"]):
            if line.startswith("S"):
                continue
            seen.append(line)
            self._speak(session.connection, line[:2], line[3:])
            if line[:2] in {"C:", "C*"} or next_line.startswith("S"):
                self._listen(session, seen)
        return seen

    def _speak(self, connection: ServerConnection, mark: str, text: str) -> None:
        if mark == "C*":
            connection.tls_started()
            connection.set_offer(replace(connection.offer, tls=True, starttls=False))
        elif mark == "C~":
            connection.receive(text.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        else:
            connection.receive(text.encode() + b"\r\n")

    def _listen(self, session: Session, seen: list[str]) -> None:
        closed_before = "S* closes" in seen
        session.run()
        said = session.connection.bytes_to_send().decode("ascii")
        seen.extend(f"S: {line}" for line in said.removesuffix("\r\n").split("\r\n") if said)
        if session.connection.wants_close and not closed_before:
            seen.append("S* closes")

    def _session(self) -> Session:
        offer, limits, refused = OFFER, SessionLimits(), set[str]()
        for setting in self._settings:
            match setting:
                case ["offer", "mechanisms", names]:
                    offer = replace(offer, mechanisms=tuple(names.split(",")))
                case ["offer", "size", octets]:
                    offer = replace(offer, size_octets_max=int(octets))
                case ["offer", "without", name]:
                    offer = replace(offer, **{name: False})
                case ["offer", name]:
                    offer = replace(offer, **{name: True})
                case ["limit", name, number]:
                    limits = replace(limits, **{name: int(number)})
                case ["refused", mailbox]:
                    refused.add(mailbox)
                case _:
                    raise ValueError(f"unknown setting: {' '.join(setting)}")
        return Session(ServerConnection(offer, limits), frozenset(refused))
