"""A conversation with a mail server, written down: commands go in, whole answers come out.

SMTP and POP3 alike. What is secret is sent and never written down.
"""

import asyncio
import os
import ssl
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from contextlib import suppress
from typing import Final

from msgspec import Struct

from posthouse.mail.reply import Reply
from posthouse.probe.certificate import TlsSeen, read_certificate
from posthouse.probe.doors import Reach
from posthouse.protocol.signing_in import SignIn
from posthouse.protocol.smtp.answers import PeerError, ReplyReader

LINE_OCTETS_MAX: Final = 4096
LINES_MAX: Final = 500
CHALLENGES_MAX: Final = 6
CLOSING_SECONDS: Final = 2.0


class TalkError(Exception):
    """The conversation cannot go on.

    Attributes:
        reach: How far it came.
    """

    def __init__(self, message: str, reach: Reach = Reach.BROKEN) -> None:
        super().__init__(message)
        self.reach = reach


class HandshakeCutError(TalkError):
    """The server hung up in the TLS handshake: what we offered may be too new for it."""


class Line(Struct, frozen=True):
    """One line of the record: ``>`` we said it, ``<`` the server did, ``=`` it happened."""

    mark: str
    text: str


class PopAnswer(Struct, frozen=True):
    """``+OK`` or ``-ERR`` with its text, and the lines behind it."""

    positive: bool
    text: str
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{'+OK' if self.positive else '-ERR'} {self.text}".strip()


class Talk:
    """One connection.

    Attributes:
        record: What was said, in order.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seconds: float,
        record: list[Line],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._seconds = seconds
        self.record = record

    @classmethod
    async def open(cls, address: str, port: int, seconds: float, record: list[Line]) -> "Talk":
        """Connect.

        Raises:
            TalkError: If there is no connection; `reach` tells apart why.
        """
        record.append(Line("=", f"{address} port {port}"))
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(address, port, limit=LINE_OCTETS_MAX)
        except ConnectionRefusedError:
            raise TalkError("connection refused", Reach.REFUSED) from None
        except TimeoutError:
            raise TalkError(f"no answer within {seconds:g} s", Reach.FILTERED) from None
        except OSError as problem:
            why = os.strerror(problem.errno) if problem.errno else str(problem)
            raise TalkError(why.lower(), Reach.UNREACHABLE) from None
        return cls(reader, writer, seconds, record)

    @property
    def own_literal(self) -> str:
        """Our address as EHLO says it where one has no name (RFC 5321 section 4.1.4)."""
        own = str(self._writer.get_extra_info("sockname")[0]).partition("%")[0]
        return f"[IPv6:{own}]" if ":" in own else f"[{own}]"

    async def start_tls(self, context: ssl.SSLContext, name: str) -> TlsSeen:
        """Shake hands.

        Raises:
            ssl.SSLError: If the library does not like what it sees.
            TalkError: If the server hangs up or falls silent.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._writer.start_tls(context, server_hostname=name)
        except ssl.SSLError:
            raise
        except TimeoutError:
            raise TalkError("the TLS handshake was not answered", Reach.SILENT) from None
        except OSError as problem:
            why = f" ({problem})" if str(problem) else ""
            raise HandshakeCutError(f"the TLS handshake was cut off{why}") from None
        tls = self._writer.get_extra_info("ssl_object")
        assert isinstance(tls, ssl.SSLObject)
        seen = TlsSeen(
            tls.version() or "",
            (tls.cipher() or ("",))[0],
            read_certificate(tls.getpeercert(binary_form=True)),
        )
        self.record.append(Line("=", f"{seen.version} {seen.cipher}"))
        return seen

    async def greeting(self) -> Reply:
        """Return the greeting of an SMTP server."""
        return await self._smtp_reply("no greeting")

    async def smtp(self, command: str, *, shown: str = "") -> Reply:
        """Say a command and return the reply.

        Args:
            command: Without CRLF.
            shown: For the record, where the command is secret.

        Raises:
            TalkError: If none comes.
        """
        await self._say(command, shown or command)
        return await self._smtp_reply(f"no answer to {(shown or command).split(' ')[0]}")

    async def sign_in(self, sign_in: SignIn) -> Reply:
        """Sign in by SMTP AUTH (RFC 4954); the last reply tells whether it worked."""
        initial = f" {b64encode(sign_in.initial).decode()}" if sign_in.initial is not None else ""
        hidden = " ********" if initial else ""
        reply = await self.smtp(
            f"AUTH {sign_in.mechanism}{initial}", shown=f"AUTH {sign_in.mechanism}{hidden}"
        )
        for _ in range(CHALLENGES_MAX):
            if reply.code != 334:
                return reply
            try:
                response = sign_in.respond(b64decode(reply.text, validate=False))
            except NotBase64:
                response = None
            said = "*" if response is None else b64encode(response).decode()
            reply = await self.smtp(said, shown="********")
        return reply

    async def pop(self, command: str = "", *, shown: str = "", lines: bool = False) -> PopAnswer:
        """Say a POP3 command and return the answer; without a command wait for the greeting.

        Raises:
            TalkError: If none comes, or it is no POP3.
        """
        if command:
            await self._say(command, shown or command)
        text = await self._line("no greeting" if not command else "no answer")
        word, _, rest = text.partition(" ")
        if word not in ("+OK", "-ERR"):
            raise TalkError(f"this is not POP3: {text[:60]!a}")
        found: list[str] = []
        while lines and word == "+OK" and len(found) < LINES_MAX:
            line = await self._line("an answer that does not end")
            if line == ".":
                break
            found.append(line)
        return PopAnswer(word == "+OK", rest, tuple(found))

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self._writer.wait_closed()

    # ---------------------------------------------------------------- inside

    async def _say(self, command: str, shown: str) -> None:
        assert "\r" not in command, "one command a time"
        assert "\n" not in command, "one command a time"
        self.record.append(Line(">", shown))
        try:
            async with asyncio.timeout(self._seconds):
                self._writer.write(command.encode() + b"\r\n")
                await self._writer.drain()
        except (OSError, RuntimeError) as problem:
            raise TalkError(f"the connection was lost ({problem})") from None

    async def _smtp_reply(self, otherwise: str) -> Reply:
        reader = ReplyReader()
        for _ in range(LINES_MAX):
            reader.feed((await self._line(otherwise)).encode() + b"\n")
            try:
                reply = reader.next_reply()
            except PeerError as problem:
                raise TalkError(str(problem)) from None
            if reply is not None:
                return reply
        raise TalkError("a reply that does not end")

    async def _line(self, otherwise: str) -> str:
        try:
            async with asyncio.timeout(self._seconds):
                line = await self._reader.readline()
        except TimeoutError:
            raise TalkError(f"{otherwise} within {self._seconds:g} s", Reach.SILENT) from None
        except ValueError:
            raise TalkError("a line that does not end") from None
        except OSError as problem:
            raise TalkError(f"the connection was lost ({problem})") from None
        if not line.endswith(b"\n"):
            raise TalkError("the server closed the connection")
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        self.record.append(Line("<", text))
        return text
