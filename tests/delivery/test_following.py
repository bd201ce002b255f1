"""A message that follows another in one session, before that one is answered (RFC 2920)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

import pytest
from msgspec import structs

from posthouse.delivery.content import Content
from posthouse.delivery.hop_session import HopSession, Timeouts
from posthouse.delivery.initiation import Terms, initiate
from posthouse.delivery.link import Link
from posthouse.delivery.opening import client_contexts
from posthouse.delivery.progress import Sent
from posthouse.mail.address import ReversePath
from posthouse.protocol.smtp.outgoing import Outgoing
from tests.delivery.given import ANN, CALM, content, host, recipient

OFFER = b"250-stage.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
TAKEN = b"250 taken\r\n"
COMMANDS = b"250 sender\r\n250 recipient\r\n354 go on\r\n"
WIRE = b"Subject: %d\r\n\r\n..dot\r\n.\r\n"


class Stage:
    """A next hop that says what the test says, when the test says it."""

    def __init__(self) -> None:
        self._reader: asyncio.StreamReader | None = None
        self._there = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._enter, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._there.is_set():
            self._writer.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._there.set()

    async def hears(self, expected: bytes) -> None:
        """Wait until exactly this was said."""
        await asyncio.wait_for(self._there.wait(), 5)
        assert self._reader is not None
        heard = await asyncio.wait_for(self._reader.readexactly(len(expected)), 5)
        assert heard == expected

    def says(self, octets: bytes) -> None:
        """Say it."""
        self._writer.write(octets)

    def leaves(self) -> None:
        """Close the connection, behind what was said."""
        self._writer.close()


class WatchedLink(Link):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, octets: bytes) -> None:
        self.writes.append(octets)
        super().write(octets)


class Scene:
    """A stage, a session with it, and messages under way in it."""

    def __init__(self, stage: Stage, session: HopSession, link: WatchedLink) -> None:
        self.stage, self.session, self.link = stage, session, link

    def send(self, number: int) -> asyncio.Task[Sent]:
        return asyncio.create_task(self.session.send(asked(number), message(number)))

    async def first(self) -> None:
        """Bring one message over, so that the host is known to be prompt."""
        sent = self.send(0)
        await self.stage.hears(commands(0))
        self.stage.says(COMMANDS)
        await self.stage.hears(WIRE % 0)
        self.stage.says(TAKEN)
        assert (await sent).replies[0] is not None

    async def two(self) -> tuple[asyncio.Task[Sent], asyncio.Task[Sent]]:
        """Message 1 has its content out, and message 2 its commands."""
        await self.first()
        first = self.send(1)
        await self.stage.hears(commands(1))
        assert self.session.takes_another
        second = self.send(2)
        await asyncio.sleep(0)
        self.stage.says(COMMANDS)
        await self.stage.hears((WIRE % 1) + commands(2))
        return first, second


def asked(number: int) -> Outgoing:
    return Outgoing(ReversePath(ANN), (recipient(f"b{number}@theirs.example"),))


def message(number: int) -> Content:
    return content(b"Subject: %d\r\n\r\n.dot\r\n" % number)


def commands(number: int) -> bytes:
    words = "MAIL FROM:<ann@ours.example>", f"RCPT TO:<b{number}@theirs.example>", "DATA"
    return "".join(f"{word}\r\n" for word in words).encode()


Begin = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    stages: list[Stage] = []
    sessions: list[HopSession] = []

    async def scene(
        offer: bytes = OFFER, timeouts: Timeouts = CALM, *, lmtp: bool = False
    ) -> Scene:
        stage = await Stage().__aenter__()
        stages.append(stage)
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(WatchedLink, "127.0.0.1", stage.port)
        there = structs.replace(host(stage.port), lmtp=lmtp)
        session = HopSession(link, there, timeouts)
        sessions.append(session)
        terms = Terms("relay.ours.example")
        begun = asyncio.create_task(initiate(session, there, terms, client_contexts().unverified))
        await stage._there.wait()
        stage.says(b"220 stage.example\r\n")
        await stage.hears((b"LHLO" if lmtp else b"EHLO") + b" relay.ours.example\r\n")
        stage.says(offer)
        await begun
        link.writes.clear()
        return Scene(stage, session, link)

    yield scene
    for session in sessions:
        session.leave()
        await session.wait_left()
    for stage in stages:
        await stage.__aexit__(None, None, None)


def codes(sent: Sent) -> list[int | None]:
    return [reply.code if reply else None for reply in sent.replies]


async def test_content_and_the_next_commands_leave_in_one_write(begin: Begin) -> None:
    scene = await begin()
    first, second = await scene.two()
    assert scene.link.writes[-1] == (WIRE % 1) + commands(2)
    scene.stage.says(TAKEN + COMMANDS)
    assert codes(await first) == [250]
    await scene.stage.hears(WIRE % 2)
    assert not second.done()
    scene.stage.says(TAKEN)
    assert codes(await second) == [250]
    assert scene.session.is_usable


async def test_while_mail_waits_there_is_one_write_for_each_message(begin: Begin) -> None:
    scene = await begin()
    await scene.first()
    scene.link.writes.clear()

    async def worker(numbers: list[int]) -> None:
        while numbers:
            number = numbers.pop(0)
            assert codes(await scene.session.send(asked(number), message(number))) == [250]

    numbers = list(range(1, 21))
    workers = asyncio.gather(worker(numbers), worker(numbers))
    await scene.stage.hears(commands(1))
    scene.stage.says(COMMANDS)
    for number in range(1, 20):
        await scene.stage.hears((WIRE % number) + commands(number + 1))
        scene.stage.says(TAKEN + COMMANDS)
    await scene.stage.hears(WIRE % 20)
    scene.stage.says(TAKEN)
    await workers
    assert len(scene.link.writes) == 21


async def test_the_next_is_refused_and_the_one_before_is_not(begin: Begin) -> None:
    scene = await begin()
    first, second = await scene.two()
    scene.stage.says(TAKEN + b"451 not you\r\n503 mail first\r\n503 mail first\r\n")
    assert codes(await first) == [250]
    assert codes(await second) == [451]
    assert scene.session.is_usable


async def test_what_was_asked_too_early_is_ended_with_a_lone_dot(begin: Begin) -> None:
    scene = await begin()
    first, second = await scene.two()
    third = scene.send(3)
    scene.stage.says(TAKEN + b"250 sender\r\n550 nobody\r\n354 go on all the same\r\n")
    assert codes(await first) == [250]
    await scene.stage.hears(b".\r\n")
    scene.stage.says(b"554 no recipients\r\n")
    assert codes(await second) == [550]
    await scene.stage.hears(commands(3))
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)


@pytest.mark.parametrize("farewell", [b"", b"421 4.3.2 going down\r\n"])
async def test_only_the_one_whose_content_was_out_is_ambiguous(
    farewell: bytes, begin: Begin
) -> None:
    scene = await begin()
    first, second = await scene.two()
    scene.stage.says(farewell)
    scene.stage.leaves()
    one, two = await first, await second
    assert (codes(one), one.ambiguous) == ([None], True)
    assert (codes(two), two.ambiguous, two.heard) == ([None], False, True)
    assert one.busy is two.busy is bool(farewell)
    assert scene.session.over


async def test_a_content_that_was_not_written_yet_is_not_in_doubt(begin: Begin) -> None:
    scene = await begin()
    await scene.first()
    sent = scene.send(1)
    await scene.stage.hears(commands(1))
    scene.session.octets_received(COMMANDS)
    scene.session.link_ended("")
    one = await sent
    assert (codes(one), one.ambiguous, one.heard) == ([None], False, True)


@pytest.mark.parametrize("farewell", [b"", b"421 4.7.0 enough\r\n"])
async def test_a_host_that_leaves_between_two_messages_costs_the_first_nothing(
    farewell: bytes, begin: Begin
) -> None:
    scene = await begin()
    first, second = await scene.two()
    scene.stage.says(TAKEN + farewell)
    scene.stage.leaves()
    one, two = await first, await second
    assert (codes(one), one.lost) == ([250], "")
    assert (codes(two), two.ambiguous) == ([None], False)
    assert two.lost


async def test_nonsense_in_the_middle_ends_both_and_neither_is_taken_for_sent(begin: Begin) -> None:
    scene = await begin()
    first, second = await scene.two()
    scene.stage.says(b"what?\r\n250 taken\r\n")
    one, two = await first, await second
    assert codes(one) == codes(two) == [None]
    assert (one.ambiguous, two.ambiguous) == (True, False)


async def test_without_pipelining_none_follows(begin: Begin) -> None:
    scene = await begin(b"250 stage.example\r\n")
    sent = scene.send(0)
    for line, answer in zip(
        commands(0).splitlines(keepends=True), COMMANDS.splitlines(keepends=True), strict=True
    ):
        await scene.stage.hears(line)
        assert not scene.session.takes_another
        scene.stage.says(answer)
    await scene.stage.hears(WIRE % 0)
    scene.stage.says(TAKEN)
    assert codes(await sent) == [250]
    assert not scene.session.takes_another


async def test_none_follows_before_the_host_has_shown_that_it_takes_mail(begin: Begin) -> None:
    scene = await begin()
    sent = scene.send(0)
    await scene.stage.hears(commands(0))
    assert not scene.session.takes_another
    scene.stage.says(COMMANDS + TAKEN)
    await sent
    assert scene.session.takes_another


async def test_none_follows_where_two_are_under_way_or_the_host_takes_its_time(
    begin: Begin,
) -> None:
    scene = await begin()
    await scene.two()
    assert not scene.session.takes_another
    slow = await begin()
    sent = slow.send(0)
    await slow.stage.hears(commands(0))
    slow.stage.says(COMMANDS)
    await slow.stage.hears(WIRE % 0)
    await asyncio.sleep(0.15)
    slow.stage.says(TAKEN)
    await sent
    assert not slow.session.takes_another


async def test_the_answer_to_the_final_dot_is_waited_for_as_long_as_it_may_take(
    begin: Begin,
) -> None:
    scene = await begin(timeouts=structs.replace(CALM, content_end=0.1))
    first, second = await scene.two()
    one, two = await first, await second
    assert one.lost == two.lost == "no answer to the final dot within 0 s"
    assert (one.ambiguous, two.ambiguous) == (True, False)


@pytest.mark.parametrize(
    ("limit", "said", "what"),
    [("sender", 0, "MAIL"), ("recipient", 1, "RCPT"), ("data", 2, "DATA")],
)
async def test_each_answer_has_its_own_limit_of_time(
    limit: str, said: int, what: str, begin: Begin
) -> None:
    scene = await begin(timeouts=structs.replace(CALM, **{limit: 0.1}))
    first, second = await scene.two()
    await asyncio.sleep(0.15)  # the limit is not that of the first message's answer
    assert not first.done()
    scene.stage.says(TAKEN + b"".join(COMMANDS.splitlines(keepends=True)[:said]))
    assert codes(await first) == [250]
    assert (await second).lost == f"no answer to {what} within 0 s"
    assert scene.session.swallows is (what == "MAIL")


async def test_octets_that_are_no_answer_gain_no_time(begin: Begin) -> None:
    scene = await begin(timeouts=structs.replace(CALM, sender=0.3))
    first, second = await scene.two()
    scene.stage.says(TAKEN)
    assert codes(await first) == [250]
    for _ in range(100):
        if second.done():
            break
        scene.stage.says(b"250-still thinking\r\n")
        await asyncio.sleep(0.02)
    assert second.done()
    assert second.result().lost == "no answer to MAIL within 0 s"


async def test_by_lmtp_each_recipient_is_answered_and_the_next_follows(begin: Begin) -> None:
    scene = await begin(lmtp=True)
    first, second = await scene.two()
    scene.stage.says(b"452 full\r\n" + COMMANDS)
    assert codes(await first) == [452]
    await scene.stage.hears(WIRE % 2)
    scene.stage.says(TAKEN)
    assert codes(await second) == [250]


async def test_a_transaction_that_is_reset_lets_the_next_follow_at_once(begin: Begin) -> None:
    scene = await begin()
    await scene.first()
    first = scene.send(1)
    await scene.stage.hears(commands(1))
    second = scene.send(2)
    scene.stage.says(b"250 sender\r\n550 nobody\r\n554 no recipients\r\n")
    assert codes(await first) == [550]
    await scene.stage.hears(b"RSET\r\n" + commands(2))
    scene.stage.says(b"250 reset\r\n" + COMMANDS)
    await scene.stage.hears(WIRE % 2)
    scene.stage.says(TAKEN)
    assert codes(await second) == [250]


async def test_a_message_that_is_broken_off_ends_the_session(begin: Begin) -> None:
    scene = await begin()
    first, second = await scene.two()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    one = await first
    assert (codes(one), one.ambiguous) == ([None], True)
    assert scene.session.over


async def test_a_large_message_may_be_broken_off_at_the_moment_it_is_wanted(begin: Begin) -> None:
    scene = await begin()
    large = content(b"Subject: 1\r\n\r\n" + b"x\r\n" * 100_000)
    sent = asyncio.create_task(scene.session.send(asked(1), large))
    await scene.stage.hears(commands(1))
    sent.cancel()
    scene.session.octets_received(COMMANDS)
    await asyncio.gather(sent, return_exceptions=True)
    assert scene.session.over


async def test_an_idle_session_notices_that_the_host_left(begin: Begin) -> None:
    scene = await begin()
    await scene.first()
    assert scene.session.is_usable
    scene.stage.says(b"421 4.4.2 idle for too long\r\n")
    scene.stage.leaves()
    await asyncio.sleep(0.05)
    assert not scene.session.is_usable
