"""How far a transaction with a next hop has come, and how it went."""

import asyncio

from msgspec import Struct

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.client_events import (
    ClientEvent,
    ContentAnswered,
    DataAnswered,
    RecipientAnswered,
)


class Sent(Struct, frozen=True):
    """How a transaction went.

    Attributes:
        replies: The deciding reply of each recipient; None where there was none.
        lost: Why the session ended in it, in plain words; "" if it did not.
        ambiguous: It ended after the final dot: the host may have taken the message.
        heard: The host answered anything at all.
        busy: It said 421.
    """

    replies: tuple[Reply | None, ...]
    lost: str = ""
    ambiguous: bool = False
    heard: bool = True
    busy: bool = False


class Progress:
    """One transaction under way; what is told when it ends or breaks off.

    Attributes:
        ended: How it went, as soon as that is known.
        content_wanted: For content that is streamed: True when the host is ready for it, False if
            it never will be.
        alone: No other message may be sent behind it before it is over.
        is_out: All of the content is written, the final dot included.
    """

    def __init__(self, recipients: int, *, streamed: bool, alone: bool, follows: bool) -> None:
        """Begin.

        Args:
            recipients: How many are asked for.
            streamed: The content is too large to be given whole.
            alone: See above.
            follows: Another was under way in the session, so the host is known to be there.
        """
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Sent] = loop.create_future()
        self.content_wanted: asyncio.Future[bool] | None = None
        if streamed:
            self.content_wanted = loop.create_future()
        self.alone = alone
        self.is_out = False
        self._recipients = recipients
        self._decided: dict[int, Reply] = {}
        self._heard = follows
        self._cut_short = ""

    def note(self, event: ClientEvent) -> None:
        """Remember an answer."""
        self._heard = True
        match event:
            case RecipientAnswered(index=index, reply=reply):
                if not reply.is_positive:
                    self._decided[index] = reply
            case ContentAnswered(index=int(index), reply=reply):
                self._decided[index] = reply  # by LMTP each recipient has its own answer
            case DataAnswered(reply=reply):
                self.is_out = reply.is_positive and self.content_wanted is None
            case _:
                pass

    def cut_short(self, why: str) -> None:
        """The content that is streamed could not be written to its end."""
        self._cut_short = why

    def end(self, replies: tuple[Reply, ...]) -> None:
        """The host has decided about every recipient."""
        if self._cut_short:  # a refusal counts; that it took half a message is not believed
            refused = tuple(None if reply.is_positive else reply for reply in replies)
            self._tell(Sent(refused, lost=self._cut_short if None in refused else ""))
        else:
            self._tell(Sent(replies))

    def break_off(self, why: str, *, busy: bool = False) -> None:
        """The session ended before."""
        replies = tuple(self._decided.get(index) for index in range(self._recipients))
        self._tell(Sent(replies, lost=why, ambiguous=self.is_out, heard=self._heard, busy=busy))

    def _tell(self, sent: Sent) -> None:
        """Who waited may have been broken off meanwhile."""
        if not self.ended.done():
            self.ended.set_result(sent)
        if self.content_wanted is not None and not self.content_wanted.done():
            self.content_wanted.set_result(False)
