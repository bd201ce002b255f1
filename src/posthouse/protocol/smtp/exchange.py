"""What our client has said and what the server owes an answer to, in order."""

from collections import deque
from enum import Enum

from posthouse.protocol.smtp.client_events import ClientEvent
from posthouse.protocol.smtp.transaction import Transaction


class Asked(Enum):
    """What a reply that is still to come will answer."""

    GREETING = "the greeting"
    HELLO = "EHLO"
    HELLO_AGAIN = "HELO after a refused EHLO"
    TLS = "STARTTLS"
    AUTH = "AUTH"
    RESET = "RSET asked for"
    RESET_QUIETLY = "RSET of our own"
    QUIT = "QUIT"
    SENDER = "MAIL"
    RECIPIENT = "RCPT"
    DATA = "DATA"
    CONTENT = "the final dot"
    CONTENT_OF_NOTHING = "the final dot without recipients"
    CHUNK = "BDAT"


class Exchange:
    """The two directions of a session, shared by what speaks in it.

    Attributes:
        asked: What the replies to come will answer: what, of which transaction, which recipient.
        events: What the caller has still to take.
        unsent: What the server is to be sent.
    """

    def __init__(self) -> None:
        self.asked: deque[tuple[Asked, Transaction | None, int]] = deque()
        self.events: deque[ClientEvent] = deque()
        self.unsent: list[bytes] = []

    def ask(self, asked: Asked, transaction: Transaction | None = None, index: int = 0) -> None:
        """Expect one more reply."""
        self.asked.append((asked, transaction, index))

    def say(self, octets: bytes) -> None:
        """Queue octets for the server."""
        self.unsent.append(octets)

    def command(
        self, text: str, asked: Asked, transaction: Transaction | None = None, index: int = 0
    ) -> None:
        """Queue a command and expect its reply."""
        assert "\r" not in text, "a command is one line"
        assert "\n" not in text, "a command is one line"
        self.asked.append((asked, transaction, index))
        self.unsent.append(text.encode() + b"\r\n")

    def bytes_to_send(self) -> bytes:
        """Return and forget what is queued."""
        unsent, self.unsent = self.unsent, []
        return b"".join(unsent)
