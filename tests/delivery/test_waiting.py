"""How long a host is waited for while it takes what is sent, and what it may say meanwhile."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trustme
from msgspec import structs

from posthouse.delivery.answer_clock import AnswerClock
from posthouse.delivery.hop_session import UNHEARD_OCTETS_MAX, Timeouts
from posthouse.delivery.opening import Manners, TlsContexts, client_contexts
from posthouse.delivery.outcomes import Deferred, Delivered, Failed, Outcome
from posthouse.delivery.routes import Exchangers, Route
from posthouse.delivery.transport import Transport
from tests.delivery.given import CALM, FixedHosts, content, host, work
from tests.delivery.sink import Sink

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 600_000
SMALL = b"Subject: small\r\n\r\n" + b"0123456789abcdef\r\n" * 12_000
ANSWERS = b"220 x\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n"
IMPATIENT = structs.replace(CALM, content_block=0.2)


@asynccontextmanager
async def host_that(play: Play) -> AsyncIterator[int]:
    """Serve: all answers up to 354 are said at once, then it is played."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            writer.write(ANSWERS)
            await reader.readuntil(b"DATA\r\n")
            await play(reader, writer)
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**12) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def sent(port: int, octets: bytes, timeouts: Timeouts = CALM) -> Outcome:
    manners = Manners("relay.ours.example", timeouts=timeouts)
    transport = Transport(FixedHosts((host(port),)), manners, client_contexts())
    mail = structs.replace(work(), octets=len(octets))
    outcomes = await transport.deliver(Route(Exchangers()), mail, content(octets))
    await transport.close()
    return outcomes[0]


async def sleeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def test_a_host_that_takes_nothing_any_more_is_left() -> None:
    async with host_that(sleeps) as port:
        result = await sent(port, LARGE, IMPATIENT)
    assert isinstance(result, Deferred)
    assert "takes nothing any more" in result.words
    assert "may arrive twice" not in result.words


async def test_a_host_that_takes_its_time_block_by_block_is_waited_for() -> None:
    async def takes_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = b""
        while not taken.endswith(b"\r\n.\r\n"):
            taken = (taken + await reader.read(2**18))[-8:]
            await asyncio.sleep(0.002)
        writer.write(b"250 taken\r\n")
        await reader.read(100)

    async with host_that(takes_slowly) as port:
        result = await sent(port, LARGE, structs.replace(CALM, content_block=2))
    assert isinstance(result, Delivered)


async def test_what_is_said_in_the_middle_of_a_content_is_heard_behind_it() -> None:
    async def refuses_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"552 5.3.4 too much\r\n")
        while await reader.read(2**16):
            pass

    async with host_that(refuses_early) as port:
        result = await sent(port, LARGE)
    assert isinstance(result, Failed)
    assert result.status == "5.3.4"


async def test_a_refusal_counts_also_if_the_host_then_hangs_up() -> None:
    async def refuses_and_leaves(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(1000)
        writer.write(b"552 5.3.4 too much\r\n")
        await writer.drain()
        writer.write_eof()
        await asyncio.sleep(0.2)

    async with host_that(refuses_and_leaves) as port:
        result = await sent(port, LARGE)
    assert isinstance(result, Failed)


async def test_half_a_message_was_not_taken_whatever_the_host_says() -> None:
    async def lies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"250 taken\r\n")
        await writer.drain()
        writer.write_eof()
        await asyncio.sleep(0.2)

    async with host_that(lies) as port:
        result = await sent(port, LARGE)
    assert isinstance(result, Deferred)
    assert "may arrive twice" not in result.words


async def test_a_host_that_talks_without_end_while_it_should_listen_is_left() -> None:
    async def babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        while True:
            writer.write(b"250-and another thing\r\n" * (UNHEARD_OCTETS_MAX // 100))
            await writer.drain()

    async with host_that(babbles) as port:
        result = await sent(port, LARGE)
    assert isinstance(result, Deferred)
    assert "talks while it should listen" in result.words


async def test_messages_follow_one_another_in_tls_too() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    verified = ssl.create_default_context()
    authority.configure_trust(verified)
    async with Sink(tls=server) as sink:
        manners = Manners("relay.ours.example", timeouts=CALM)
        contexts = TlsContexts(client_contexts().unverified, verified)
        transport = Transport(FixedHosts((host(sink.port),)), manners, contexts)
        waiting = list(range(40))

        async def worker() -> None:
            while waiting:
                waiting.pop()
                outcomes = await transport.deliver(Route(Exchangers()), work(), content(SMALL))
                assert isinstance(outcomes[0], Delivered)

        await asyncio.gather(*(worker() for _ in range(4)))
        await transport.close()
    assert len(sink.mails) == 40
    assert all(mail.encrypted and mail.content == SMALL for mail in sink.mails)


async def test_a_new_wait_needs_no_new_timer_and_the_last_one_counts() -> None:
    over = asyncio.Event()
    clock = AnswerClock(0.05, over.set)
    began = asyncio.get_running_loop().time()
    clock.wait(0.1)
    for _ in range(4):
        await asyncio.sleep(0.04)
        clock.wait(0.1)
    assert not over.is_set()
    await asyncio.wait_for(over.wait(), 5)
    assert asyncio.get_running_loop().time() - began >= 0.25
    over.clear()
    clock.wait(0.1)
    clock.rest()
    await asyncio.sleep(0.15)
    assert not over.is_set()
    clock.stop()
