"""One SMTP session with a server, as far as is wanted; never with content."""

import ssl
from contextlib import suppress
from enum import Enum, IntEnum

from msgspec import Struct

from posthouse.mail.reply import Reply
from posthouse.probe.certificate import Trust, problem_of
from posthouse.probe.talk import Line, Talk, TalkError
from posthouse.probe.trial import choose
from posthouse.protocol.smtp.answers import extensions_in


class Stage(IntEnum):
    """How far a session comes, or is to come."""

    CONNECT = 1
    BANNER = 2
    EHLO = 3
    TLS = 4
    AUTH = 5
    MAIL = 6
    RCPT = 7


class TlsUse(Enum):
    """When to encrypt."""

    NEVER = "never"
    OFFERED = "offered"
    REQUIRED = "required"
    ON_CONNECT = "on-connect"


class Wanted(Struct, frozen=True, kw_only=True):
    """What to say.

    Attributes:
        address: To connect to.
        server: Name that the certificate should have.
        hello: Our name; "" for our address.
        quit_after: The stage after which QUIT is said.
        untrusted: Say the password whatever the encryption.
        verify: End where the certificate is not trusted.
    """

    address: str
    server: str
    port: int
    seconds: float
    hello: str = ""
    tls: TlsUse = TlsUse.OFFERED
    user: str = ""
    password: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    quit_after: Stage = Stage.RCPT
    untrusted: bool = False
    verify: bool = False
    trust: Trust = Trust()

    def __repr__(self) -> str:
        return f"Wanted(server={self.server!r}, port={self.port}, user={self.user!r})"


class Ended(Struct, frozen=True):
    """How it ended.

    Attributes:
        stage: The last one that was tried.
        accepted: Everything that was wanted was taken.
        reply: The last reply that decided.
        problem: Why the session broke; "" if it did not.
        signed_in: AUTH was accepted.
    """

    stage: Stage
    accepted: bool
    reply: str = ""
    problem: str = ""
    signed_in: bool = False


class _StoppedError(Exception):
    """The session has come as far as it comes."""

    def __init__(self, *, accepted: bool, problem: str = "") -> None:
        super().__init__(problem)
        self.accepted = accepted
        self.problem = problem


class Session:
    """Holds one session.

    Args:
        wanted: What to say.
        record: Takes each line as it is said.
    """

    def __init__(self, wanted: Wanted, record: list[Line]) -> None:
        self._wanted = wanted
        self._record = record
        self._stage = Stage.CONNECT
        self._reply = ""
        self._signed_in = False
        self._trouble = ""  # what is wrong with the encryption; "none" where there is none yet

    async def run(self) -> Ended:
        """Say it.

        Raises:
            TalkError: If there is no connection.
        """
        wanted = self._wanted
        talk = await Talk.open(wanted.address, wanted.port, wanted.seconds, self._record)
        try:
            await self._talk(talk)
            stopped = _StoppedError(accepted=True)
        except _StoppedError as ended:
            stopped = ended
        except TalkError as problem:
            stopped = _StoppedError(accepted=False, problem=str(problem))
        if not stopped.problem:
            with suppress(TalkError):
                await talk.smtp("QUIT")
        await talk.close()
        return Ended(self._stage, stopped.accepted, self._reply, stopped.problem, self._signed_in)

    async def _talk(self, talk: Talk) -> None:
        wanted = self._wanted
        self._trouble = "none"
        if wanted.tls is TlsUse.ON_CONNECT:
            await self._shake_hands(talk)
        self._reached(Stage.CONNECT)
        self._decide(await talk.greeting(), Stage.BANNER)
        offered = await self._hello(talk)
        if wanted.tls in (TlsUse.OFFERED, TlsUse.REQUIRED):
            offered = await self._start_tls(talk, offered)
        if wanted.user:
            await self._sign_in(talk, offered)
        if wanted.recipients:
            await self._envelope(talk)

    async def _hello(self, talk: Talk) -> Reply:
        reply = await talk.smtp(f"EHLO {self._wanted.hello or talk.own_literal}")
        self._decide(reply, Stage.EHLO)
        return reply

    async def _start_tls(self, talk: Talk, offered: Reply) -> Reply:
        if not extensions_in(offered).starttls:
            if self._wanted.tls is TlsUse.REQUIRED:
                raise _StoppedError(accepted=False, problem="STARTTLS is not offered")
            return offered
        self._decide(await talk.smtp("STARTTLS"), Stage.TLS, go_on=True)
        await self._shake_hands(talk)
        offered = await talk.smtp(f"EHLO {self._wanted.hello or talk.own_literal}")
        self._reached(Stage.TLS)
        return offered

    async def _shake_hands(self, talk: Talk) -> None:
        """Encrypt; unless trust is asked for, look at anything and note what is wrong."""
        wanted = self._wanted
        strict = wanted.verify or (bool(wanted.user) and not wanted.untrusted)
        context = wanted.trust.strict() if strict else wanted.trust.lax()
        try:
            await talk.start_tls(context, wanted.server)
        except ssl.SSLError as error:
            raise TalkError(f"TLS: {problem_of(error)[1]}") from None
        self._trouble = ""

    async def _sign_in(self, talk: Talk, offered: Reply) -> None:
        wanted = self._wanted
        self._stage = Stage.AUTH
        if self._trouble and not wanted.untrusted:
            raise _StoppedError(accepted=False, problem="not encrypted: the password is not said")
        chosen = choose(extensions_in(offered).mechanisms, wanted.user, wanted.password)
        if chosen is None:
            raise _StoppedError(accepted=False, problem="no known way to sign in is offered")
        reply = await talk.sign_in(chosen)
        self._signed_in = reply.is_positive
        self._decide(reply, Stage.AUTH)

    async def _envelope(self, talk: Talk) -> None:
        wanted = self._wanted
        self._decide(await talk.smtp(f"MAIL FROM:<{wanted.sender}>"), Stage.MAIL)
        replies = [await talk.smtp(f"RCPT TO:<{it}>") for it in wanted.recipients]
        await talk.smtp("RSET")
        refused = [it for it in replies if not it.is_positive]
        self._decide((refused or replies)[0], Stage.RCPT)

    def _decide(self, reply: Reply, stage: Stage, *, go_on: bool = False) -> None:
        """Note a reply.

        Raises:
            _StoppedError: If it is a refusal, or the session was to come no further.
        """
        self._stage, self._reply = stage, str(reply)
        if not reply.is_positive:
            raise _StoppedError(accepted=False)
        if not go_on:
            self._reached(stage)

    def _reached(self, stage: Stage) -> None:
        self._stage = stage
        if stage >= self._wanted.quit_after:
            raise _StoppedError(accepted=True)
