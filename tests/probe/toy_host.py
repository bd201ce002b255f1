"""A mail host on loopback that says what a test wrote down; for cases no real server shows."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


class ToyHost:
    """Answers commands by their first word.

    Args:
        greeting: Said first, unless it is empty: then nothing is ever said.
        answers: First word of a command, upper case -> what is said, lines ended by CRLF here.
        tls: For STARTTLS and STLS, or from the start.

    Attributes:
        heard: The commands, in order.
    """

    def __init__(
        self,
        greeting: str,
        answers: Mapping[str, str],
        *,
        tls: ssl.SSLContext | None = None,
        from_start: bool = False,
    ) -> None:
        self._greeting = greeting
        self._answers = answers
        self._tls = tls
        self._from_start = from_start
        self.heard: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def running(self, address: str = "127.0.0.1") -> AsyncIterator["ToyHost"]:
        context = self._tls if self._from_start else None
        server = await asyncio.start_server(self._serve, address, 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._greeting:
                await _say(writer, self._greeting)
            while line := await reader.readline():
                command = line.decode("utf-8", "replace").rstrip("\r\n")
                self.heard.append(command)
                word = command.split(" ")[0].upper()
                answer = self._answers.get(command) or self._answers.get(word)
                await _say(writer, answer or ("250 ok" if self._greeting[:1] == "2" else "+OK"))
                if word in ("STARTTLS", "STLS") and (answer or "")[:3] in ("220", "+OK"):
                    assert self._tls is not None
                    await writer.start_tls(self._tls)
                if word == "QUIT":
                    break
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def _say(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(text.encode().replace(b"\n", b"\r\n") + b"\r\n")
    await writer.drain()
