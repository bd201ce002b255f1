"""Wherever a connection is cut, no message is lost and none is reported twice."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from posthouse.delivery.content import Content
from posthouse.delivery.hop_session import Timeouts
from posthouse.delivery.opening import Manners, client_contexts
from posthouse.delivery.outcomes import Deferred, Delivered, Outcome
from posthouse.delivery.routes import Exchangers, Pace, Route
from posthouse.delivery.transport import Transport
from posthouse.spool.records import Work
from tests.delivery.given import CALM, FixedHosts, content, host, recipient, work
from tests.delivery.sink import Sink, _HungUpError, _Session

BY_MX = Route(Exchangers())
CONTEXTS = client_contexts()


@dataclass
class Cut:
    """Where a host ends a session.

    `answer` counts what it says from the greeting on, `octets` is how much of that answer still
    goes out, behind `farewell` if there is one; `refused` are answers that become a refusal.
    """

    answer: int
    octets: int = 0
    farewell: str = ""
    refused: frozenset[int] = frozenset()


class Cutting(Sink):
    """Serves as the cut says, in every session."""

    cut = Cut(10**9)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        try:
            await self.session(reader, writer).run()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    def session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Session:
        return _CutSession(self, reader, writer, self.cut)


class Swallowing(Cutting):
    """Throws away what came together with a content."""

    def session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Session:
        return _SwallowingSession(self, reader, writer)


class _SwallowingSession(_Session):
    async def take(self) -> None:
        await super().take()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await self.reader.read(2**16)


class _CutSession(_Session):
    def __init__(
        self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: Cut
    ) -> None:
        super().__init__(sink, reader, writer)
        self._cut, self._said = cut, 0

    async def say(self, text: str) -> None:
        cut, said = self._cut, self._said
        self._said += 1
        if said in cut.refused and text.startswith("250 2"):
            text = "451 4.3.0 not now"
        if said == cut.answer:
            if cut.farewell:
                await super().say(cut.farewell)
            else:
                self.writer.write(text.encode()[: cut.octets])
            raise _HungUpError
        await super().say(text)


def mail(number: int) -> Work:
    return structs.replace(work(recipient(f"b{number}@theirs.example")), id=f"0TEST{number:06}")


def message(number: int) -> Content:
    return content(f"Subject: {number}\r\n\r\n{'x' * number * 50}\r\n".encode())


def transport_to(*sinks: Sink, timeouts: Timeouts = CALM) -> Transport:
    finder = FixedHosts(tuple(host(sink.port) for sink in sinks))
    return Transport(finder, Manners("relay.ours.example", timeouts=timeouts), CONTEXTS)


async def deliver_all(
    transport: Transport, count: int, workers: int, route: Route = BY_MX
) -> dict[int, list[Outcome]]:
    """Deliver so many messages, some at a time, and return every outcome that was told."""
    told: dict[int, list[Outcome]] = {number: [] for number in range(count)}
    waiting = list(told)

    async def worker() -> None:
        while waiting:
            number = waiting.pop(0)
            outcomes = await transport.deliver(route, mail(number), message(number))
            told[number] += outcomes.values()

    await asyncio.gather(*(worker() for _ in range(workers)))
    await transport.close()
    return told


def copies(*sinks: Sink) -> Counter[int]:
    return Counter(
        int(one.content.split(b"\r\n")[0].removeprefix(b"Subject: "))
        for sink in sinks
        for one in sink.mails
        if one.content  # a lone dot ends what was asked for too early
    )


cuts = st.builds(
    Cut,
    answer=st.integers(0, 30),
    octets=st.integers(0, 30),
    farewell=st.sampled_from(["", "", "421 4.3.2 going down"]),
    refused=st.frozensets(st.integers(2, 30), max_size=3),
)


@given(cut=cuts, count=st.integers(1, 8), workers=st.integers(1, 4))
@example(cut=Cut(8), count=8, workers=3)
@example(cut=Cut(13, farewell="421 4.3.2 enough"), count=8, workers=4)
@settings(max_examples=60, deadline=None)
def test_every_message_has_one_outcome_and_it_is_true(cut: Cut, count: int, workers: int) -> None:
    asyncio.run(play(cut, count, workers))


async def play(cut: Cut, count: int, workers: int) -> None:
    async with Cutting() as first, Sink() as second:
        first.cut = cut
        told = await asyncio.wait_for(
            deliver_all(transport_to(first, second), count, workers), timeout=20
        )
    there = copies(first, second)
    for number, outcomes in told.items():
        (outcome,) = outcomes
        assert there[number] <= 1, f"{number} is there twice"
        match outcome:
            case Delivered():
                assert there[number] == 1, f"{number} is lost: {outcome}"
            case Deferred(words=words):
                # It is tried again: if it is there, we say so, or the host refused what it took.
                assert not there[number] or "may arrive twice" in words or words.startswith("451")
            case _:
                raise AssertionError(outcome)


async def test_the_follower_of_a_lost_message_is_delivered_by_another_host() -> None:
    """The answer to the final dot of the fourth message never comes: only that one is in doubt."""
    greeted, each = 2, 4  # the greeting and EHLO; MAIL, RCPT, DATA and the final dot
    async with Cutting() as first, Sink() as second:
        first.cut = Cut(greeted + 4 * each - 1)
        told = await deliver_all(transport_to(first, second), 8, 1)
        assert [type(outcome) for (outcome,) in told.values()].count(Deferred) == 2
        first.cut = Cut(10**9)
    doubtful = [number for number, (it,) in told.items() if isinstance(it, Deferred)]
    assert all("may arrive twice" in str(told[number][0]) for number in doubtful)
    assert copies(first, second) == Counter(range(8))


@pytest.mark.parametrize("workers", [1, 2, 5])
async def test_no_session_brings_more_messages_than_it_may(workers: int) -> None:
    route = Route(Exchangers(), pace=Pace(messages=3))
    async with Sink() as sink:
        told = await deliver_all(transport_to(sink), 20, workers, route)
        each = Counter[int]()
        session = -1
        assert sink.sessions >= 7
        for line in sink.commands:
            session += line.startswith("EHLO")
            each[session] += line.startswith("MAIL")
    assert all(isinstance(outcome, Delivered) for (outcome,) in told.values())
    if workers == 1:
        assert max(each.values()) == 3


async def test_where_the_followers_commands_are_swallowed_none_follows_any_more() -> None:
    """Some hosts throw away what came with the content, although they offer PIPELINING."""
    async with Swallowing() as sink:
        transport = transport_to(sink, timeouts=structs.replace(CALM, sender=0.2))
        await transport.deliver(BY_MX, mail(0), message(0))
        told = await deliver_all(transport, 12, 2)
    assert all(isinstance(outcome, Delivered) for (outcome,) in told.values())
    assert copies(sink) == Counter([0, *range(12)])
    assert sink.sessions <= 4
