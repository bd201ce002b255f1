"""The audit over the wire: planted holes are found, and what only looks open is not called so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from posthouse.mail.address import AddressError, parse_forward_path
from posthouse.probe.attempt import Outcome
from posthouse.probe.audit import Audit, Entrance, Verdict, audit
from posthouse.probe.canary import Canary
from posthouse.probe.line import Line, LineLostError, SocketLine
from posthouse.probe.open_relay import APPROACHES, Places, Trick, published, smuggled

Decide = Callable[[str, str], str]  # (command, argument) -> reply
OK = "250 2.0.0 Ok"
NO = "550 5.7.1 Relaying denied"


class Planted:
    """A server that answers as it is told, and passes content on as badly as it is told."""

    def __init__(self, decide: Decide, *, canary: int = 0, believes_bare_lf: bool = False) -> None:
        self.decide = decide
        self.canary = canary
        self.false_end = b"\n.\n" if believes_bare_lf else b"\r\n.\r\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 planted.example ESMTP\r\n")
        try:
            while line := await reader.readline():
                text = line.decode("latin-1").strip()
                command, _, argument = text.partition(" ")
                reply = self.decide(command.upper(), argument)
                writer.write(f"{reply}\r\n".encode())
                if reply.startswith("354"):
                    content = await self._content(reader)
                    if self.canary:
                        await self._deliver(content)
                    writer.write(f"{self.decide('.', '')}\r\n".encode())
                if command.upper() == "QUIT" or reply.startswith("421"):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _content(self, reader: asyncio.StreamReader) -> bytes:
        if self.false_end == b"\n.\n":
            content = b""
            while not (content := content + await reader.readline()).endswith(
                (b"\n.\n", b"\r\n.\r\n")
            ):
                pass
            return content
        return await reader.readuntil(self.false_end)

    async def _deliver(self, content: bytes) -> None:
        line = await SocketLine.open("127.0.0.1", self.canary)
        await line.reply()
        for said in (
            b"EHLO planted\r\n",
            b"MAIL FROM:<>\r\n",
            b"RCPT TO:<t@x.example>\r\n",
            b"DATA\r\n",
        ):
            await line.send(said)
            await line.reply()
        await line.send(content)
        await line.reply()
        await line.close()


def replies(mail: str = OK, rcpt: str | Callable[[str], str] = OK, end: str = OK) -> Decide:
    def decide(command: str, argument: str) -> str:
        match command:
            case "MAIL":
                return mail
            case "RCPT":
                return rcpt(argument) if callable(rcpt) else rcpt
            case "DATA":
                return "354 go"
            case ".":
                return end
            case "QUIT":
                return "221 bye"
            case "STARTTLS" | "XCLIENT" | "XFORWARD" | "AUTH" | "*" | "PROXY":
                return "502 5.5.1 no"
            case _:
                return OK

    return decide


@asynccontextmanager
async def planted(server: Planted) -> AsyncIterator[Entrance]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    places = Places("planted.example", "127.0.0.1", local_domain="local.example")
    opened: Callable[[], Awaitable[Line]] = partial(SocketLine.open, "127.0.0.1", port)
    try:
        yield Entrance(f"port {port}", places, opened)
    finally:
        listening.close()
        await asyncio.sleep(0)


PLAIN = tuple(published())
ONE = (Trick("one", "<{F}@{X}>", "<{T}@{X}>"),)


async def found(decide: Decide, tricks: tuple[Trick, ...] = PLAIN) -> Audit:
    async with planted(Planted(decide)) as entrance:
        return await audit([entrance], tricks)


async def test_an_open_server_is_found_open() -> None:
    shown = await found(replies())
    assert shown.verdict is Verdict.OPEN
    assert {it.trick for it in shown.openings()} >= {"nmap-02", "maps-01", "abuse.net-03"}


async def test_a_250_to_a_strange_local_part_is_no_proof() -> None:
    """mailradar's tests 8 and 18 called an OpenSMTPD open that was not."""

    def local_only(argument: str) -> str:
        try:
            path = parse_forward_path(
                argument[3:].split(" ", maxsplit=1)[0], postmaster_domain="x.example"
            )
        except AddressError:
            return OK if argument.startswith("TO:<") else NO
        return NO if path.domain == "canary.invalid" else OK

    shown = await found(replies(rcpt=local_only))
    assert shown.verdict is Verdict.CLOSED
    assert Outcome.ACCEPTED_LOCAL in shown.counts()


@pytest.mark.parametrize(
    ("decide", "outcome"),
    [
        (replies(mail="550 5.7.1 no"), Outcome.REFUSED_MAIL),
        (replies(mail="501 5.1.7 what"), Outcome.REFUSED_PARSING),
        (replies(rcpt=NO), Outcome.REFUSED_RECIPIENT),
        (
            replies(rcpt="553 sorry, that domain isn't in my list (#5.7.1)"),
            Outcome.REFUSED_RECIPIENT,
        ),
        (replies(rcpt="501 5.1.3 what"), Outcome.REFUSED_PARSING),
        (replies(end="550 5.7.1 no"), Outcome.REFUSED_CONTENT),
        (replies(rcpt="450 4.7.1 greylisted"), Outcome.DEFERRED),
        (replies(rcpt="nonsense"), Outcome.LOST),
        (replies(rcpt="421 4.3.2 busy"), Outcome.DEFERRED),
    ],
)
async def test_each_stage_is_told_apart(decide: Decide, outcome: Outcome) -> None:
    shown = await found(decide, ONE)
    assert [it.outcome for it in shown.attempts] == [outcome]
    undecided = outcome in (Outcome.DEFERRED, Outcome.LOST)
    assert shown.verdict is (Verdict.UNDECIDED if undecided else Verdict.CLOSED)


async def test_a_server_that_only_decodes_percent_is_unmasked_by_the_canary() -> None:
    canary = Canary()
    port = await canary.listen("127.0.0.1", 0)

    def decodes(argument: str) -> str:
        return OK if "%canary.invalid@" in argument else NO

    try:
        async with planted(Planted(replies(rcpt=decodes), canary=port)) as entrance:
            shown = await audit([entrance], PLAIN, canary=canary, canary_seconds=2)
    finally:
        await canary.close()
    assert shown.verdict is Verdict.OPEN
    assert {it.outcome for it in shown.openings()} == {Outcome.DELIVERED}
    assert all("%canary.invalid@" in it.recipient for it in shown.openings())


async def test_a_server_that_believes_a_bare_dot_is_found() -> None:
    def local_or_second(argument: str) -> str:
        return OK

    server = Planted(replies(rcpt=local_or_second), believes_bare_lf=True)
    async with planted(server) as entrance:
        shown = await audit([entrance], tuple(smuggled()))
    assert shown.verdict is Verdict.OPEN
    assert "smuggled/lf-dot-lf" in {it.trick for it in shown.openings()}


async def test_an_honest_end_of_content_smuggles_nothing() -> None:
    shown = await found(replies(), tuple(smuggled()))
    assert shown.verdict is Verdict.CLOSED


async def test_an_open_pipeline_is_found_though_mail_by_mail_it_is_closed() -> None:
    pipelined = next(it for it in APPROACHES if it.pipelined)
    shown = await found(replies(), (Trick("p", "<>", "<{T}@{X}>", pipelined),))
    assert shown.verdict is Verdict.OPEN


async def test_the_first_opening_is_enough_where_that_is_wanted() -> None:
    async with planted(Planted(replies())) as entrance:
        shown = await audit([entrance], PLAIN, stop_at_first=True)
    assert len(shown.attempts) == 1


async def test_a_server_that_is_not_there_is_an_error() -> None:
    async with planted(Planted(replies())) as entrance:
        pass
    with pytest.raises(LineLostError, match="no connection"):
        await audit([entrance], ONE)
