"""The SMTP and LMTP client core: orders in, octets out; octets in, events out. It does no I/O."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

from posthouse.mail.reply import Reply
from posthouse.protocol.signing_in import SignIn, choose_sign_in
from posthouse.protocol.smtp.answers import PeerError, ReplyReader, extensions_in
from posthouse.protocol.smtp.client_events import (
    ClientEvent,
    Closed,
    Extensions,
    Greeted,
    HelloAnswered,
    ResetAnswered,
    SignInAnswered,
    TlsReady,
    TlsRefused,
)
from posthouse.protocol.smtp.exchange import Asked, Exchange
from posthouse.protocol.smtp.outgoing import Outgoing
from posthouse.protocol.smtp.transactions import Transactions

__all__ = ["ClientConnection", "Extensions", "Outgoing", "PeerError"]

NO_COMMON_MECHANISM: Final = Reply(504, "5.5.4", "No AUTH mechanism of the server is known here")
NOT_PROVEN: Final = Reply(501, "5.7.8", "The server did not prove that it knows the password")

_INTERMEDIATE: Final = {354: Asked.DATA, 334: Asked.AUTH}


class ClientConnection:
    """One session with a next hop, as the client sees it.

        connection.receive(octets)
        while (event := connection.next_event()) is not None:
            ...  # Greeted -> hello; HelloAnswered -> start_tls, sign_in or send
        transport.write(connection.bytes_to_send())

    An order may leave octets to send too: write `bytes_to_send` after each.

    Attributes:
        closed: Nothing more will be said.
        answers: Replies that came so far.
    """

    def __init__(self, *, lmtp: bool = False) -> None:
        self.closed = False
        self.answers = 0
        self._lmtp = lmtp
        self._reader = ReplyReader()
        self._exchange = Exchange()
        self._exchange.ask(Asked.GREETING)
        self._transactions = Transactions(self._exchange, lmtp=lmtp)
        self._hello_name = ""
        self._in_handshake = False
        self._peer_closed = False
        self._sign_in: SignIn | None = None

    @property
    def extensions(self) -> Extensions:
        """What the server offers."""
        return self._transactions.extensions

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked and nothing waits: good for the next order, or to be kept."""
        busy = self._exchange.asked or self.closed or self._in_handshake
        return self._transactions.is_idle and not busy

    @property
    def is_streaming(self) -> bool:
        """Whether a content is wanted, or its end."""
        return self._transactions.is_streaming

    @property
    def waits_for(self) -> Asked | None:
        """What the next reply will answer; None if the server owes nothing."""
        asked = self._exchange.asked
        return asked[0][0] if asked else None

    @property
    def unread_octets(self) -> int:
        """What the server said and nobody has asked for by `next_event`."""
        return self._reader.unread_octets

    @property
    def has_more_to_send(self) -> bool:
        """Whether octets are ready for the server."""
        return bool(self._exchange.unsent)

    def heard_of(self, number: int) -> tuple[bool, tuple[Reply | None, ...]]:
        """Return what is known of a transaction that has not ended.

        Whether anything was answered, and the deciding reply of each recipient that has one.
        """
        return self._transactions.heard_of(number)

    # ---------------------------------------------------------------- orders

    def hello(self, name: str) -> None:
        """Say EHLO (LHLO by LMTP); a refused EHLO is followed by HELO (RFC 5321 §3.2)."""
        self._hello_name = name
        self._transactions.ready = False
        self._exchange.command(f"{'LHLO' if self._lmtp else 'EHLO'} {name}", Asked.HELLO)

    def start_tls(self) -> None:
        """Say STARTTLS; `TlsReady` or `TlsRefused` follows."""
        assert self.is_idle, "STARTTLS comes between commands"
        self._exchange.command("STARTTLS", Asked.TLS)

    def tls_started(self) -> None:
        """The handshake is done: what the server offered in the clear is void (RFC 3207 §4.2)."""
        assert self._in_handshake, "no STARTTLS was answered with 220"
        self._in_handshake = self._transactions.ready = False
        self._transactions.extensions = Extensions()

    def sign_in(
        self, name: str, password: str, mechanisms: Sequence[str] = ("PLAIN",), nonce: str = ""
    ) -> str:
        """Say AUTH with the first of `mechanisms` that the server offers; return which it is.

        SCRAM needs a `nonce`; see `choose_sign_in`. `SignInAnswered` follows.
        """
        assert self.is_idle, "AUTH comes between commands"
        chosen = choose_sign_in(mechanisms, self.extensions.mechanisms, name, password, nonce)
        if chosen is None:
            self._exchange.events.append(SignInAnswered(NO_COMMON_MECHANISM))
            return ""
        self._sign_in = chosen
        initial = "" if chosen.initial is None else f" {b64encode(chosen.initial).decode()}"
        self._exchange.command(f"AUTH {chosen.mechanism}{initial}", Asked.AUTH)
        return chosen.mechanism

    def send(self, outgoing: Outgoing, content: bytes | None = None, *, fits: bool = False) -> int:
        """Ask for a transaction and return its number; `TransactionEnded` tells how it went.

        It starts as soon as the one before allows. What the server cannot take by what it offers
        (`outgoing.obstacle`) ends at once, without a word to it.

        Args:
            outgoing: What is asked for.
            content: The whole message. None: it is streamed after `ContentWanted`.
            fits: The caller knows that there is no obstacle.
        """
        return self._transactions.send(outgoing, content, fits=fits)

    def write_content(self, octets: bytes) -> None:
        """Stream a block of content; dots and line ends are taken care of."""
        self._transactions.write_content(octets)

    def end_content(self) -> None:
        """End the content that is streamed."""
        self._transactions.end_content()

    def reset(self) -> None:
        """Say RSET, to see whether a kept connection still lives."""
        assert self.is_idle, "RSET would end a transaction"
        self._exchange.command("RSET", Asked.RESET)

    def quit(self) -> None:
        """Say QUIT behind all that was asked; `Closed` follows.

        Nothing is said in the middle of a transaction, where QUIT could become content.
        """
        if self._transactions.is_idle and not (self.closed or self._in_handshake):
            self._exchange.command("QUIT", Asked.QUIT)

    # ---------------------------------------------------------------- octets

    def receive(self, octets: bytes) -> None:
        """Take what the server sent."""
        if not self.closed and not self._in_handshake:
            self._reader.feed(octets)

    def peer_closed(self) -> None:
        """The server closed the connection; `Closed` follows what it had said before."""
        self._peer_closed = True

    def next_event(self) -> ClientEvent | None:
        """Return the next event, or None while the server owes an answer.

        Raises:
            PeerError: If the server broke the protocol. The connection is then `closed`.
        """
        events = self._exchange.events
        try:
            # What is said while a content is streamed is heard behind its end.
            while not (events or self.closed or self._transactions.is_streaming):
                reply = self._reader.next_reply()
                if reply is not None:
                    self._take(reply)
                elif self._peer_closed:
                    self._close(None)
                else:
                    break
        except PeerError:
            self.closed = True
            raise
        return events.popleft() if events else None

    def bytes_to_send(self) -> bytes:
        """Return and forget the octets that are ready for the server."""
        return self._exchange.bytes_to_send()

    # ---------------------------------------------------------------- answers

    def _take(self, reply: Reply) -> None:
        """Match a reply with what was asked first."""
        self.answers += 1
        waiting = self._exchange.asked
        asked, transaction, index = waiting.popleft() if waiting else (None, None, 0)
        if reply.code == 421 and asked is not Asked.GREETING:
            self._close(reply)
        elif asked is None:
            raise PeerError(f"an answer to nothing: {reply}")
        elif reply.code // 100 == 3 and _INTERMEDIATE.get(reply.code) is not asked:
            raise PeerError(f"{reply.code} is no answer to {asked.value}")
        elif transaction is not None:
            self._transactions.take(asked, transaction, index, reply)
        else:
            self._take_about_session(asked, reply)

    def _take_about_session(self, asked: Asked, reply: Reply) -> None:
        match asked:
            case Asked.GREETING:
                self._greeted(reply)
            case Asked.HELLO:
                self._hello_answered(reply)
            case Asked.HELLO_AGAIN:
                self._helo_answered(reply)
            case Asked.TLS:
                self._tls_answered(reply)
            case Asked.AUTH:
                self._auth_answered(reply)
            case Asked.RESET:
                self._exchange.events.append(ResetAnswered(reply))
            case Asked.RESET_QUIETLY:
                self._transactions.start_next()
            case _:
                assert asked is Asked.QUIT
                self._close(reply)

    def _close(self, reply: Reply | None) -> None:
        self.closed = True
        self._exchange.events.append(Closed(reply))

    def _greeted(self, reply: Reply) -> None:
        self._exchange.events.append(Greeted(reply))
        if not reply.is_positive:
            self._close(reply)

    def _hello_answered(self, reply: Reply) -> None:
        if reply.code // 100 == 5 and not self._lmtp:
            self._exchange.command(f"HELO {self._hello_name}", Asked.HELLO_AGAIN)
            return
        if reply.is_positive:
            self._transactions.extensions = extensions_in(reply)
        self._helo_answered(reply)

    def _helo_answered(self, reply: Reply) -> None:
        self._transactions.ready = reply.is_positive
        self._exchange.events.append(HelloAnswered(reply, self.extensions))

    def _tls_answered(self, reply: Reply) -> None:
        if not reply.is_positive:
            self._exchange.events.append(TlsRefused(reply))
            return
        if self._reader.has_more:  # somebody put it there to be read after the handshake
            raise PeerError("octets behind the answer to STARTTLS")
        self._in_handshake = True
        self._exchange.events.append(TlsReady(reply))

    def _auth_answered(self, reply: Reply) -> None:
        sign_in = self._sign_in
        if reply.code != 334:
            self._sign_in = None
            if reply.is_positive and (sign_in is None or not sign_in.believes):
                reply = NOT_PROVEN
            self._exchange.events.append(SignInAnswered(reply))
            return
        if sign_in is None:
            raise PeerError("334 after AUTH was cancelled")
        try:
            challenge = b64decode(reply.text, validate=True)
        except ValueError:  # some servers ask for user and password in plain words
            challenge = b""
        # A server that asks for more than there is to say is told to stop (RFC 4954 §4).
        response = sign_in.respond(challenge)
        if response is None:
            self._sign_in = None
        self._exchange.ask(Asked.AUTH)
        self._exchange.say((b"*" if response is None else b64encode(response)) + b"\r\n")
