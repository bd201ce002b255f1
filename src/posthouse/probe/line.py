"""A line to an SMTP server: commands go in, whole replies come out."""

import asyncio
import re
import ssl
from functools import cache
from typing import Final, Protocol

from posthouse.mail.reply import Reply

REPLY_SECONDS: Final = 20.0
LINES_MAX: Final = 200  # of one reply
_LINE: Final = re.compile(r"(\d{3})([ -]?)(?:(\d\.\d{1,3}\.\d{1,3})(?: |$))?(.*)", re.DOTALL)


class LineLostError(Exception):
    """The server closed the connection, broke the protocol or fell silent."""


class Line(Protocol):
    """One connection, as a tester uses it."""

    async def send(self, octets: bytes) -> None:
        """Send octets.

        Raises:
            LineLostError: If the connection is gone.
        """
        ...

    async def reply(self) -> Reply:
        """Return the next whole reply.

        Raises:
            LineLostError: If none comes.
        """
        ...

    async def start_tls(self) -> None:
        """Shake hands, after STARTTLS was answered with 220.

        Raises:
            LineLostError: If that fails.
        """
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


class ReplyReader:
    """Puts lines together to replies; what no server may say is told apart."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []
        self._code = 0

    def take(self, line: bytes) -> Reply | None:
        """Take a line, CRLF or not; return the reply once it is whole.

        Raises:
            LineLostError: If this is no SMTP reply.
        """
        found = _LINE.fullmatch(line.decode("latin-1").rstrip("\r\n"))
        if found is None or len(self._lines) >= LINES_MAX:
            raise LineLostError(f"no SMTP reply: {line[:60]!a}")
        self._lines.append((found[3] or "", found[4]))
        if found[2] == "-":
            return None
        lines, self._lines = self._lines, []
        text = "\n".join(text for _, text in lines)
        return Reply(int(found[1]), lines[-1][0], text)


class SocketLine:
    """A line over TCP."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._name = name

    @classmethod
    async def open(
        cls, host: str, port: int, *, tls: bool = False, source: str = ""
    ) -> "SocketLine":
        """Connect.

        Args:
            host: Name or address.
            port: Port.
            tls: TLS from the first octet; the certificate is not looked at.
            source: Address of ours to come from.

        Raises:
            LineLostError: If there is no connection.
        """
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                reader, writer = await asyncio.open_connection(
                    host,
                    port,
                    ssl=trusting_context() if tls else None,
                    local_addr=(source, 0) if source else None,
                )
        except (OSError, TimeoutError) as problem:
            why = str(problem) or "no answer"
            raise LineLostError(f"no connection to {host} port {port}: {why}") from None
        return cls(reader, writer, host)

    @property
    def source(self) -> str:
        """Our own address on this connection."""
        return str(self._writer.get_extra_info("sockname")[0])

    @property
    def peer(self) -> str:
        """The server's address."""
        return str(self._writer.get_extra_info("peername")[0])

    async def send(self, octets: bytes) -> None:
        """Send octets."""
        try:
            self._writer.write(octets)
            await self._writer.drain()
        except (OSError, RuntimeError) as problem:
            raise LineLostError(str(problem)) from None

    async def reply(self) -> Reply:
        """Return the next whole reply."""
        reader = ReplyReader()
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                while True:
                    line = await self._reader.readline()
                    if not line.endswith(b"\n"):
                        raise LineLostError("the server closed the connection")
                    if (reply := reader.take(line)) is not None:
                        return reply
        except TimeoutError:
            raise LineLostError(f"no reply within {REPLY_SECONDS:.0f} s") from None
        except (OSError, ValueError) as problem:
            raise LineLostError(str(problem)) from None

    async def start_tls(self) -> None:
        """Shake hands."""
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await self._writer.start_tls(trusting_context(), server_hostname=self._name)
        except (OSError, TimeoutError) as problem:
            raise LineLostError(f"TLS failed: {problem}") from None

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            return


@cache
def trusting_context() -> ssl.SSLContext:
    """Return a client's context that takes any certificate: relaying is tested, not trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
