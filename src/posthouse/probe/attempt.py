"""One trick on one line: what is said, and how far it came."""

import secrets
from enum import Enum
from typing import Final

from msgspec import Struct

from posthouse.mail.reply import Reply
from posthouse.probe.line import Line, LineLostError
from posthouse.probe.open_relay import FALSE_ENDS, Places, Trick

MARK_FIELD: Final = "X-Relay-Test"
REPLIES_SKIPPED_MAX: Final = 10
# The command could not be understood (RFC 5321 §4.2.2): no policy was asked.
_SYNTAX_CODES: Final = frozenset({500, 501, 502, 503, 504, 555})


class Outcome(Enum):
    """How far a trick came."""

    REFUSED_CONNECTION = "refused at connect"
    REFUSED_PARSING = "refused at parsing"
    REFUSED_MAIL = "refused at MAIL"
    REFUSED_RECIPIENT = "refused at RCPT"
    REFUSED_CONTENT = "refused at end of data"
    DEFERRED = "deferred"  # 4xx: nothing is known
    LOST = "connection lost"
    NOT_OFFERED = "not offered"  # STARTTLS or BDAT is not there: nothing to try
    ACCEPTED_LOCAL = "accepted, but local"
    ACCEPTED_FOR_RELAY = "accepted for relay"
    DELIVERED = "delivered to the canary"

    @property
    def is_open(self) -> bool:
        """Whether it shows an open relay."""
        return self in (Outcome.ACCEPTED_FOR_RELAY, Outcome.DELIVERED)

    @property
    def is_accepted(self) -> bool:
        """Whether the server took responsibility for a message."""
        return self.is_open or self is Outcome.ACCEPTED_LOCAL


class Attempt(Struct, frozen=True):
    """A trick that was tried.

    Attributes:
        trick: Its id.
        entrance: Where: name of a listener, or a port; in process with the client's address.
        sender: What MAIL said.
        recipient: What RCPT said.
        approach: The state it was tried in.
        outcome: How far it came.
        reply: What decided.
        token: What the message can be found by.
    """

    trick: str
    entrance: str
    sender: str
    recipient: str
    approach: str
    outcome: Outcome
    reply: str
    token: str


class _EndedError(Exception):
    """The trick has come as far as it comes."""

    def __init__(self, outcome: Outcome, reply: Reply | None = None) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome
        self.reply = reply


class Trier:
    """Tries tricks with the same places."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def attempt(self, line: Line, trick: Trick, entrance: str) -> Attempt:
        """Try a trick on a fresh line; never raises."""
        token = secrets.token_hex(8)
        sender, recipient = self._places.fill(trick.sender), self._places.fill(trick.recipient)
        reply: Reply | None = None
        why = ""
        try:
            if trick.false_end:
                await self._smuggle(line, trick, token)
            reply = await self._talk(line, trick, token)
            leads_away = self._places.leads_away(recipient)
            outcome = Outcome.ACCEPTED_FOR_RELAY if leads_away else Outcome.ACCEPTED_LOCAL
        except _EndedError as ended:
            outcome, reply = ended.outcome, ended.reply
        except LineLostError as problem:
            cut_off = bool(trick.approach.first)  # rightly: nobody speaks before the greeting
            outcome = Outcome.REFUSED_CONNECTION if cut_off else Outcome.LOST
            why = str(problem)
        return Attempt(
            trick.id,
            entrance,
            sender,
            recipient,
            trick.approach.id,
            outcome,
            str(reply) if reply is not None else why,
            token,
        )

    # ---------------------------------------------------------------- the conversation

    async def _talk(self, line: Line, trick: Trick, token: str) -> Reply:
        """Say it all; return the reply to the end of the content."""
        approach = trick.approach
        mail = f"MAIL FROM:{trick.sender}{approach.parameters}"
        rcpt = f"RCPT TO:{trick.recipient}"
        await self._approach(line, trick)
        if approach.pipelined:
            return await self._pipelined(line, (mail, rcpt), trick, token)
        await self._expect(line, mail, Outcome.REFUSED_MAIL)
        if approach.local_first:
            await self._say(line, "RCPT TO:<{U}@{L}>")
        await self._expect(line, rcpt, Outcome.REFUSED_RECIPIENT)
        content = self._content(trick, token)
        if approach.chunked:
            await line.send(f"BDAT {len(content)} LAST\r\n".encode() + content)
        else:
            await self._expect(line, "DATA", Outcome.REFUSED_CONTENT)
            await line.send(content + b".\r\n")
        return _accepted(await line.reply(), Outcome.REFUSED_CONTENT)

    async def _approach(self, line: Line, trick: Trick) -> None:
        approach = trick.approach
        if approach.first:
            await line.send(approach.first)
        _accepted(await line.reply(), Outcome.REFUSED_CONNECTION)
        if approach.first:
            await self._skip_to_noop(line)
        if approach.hello:
            hello = await self._say(line, approach.hello)
            if approach.chunked and "CHUNKING" not in hello.text.upper():
                raise _EndedError(Outcome.NOT_OFFERED, hello)
        if approach.tls:
            answer = await self._say(line, "STARTTLS")
            if answer.code != 220:
                raise _EndedError(Outcome.NOT_OFFERED, answer)
            await line.start_tls()
            await self._say(line, approach.hello)
        for command in approach.before:
            await self._say(line, command)

    async def _skip_to_noop(self, line: Line) -> None:
        """Read past whatever was said about what came before."""
        await line.send(b"\r\nNOOP\r\n")  # what came before may not have ended its line
        for _ in range(REPLIES_SKIPPED_MAX):
            if (await line.reply()).code == 250:
                return
        raise LineLostError("NOOP was not answered")

    async def _pipelined(
        self, line: Line, commands: tuple[str, str], trick: Trick, token: str
    ) -> Reply:
        """Say MAIL, RCPT and DATA in one write, whatever the first of them is answered."""
        said = "".join(f"{self._places.fill(it)}\r\n" for it in (*commands, "DATA"))
        await line.send(said.encode())
        mail, rcpt, data = await line.reply(), await line.reply(), await line.reply()
        _accepted(mail, Outcome.REFUSED_MAIL)
        _accepted(rcpt, Outcome.REFUSED_RECIPIENT)
        _accepted(data, Outcome.REFUSED_CONTENT)
        await line.send(self._content(trick, token) + b".\r\n")
        return _accepted(await line.reply(), Outcome.REFUSED_CONTENT)

    async def _smuggle(self, line: Line, trick: Trick, token: str) -> None:
        """Send an honest message whose content holds a second transaction.

        Raises:
            _EndedError: Always: only a second 250 for content shows that it was believed.
        """
        await self._approach(line, trick)
        await self._expect(line, "MAIL FROM:<{F}@{X}>", Outcome.REFUSED_MAIL)
        await self._expect(line, "RCPT TO:<{U}@{L}>", Outcome.REFUSED_RECIPIENT)
        await self._expect(line, "DATA", Outcome.REFUSED_CONTENT)
        second = self._places.fill(f"MAIL FROM:{trick.sender}\r\nRCPT TO:{trick.recipient}\r\nDATA")
        content = self._content(trick, token)
        false_end = FALSE_ENDS[trick.false_end]
        await line.send(content + b"text" + false_end + second.encode() + b"\r\n" + content)
        await line.send(b".\r\nQUIT\r\n")
        replies = []
        try:
            while True:
                replies.append(await line.reply())
        except LineLostError:
            if not replies:
                raise
        taken = [it for it in replies if it.code == 250]
        if len(replies) > 2 and len(taken) > 2:  # content, MAIL, RCPT, content: not one 250
            raise _EndedError(Outcome.ACCEPTED_FOR_RELAY, replies[-2])
        _accepted(replies[0], Outcome.REFUSED_CONTENT)
        raise _EndedError(Outcome.ACCEPTED_LOCAL, replies[0])

    async def _expect(self, line: Line, command: str, otherwise: Outcome) -> Reply:
        return _accepted(await self._say(line, command), otherwise)

    async def _say(self, line: Line, command: str) -> Reply:
        await line.send(f"{self._places.fill(command)}\r\n".encode())
        return await line.reply()

    def _content(self, trick: Trick, token: str) -> bytes:
        author = "{U}@{L}" if trick.approach.local_author else "{F}@{X}"
        fill = self._places.fill
        lines = (
            f"From: <{fill(author)}>",
            f"To: <{fill('{T}@{X}')}>",
            "Subject: relay test",
            f"{MARK_FIELD}: {token}",
            f"Message-ID: <{token}@{fill('{H}')}>",
            "",
            "This message tests whether a mail server relays for strangers. Its operator",
            "asked for the test. You need not do anything.",
            f"Trick: {trick.id}",
            "",
        )
        return "\r\n".join(lines).encode()


def _accepted(reply: Reply, otherwise: Outcome) -> Reply:
    """Return a positive reply.

    Raises:
        _EndedError: If it is not; with the stage, unless it was not understood or only deferred.
    """
    if reply.code < 400:
        return reply
    if reply.is_transient:
        raise _EndedError(Outcome.DEFERRED, reply)
    stages = (Outcome.REFUSED_MAIL, Outcome.REFUSED_RECIPIENT)
    if otherwise in stages and reply.code in _SYNTAX_CODES:
        raise _EndedError(Outcome.REFUSED_PARSING, reply)
    raise _EndedError(otherwise, reply)
