"""One SMTP session with one host of a next hop: its mail transactions, one behind the other.

While the answer to one message is awaited, the next may follow it: with PIPELINING, the content of
the first and the commands of the second leave in one write (RFC 2920 §3.1). Answers are heard as
they come; who sends a message waits once, for its end.
"""

import asyncio
from typing import Final

from msgspec import Struct

from posthouse.delivery.answer_clock import AnswerClock
from posthouse.delivery.content import Content
from posthouse.delivery.link import Link, LinkError
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.progress import Progress, Sent
from posthouse.delivery.promptness import Promptness
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.client import ClientConnection, Outgoing, PeerError
from posthouse.protocol.smtp.client_events import (
    ClientEvent,
    Closed,
    ContentOut,
    ContentWanted,
    Extensions,
    TransactionEnded,
)
from posthouse.protocol.smtp.exchange import Asked

IN_FLIGHT_MAX: Final = 2
"""Transactions in one session: one whose final answer is awaited, and the one behind it."""
BLOCK_OCTETS: Final = 64 * 1024
UNHEARD_OCTETS_MAX: Final = 64 * 1024
"""What a host may say while a content is streamed to it."""


class Timeouts(Struct, frozen=True, cache_hash=True):
    """How long we wait for a host, in seconds (RFC 5321 §4.5.3.2, where `connect` is left open)."""

    connect: float = 30.0
    greeting: float = 300.0
    hello: float = 300.0
    handshake: float = 60.0
    sender: float = 300.0
    recipient: float = 300.0
    data: float = 120.0
    content_block: float = 180.0
    content_end: float = 600.0

    def for_answer(self, asked: Asked) -> float:
        """How long the answer to something may take."""
        match asked:
            case Asked.SENDER:
                return self.sender
            case Asked.RECIPIENT:
                return self.recipient
            case Asked.DATA:
                return self.data
            case Asked.CONTENT | Asked.CONTENT_OF_NOTHING:
                return self.content_end
            case Asked.CHUNK:
                return self.content_block
            case _:
                return self.hello

    @property
    def shortest(self) -> float:
        """The shortest wait between EHLO and QUIT."""
        mail = min(self.sender, self.recipient, self.data, self.content_end)
        return min(mail, self.content_block, self.hello)


class HopSession:
    """A session. Any error leaves it `over`.

    Attributes:
        host: ``name [address]``, as reports and logs show it.
        over: Nothing more can be sent.
        messages: Transactions asked for.
        users: Attempts that have it at the moment; the pool counts them.
        swallows: The host never answered MAIL of a message that followed another: what comes with
            the content of one is lost on it, although it offers PIPELINING.
        protection: How the way is encrypted, in words.
        is_lmtp: The host answers for each recipient, having put it into the mailbox.
        connection: What is said and heard in it.
        link: What it goes over.
        timeouts: How long answers may take.
    """

    def __init__(self, link: Link, host: Host, timeouts: Timeouts) -> None:
        self.host = str(host)
        self.over = False
        self.messages = 0
        self.users = 0
        self.swallows = False
        self.protection = link.protection
        self.is_lmtp = host.lmtp
        self.connection = ClientConnection(lmtp=host.lmtp)
        self.link = link
        self.timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[int, Progress] = {}
        self._clock = AnswerClock(timeouts.shortest, self._waited_too_long)
        self._promptness = Promptness(self._loop.time)
        self._writing: asyncio.Handle | None = None
        self._leaving: list[Progress] = []  # their content is in the next write
        self._answers = 0
        self._unsent_octets = 0
        self._lost = ""
        self._news: asyncio.Future[None] | None = None
        link.listen(self)

    @property
    def extensions(self) -> Extensions:
        """What the host offers."""
        return self.connection.extensions

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is on."""
        return self.link.is_encrypted

    @property
    def is_usable(self) -> bool:
        """Whether a kept session may be given another message."""
        return not (self.over or self.connection.closed or self.link.was_closed)

    @property
    def takes_another(self) -> bool:
        """Whether a message may be sent behind the one that is under way."""
        if not (self.extensions.pipelining and self.is_usable and self._promptness.is_given):
            return False
        under_way = self._under_way
        if len(under_way) >= IN_FLIGHT_MAX or self.connection.is_streaming:
            return False
        for one in under_way.values():  # noqa: SIM110 - for each message: no generator is made
            if one.alone:
                return False
        return True

    @property
    def is_gone(self) -> bool:
        """Whether its connection is closed, ours and theirs."""
        return self.over and self.link.is_gone

    # ---------------------------------------------------------------- before there is mail

    async def next_event(self, seconds: float, what: str) -> ClientEvent:
        """Wait for the next event; a host that sends octets but no answer gets no extra time.

        For all that comes before the first transaction.

        Raises:
            LinkError: If it does not come in time, or the connection was lost.
            PeerError: If the host broke the protocol.
        """
        try:
            async with asyncio.timeout(seconds):
                while (event := self.connection.next_event()) is None:
                    self._write()  # the order, or what an answer led to
                    self._news = self._loop.create_future()
                    await self._news
        except TimeoutError:
            raise LinkError(f"no answer to {what} within {seconds:.0f} s") from None
        finally:
            self._news = None
        if self._lost and isinstance(event, Closed):
            raise LinkError(self._lost)
        return event

    # ---------------------------------------------------------------- sending

    async def send(self, outgoing: Outgoing, content: Content) -> Sent:
        """Send a message; whatever goes wrong with the host is told in the result.

        There is no `obstacle` by what it offers: the caller looked.
        """
        octets = content.whole() if content.is_small else None
        self.messages += 1
        follows = bool(self._under_way)
        progress = Progress(
            self._loop,
            streamed=octets is None,
            alone=octets is None or outgoing.probe,
            follows=follows,
        )
        if not follows:
            self._promptness.commands_sent()
        self._under_way[self.connection.send(outgoing, octets, fits=True)] = progress
        try:
            self._go_on()
            if progress.content_wanted is not None and await progress.content_wanted:
                await self._stream(progress, content)
            return await progress.ended
        except BaseException:  # half a message cannot be taken back
            self._break_off("we broke it off")
            raise

    async def _stream(self, progress: Progress, content: Content) -> None:
        """Write a large content in blocks. What is said meanwhile is heard behind the final dot."""
        async for block in content.blocks():
            self.connection.write_content(block)
            self._write()
            while self.link.is_writing and not self.link.was_closed:
                self._news = self._loop.create_future()
                await self._news
            if self.link.was_closed:
                break
        if self.link.was_closed:
            progress.cut_short(self._lost or farewell(None))
        if not self.over:
            self.connection.end_content()
            self._go_on()

    # ---------------------------------------------------------------- hearing

    def octets_received(self, octets: bytes) -> None:
        """Take what the host says."""
        self.connection.receive(octets)
        if self.connection.is_streaming:
            if self.connection.unread_octets > UNHEARD_OCTETS_MAX:
                self._break_off("the host talks while it should listen")
        elif self._under_way:
            self._go_on()
        elif self._news is not None:
            self._tell_news()
        elif self.messages:
            self._go_on()  # the answer to RSET, or a farewell

    def writing_resumed(self) -> None:
        """All that was written is out: what is awaited now is an answer."""
        self._wait()
        self._tell_news()

    def link_ended(self, why: str) -> None:
        """The host closed the connection, or it was lost."""
        self._lost = why
        self.connection.peer_closed()
        self._tell_news()
        if self.messages and not self.connection.is_streaming:
            self._go_on()

    def _tell_news(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _go_on(self) -> None:
        """Hear what was answered, and say what may be said then."""
        try:
            while (event := self.connection.next_event()) is not None:
                self._hear(event)
        except PeerError as error:
            self._break_off(str(error))
        if not self.over:
            if self._answers != self.connection.answers or not self._clock.is_waiting:
                self._answers = self.connection.answers  # octets that are no answer gain no time
                self._wait()
            if self._writing is None and self.connection.has_more_to_send:
                # Those whose message has ended have time to put the next one behind.
                self._writing = self._loop.call_soon(self._write)

    def _hear(self, event: ClientEvent) -> None:
        match event:
            case TransactionEnded(number=number, replies=replies):
                self._promptness.transaction_ended()
                self._under_way.pop(number).end(replies)
            case Closed(reply=reply):
                lost = self._lost if reply is None else ""
                self._break_off(lost or farewell(reply), busy=reply is not None)
            case ContentWanted(number=number):
                self._under_way[number].want_content()
            case ContentOut(number=number):
                self._promptness.content_sent()
                self._leaving.append(self._under_way[number])
            case _:
                raise AssertionError(f"{event} comes before there is mail")

    # ---------------------------------------------------------------- time

    def _wait(self) -> None:
        """Wait for what the host owes first, counted from this moment."""
        if self.link.is_writing:
            return
        asked = None if self.connection.is_streaming else self.connection.waits_for
        if asked is None:
            self._clock.rest()
        else:
            self._clock.wait(self.timeouts.for_answer(asked))

    def _waited_too_long(self) -> None:
        asked = self.connection.waits_for
        if self.link.is_writing:
            if self.link.unsent_octets > self._unsent_octets - BLOCK_OCTETS:
                self._break_off("the connection was lost: the host takes nothing any more")
            else:
                self._wait_for_writing()
        elif asked is not None:
            seconds = self.timeouts.for_answer(asked)
            followers = any(one.follows for one in self._under_way.values())
            self.swallows = asked is Asked.SENDER and followers
            self._break_off(f"no answer to {asked.value} within {seconds:.0f} s")

    def _wait_for_writing(self) -> None:
        """Each block may take its time."""
        self._unsent_octets = self.link.unsent_octets
        self._clock.wait(self.timeouts.content_block)

    # ---------------------------------------------------------------- writing

    def _write(self) -> None:
        self._writing = None
        octets = b"" if self.over else self.connection.bytes_to_send()
        if not octets:
            return
        self.link.write(octets)
        for progress in self._leaving:
            progress.content_is_out()
        self._leaving.clear()
        if self.link.is_writing and not self.over:
            self._wait_for_writing()

    # ---------------------------------------------------------------- ending

    def leave(self) -> None:
        """Say QUIT without waiting for the answer, and close."""
        if self.over or self.connection.closed or self._under_way:
            self._break_off("we left")
        else:
            self._write()
            self.connection.quit()
            self.link.send_last(self.connection.bytes_to_send())
            self.over = True
            self._clock.stop()

    async def wait_left(self) -> None:
        """Return when the connection is closed, after `leave`."""
        await self.link.wait_closed()

    def _break_off(self, why: str, *, busy: bool = False) -> None:
        """End the session. Only a message whose content was out may have been taken."""
        self.over = True
        self._clock.stop()
        self.link.abort()
        self._tell_news()
        under_way, self._under_way = self._under_way, {}
        for number, progress in under_way.items():
            heard, replies = self.connection.heard_of(number)
            progress.break_off(why, heard=heard, replies=replies, busy=busy)


def farewell(reply: Reply | None) -> str:
    """Say how a host ended a session."""
    return f"the host ended the session: {reply}" if reply else "the host closed the connection"
