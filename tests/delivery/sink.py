"""A small mail server for tests that owes nothing to ours: it keeps what it is given.

By its script it can also be odd: refuse, hang, hang up, or talk nonsense at any command.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HANG = "hang"
HANG_UP = "hang up"
EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 10000000", "DSN")


@dataclass
class Mail:
    """What was taken with one final dot."""

    sender: str
    recipients: list[str]
    content: bytes
    encrypted: bool = False
    signed_in: str = ""


@dataclass
class Sink:
    """A server on loopback.

    `script` answers commands by their beginning; ``.`` stands for the final dot and "" for the
    greeting. An answer may be HANG or HANG_UP, or lines of a reply.
    """

    script: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = EXTENSIONS
    tls: ssl.SSLContext | None = None
    tls_from_start: bool = False
    name: str = "sink.example"
    mails: list[Mail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    sessions: int = 0
    port: int = 0

    async def __aenter__(self) -> Self:
        tls = self.tls if self.tls_from_start else None
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        try:
            await _Session(self, reader, writer).run()
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


class _HungUpError(ConnectionError):
    pass


class _Session:
    def __init__(
        self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.sink, self.reader, self.writer = sink, reader, writer
        self.encrypted = sink.tls_from_start
        self.signed_in = ""
        self.sender = ""
        self.recipients: list[str] = []
        self.chunks = b""

    async def run(self) -> None:
        if not await self.scripted(""):
            await self.say(f"220 {self.sink.name} ESMTP")
        while line := (await self.reader.readline()).decode("latin-1").rstrip("\r\n"):
            self.sink.commands.append(line)
            if not await self.scripted(line):
                await self.obey(line)

    async def scripted(self, line: str) -> bool:
        for begin, answer in self.sink.script.items():
            if line == begin or (begin and line.startswith(begin)):
                if answer == HANG:
                    await asyncio.sleep(3600)
                if answer == HANG_UP:
                    raise _HungUpError
                await self.say(answer)
                return True
        return False

    async def say(self, text: str) -> None:
        self.writer.write(text.replace("\n", "\r\n").encode() + b"\r\n")
        await self.writer.drain()

    async def obey(self, line: str) -> None:
        verb = line.split(" ", maxsplit=1)[0].upper()
        match verb:
            case "EHLO":
                offered = list(self.sink.extensions)
                if self.sink.tls and not self.encrypted:
                    offered.append("STARTTLS")
                lines = [self.sink.name, *offered]
                marks = "-" * (len(lines) - 1) + " "
                await self.say(
                    "\n".join(f"250{mark}{it}" for mark, it in zip(marks, lines, strict=True))
                )
            case "STARTTLS":
                assert self.sink.tls is not None
                await self.say("220 go ahead")
                await self.writer.start_tls(self.sink.tls)
                self.encrypted = True
            case "AUTH":
                self.signed_in = line
                await self.say("235 2.7.0 welcome")
            case "MAIL":
                self.sender, self.recipients, self.chunks = line, [], b""
                await self.say("250 2.1.0 ok")
            case "RCPT":
                self.recipients.append(line)
                await self.say("250 2.1.5 ok")
            case "DATA":
                if self.recipients:
                    await self.take()
                else:
                    await self.say("554 5.5.1 no recipients")
            case "BDAT":
                await self.take_chunk(line.upper().split())
            case "QUIT":
                await self.say("221 2.0.0 bye")
                raise _HungUpError
            case _:
                await self.say("250 2.0.0 ok")

    async def take(self) -> None:
        await self.say("354 go on")
        lines = []
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                raise _HungUpError
            lines.append(line[1:] if line.startswith(b".") else line)
        mail = Mail(self.sender, self.recipients, b"".join(lines), self.encrypted, self.signed_in)
        self.sink.mails.append(mail)
        if not await self.scripted("."):
            await self.say("250 2.0.0 taken")

    async def take_chunk(self, words: list[str]) -> None:
        self.chunks += await self.reader.readexactly(int(words[1]))
        if words[-1] == "LAST":
            self.sink.mails.append(
                Mail(self.sender, self.recipients, self.chunks, self.encrypted, self.signed_in)
            )
        await self.say("250 2.0.0 taken")
