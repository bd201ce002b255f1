"""A client that says exactly what a test wants said, octet by octet."""

import base64
import socket
import ssl
from types import TracebackType
from typing import Self

from msgspec import Struct

from posthouse.lab.clients import Account, trusting_context
from tests.end_to_end.server import ADDRESS

WAIT_SECONDS = 15
TRUSTING = trusting_context()  # made once: it reads all certificates of the system


class Answer(Struct, frozen=True):
    """A reply; code 0 where the server hung up instead."""

    code: int
    text: str


class Talk:
    """An SMTP dialogue."""

    def __init__(self, server: tuple[str, int], *, place: str = ADDRESS, tls: bool = False) -> None:
        self._socket: socket.socket = socket.create_connection(server, WAIT_SECONDS, (place, 0))
        if tls:
            self._wrap()
        self._buffer = b""
        self.greeting = self.answer()

    def _wrap(self) -> None:
        self._socket = TRUSTING.wrap_socket(self._socket)
        self._buffer = b""

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def say(self, line: str | bytes) -> Answer:
        """Send a line, return the reply."""
        octets = line.encode("utf-8") if isinstance(line, str) else line
        try:
            self.send(octets + b"\r\n")
        except OSError:
            return Answer(0, "hung up")
        return self.answer()

    def answer(self) -> Answer:
        """Read one reply."""
        lines = []
        while True:
            line = self._line()
            if line is None:
                return Answer(0, "hung up")
            lines.append(line[4:])
            if line[3:4] != "-":
                return Answer(int(line[:3]), "\n".join(lines))

    def _line(self) -> str | None:
        while b"\r\n" not in self._buffer:
            try:
                more = self._socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                more = b""
            if not more:
                return None
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode("ascii")

    def start_tls(self, name: str = "laptop.example") -> None:
        """STARTTLS, then EHLO again."""
        assert self.say("STARTTLS").code == 220
        self._wrap()
        assert self.say(f"EHLO {name}").code == 250

    def sign_in(self, account: Account) -> Answer:
        """AUTH PLAIN."""
        secret = base64.b64encode(f"\0{account.name}\0{account.password}".encode()).decode()
        return self.say(f"AUTH PLAIN {secret}")

    def mail(self, sender: str, *recipients: str, content: bytes) -> Answer:
        """A whole transaction; the reply to the first step that is refused, or the last one."""
        for command in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{it}>" for it in recipients)):
            answer = self.say(command)
            if answer.code != 250:
                return answer
        answer = self.say("DATA")
        if answer.code != 354:
            return answer
        return self.say(content + b"\r\n.")

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def signed_in(server: tuple[str, int], account: Account, *, place: str = ADDRESS) -> Talk:
    """Return a dialogue at a listener with TLS from the start, signed in."""
    talk = Talk(server, place=place, tls=True)
    assert talk.say("EHLO laptop.example").code == 250
    answer = talk.sign_in(account)
    assert answer.code == 235, answer
    return talk
