"""How far a transaction with a next hop has come, and how it went."""

import asyncio

from msgspec import Struct

from posthouse.mail.reply import Reply


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
        follows: Another was under way in the session when it began.
        is_out: All of the content is written, the final dot included.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        streamed: bool,
        alone: bool,
        follows: bool,
    ) -> None:
        """Begin.

        Args:
            loop: Where it is waited for.
            streamed: The content is too large to be given whole.
            alone: See above.
            follows: See above; the host is known to be there.
        """
        self.ended: asyncio.Future[Sent] = loop.create_future()
        self.content_wanted: asyncio.Future[bool] | None = None
        if streamed:
            self.content_wanted = loop.create_future()
        self.alone = alone
        self.is_out = False
        self.follows = follows
        self._cut_short = ""

    def want_content(self) -> None:
        """The host is ready for it."""
        assert self.content_wanted is not None, "whole contents are not asked for"
        if not self.content_wanted.done():  # else who sends it was broken off
            self.content_wanted.set_result(True)

    def content_is_out(self) -> None:
        """All of it is written, unless it was cut short."""
        self.is_out = not self._cut_short

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

    def break_off(
        self, why: str, *, heard: bool, replies: tuple[Reply | None, ...], busy: bool
    ) -> None:
        """The session ended before; `replies` are those that decide nevertheless."""
        heard = heard or self.follows
        self._tell(Sent(replies, lost=why, ambiguous=self.is_out, heard=heard, busy=busy))

    def _tell(self, sent: Sent) -> None:
        """Who waited may have been broken off meanwhile."""
        if not self.ended.done():
            self.ended.set_result(sent)
        if self.content_wanted is not None and not self.content_wanted.done():
            self.content_wanted.set_result(False)
