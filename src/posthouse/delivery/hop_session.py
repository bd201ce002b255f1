"""One SMTP session with one host of a next hop, from the greeting to QUIT."""

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from posthouse.delivery import dane
from posthouse.delivery.content import Content
from posthouse.delivery.host_errors import Fault, HostError, refused, tls_failed
from posthouse.delivery.link import Link, LinkError
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.routes import SignIn, TlsWish
from posthouse.delivery.tls_terms import OURS, Assurance, Basis, Trouble
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.client import ClientConnection, Outgoing, PeerError
from posthouse.protocol.smtp.client_events import (
    ClientEvent,
    Closed,
    ContentAnswered,
    ContentWanted,
    DataAnswered,
    Extensions,
    Greeted,
    HelloAnswered,
    RecipientAnswered,
    SenderAnswered,
    SignInAnswered,
    TlsReady,
    TlsRefused,
    TransactionEnded,
)
from posthouse.wire.tls import TlsError

MECHANISMS: Final = ("PLAIN", "LOGIN")


class Timeouts(Struct, frozen=True):
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


class Terms(Struct, frozen=True):
    """On what terms we talk to a host.

    Attributes:
        hello: Our name in EHLO.
        tls: How well protected the session must be.
        tls_from_start: TLS comes before the greeting.
        plain: The earlier attempt to encrypt failed: do not try again now.
        sign_in: What to sign in with.
        other_than: A host that greets with this name is ourselves; "" does not look.
        assurance: What the domain itself wants; `tls` is at least as strict.
    """

    hello: str
    tls: TlsWish = TlsWish.OPPORTUNISTIC
    tls_from_start: bool = False
    plain: bool = False
    sign_in: SignIn | None = None
    other_than: str = ""
    assurance: Assurance = OURS


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


class HopSession:
    """A session. Any error leaves it `over`.

    Attributes:
        host: ``name [address]``, as reports and logs show it.
        over: Nothing more can be sent.
        messages: Transactions asked for.
        protection: How the way is encrypted, in words.
    """

    def __init__(self, link: Link, host: Host, timeouts: Timeouts) -> None:
        self.host = str(host)
        self.over = False
        self.messages = 0
        self.protection = link.protection
        self._name = host.name
        self._address = host.address
        self._link = link
        self._lmtp = host.lmtp
        self._core = ClientConnection(lmtp=host.lmtp)
        self._timeouts = timeouts

    @property
    def extensions(self) -> Extensions:
        """What the host offers."""
        return self._core.extensions

    @property
    def is_lmtp(self) -> bool:
        """Whether the host answers for each recipient, having put it into the mailbox."""
        return self._lmtp

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is on."""
        return self._link.is_encrypted

    @property
    def is_usable(self) -> bool:
        """Whether a kept session may be given another message."""
        return not self.over and self._core.is_idle and not self._link.was_closed

    @property
    def is_gone(self) -> bool:
        """Whether its connection is closed, ours and theirs."""
        return self.over and self._link.is_gone

    # ---------------------------------------------------------------- opening

    async def begin(self, terms: Terms, context: ssl.SSLContext) -> None:
        """Greet, encrypt, sign in.

        Raises:
            HostError: If the host cannot be given mail on these terms.
        """
        try:
            if terms.tls_from_start:
                await self._shake_hands(terms, context)
            await self._greet(terms)
            await self._hello(terms)
            if not terms.tls_from_start and not terms.plain and self._address is not None:
                await self._encrypt(terms, context)
            if terms.sign_in is not None:
                await self._sign_in(terms.sign_in)
            self.protection = self._protection(terms)
        except (LinkError, PeerError) as error:
            raise HostError("4.4.2", str(error)) from error

    def _protection(self, terms: Terms) -> str:
        if self._address is None:
            return "on this machine"
        if not self._link.is_encrypted:
            return self._link.protection + (" (TLS was offered and failed)" if terms.plain else "")
        match terms.assurance.basis:
            case Basis.DANE:
                known = ", certificate verified (DANE)"
            case Basis.STS | Basis.STS_TESTING if terms.tls is TlsWish.VERIFIED:
                known = ", certificate verified (MTA-STS)"
            case _:
                known = ", certificate verified" if terms.tls is TlsWish.VERIFIED else ""
        return self._link.protection + known

    async def _greet(self, terms: Terms) -> None:
        event = await self._next(self._timeouts.greeting, "the greeting")
        if not isinstance(event, Greeted) or not event.reply.is_positive:
            raise refused(event, "4.3.2", "the greeting")
        words = event.reply.text.split()
        if terms.other_than and words and words[0].lower() == terms.other_than:
            raise HostError("5.4.6", "the host is ourselves: mail loops back", Fault.LOOP)

    async def _hello(self, terms: Terms) -> None:
        self._core.hello(terms.hello)
        event = await self._next(self._timeouts.hello, "EHLO")
        if not isinstance(event, HelloAnswered) or not event.reply.is_positive:
            raise refused(event, "4.5.0", "EHLO")

    async def _encrypt(self, terms: Terms, context: ssl.SSLContext) -> None:
        must = terms.tls is not TlsWish.OPPORTUNISTIC
        if not self.extensions.starttls:
            if must:
                wants = terms.assurance.wants
                words = f"the host offers no TLS, and {wants} demands it"
                raise HostError("4.7.10", words, Fault.TLS, trouble=Trouble.NO_STARTTLS)
            return
        self._core.start_tls()
        event = await self._next(self._timeouts.hello, "STARTTLS")
        if isinstance(event, TlsRefused) and not must:
            return
        if not isinstance(event, TlsReady):
            raise refused(event, "4.7.10", "STARTTLS", Fault.TLS, Trouble.NO_STARTTLS)
        await self._shake_hands(terms, context)
        self._core.tls_started()
        await self._hello(terms)

    async def _shake_hands(self, terms: Terms, context: ssl.SSLContext) -> None:
        try:
            async with asyncio.timeout(self._timeouts.handshake):
                await self._link.start_tls(context, (*terms.assurance.names, self._name)[0])
        except TimeoutError:
            raise tls_failed("the TLS handshake took too long") from None
        except LinkError as error:
            raise tls_failed(f"the TLS handshake failed: {error}") from error
        except TlsError as error:
            words = f"the TLS handshake failed: {error}"
            raise tls_failed(words, error.certificate_code) from error
        if terms.assurance.basis is Basis.DANE:
            self._compare(terms.assurance)

    def _compare(self, assurance: Assurance) -> None:
        """By DANE the certificate must be what DNS says (RFC 7672 §2.2)."""
        now = datetime.now(UTC)
        chain, records = self._link.peer_chain, assurance.records
        if fault := dane.mismatch(chain, records, assurance.names, now):
            raise HostError("4.7.5", f"DANE: {fault}", Fault.TLS, trouble=Trouble.VALIDATION)

    async def _sign_in(self, sign_in: SignIn) -> None:
        """Never in the clear, unless it stays on this machine."""
        at_home = self._address is None or self._address.is_loopback
        if not self._link.is_encrypted and not at_home:
            raise HostError("4.7.11", "no TLS with the smart host: the password was not sent")
        self._core.sign_in(sign_in.user, sign_in.password, MECHANISMS)
        event = await self._next(self._timeouts.hello, "AUTH")
        if not isinstance(event, SignInAnswered) or not event.reply.is_positive:
            raise refused(event, "4.7.8", "signing in")

    # ---------------------------------------------------------------- sending

    async def send(self, outgoing: Outgoing, content: Content) -> Sent:
        """Send a message; whatever goes wrong is told in the result."""
        self.messages += 1
        progress = _Progress(len(outgoing.recipients), self._timeouts)
        try:
            octets = content.whole() if content.is_small else None
            self._core.send(outgoing, octets)
            progress.whole_content = octets is not None
            sent = await self._follow(progress, content)
        except (LinkError, PeerError) as error:
            self.over = True
            return progress.interrupted(str(error))
        await self._become_idle()
        return sent

    async def _become_idle(self) -> None:
        """Wait for the answer to the RSET that the core may have said; the outcome is known."""
        try:
            async with asyncio.timeout(self._timeouts.hello):
                while not (self.over or self._core.is_idle):
                    await self._write()
                    self._core.receive(await self._link.read())
                    self.over = self._core.next_event() is not None or self._link.was_closed
        except (TimeoutError, LinkError, PeerError):
            self.over = True

    async def _follow(self, progress: "_Progress", content: Content) -> Sent:
        while True:
            event = await self._next(progress.seconds, progress.waiting_for)
            match event:
                case TransactionEnded(replies=replies):
                    return Sent(replies)
                case ContentWanted():
                    await self._stream(content)
                    progress.content_is_out()
                case Closed(reply=reply):
                    self.over = True
                    return progress.interrupted(_farewell(reply), busy=reply is not None)
                case _:
                    progress.note(event)

    async def _stream(self, content: Content) -> None:
        async for block in content.blocks():
            self._core.write_content(block)
            await self._write()
        self._core.end_content()

    # ---------------------------------------------------------------- ending

    def leave(self) -> None:
        """Say QUIT without waiting for the answer, and close."""
        if self.over or self._core.closed:
            self._link.abort()
        else:
            self._core.quit()
            self._link.send_last(self._core.bytes_to_send())
        self.over = True

    async def wait_left(self) -> None:
        """Return when the connection is closed, after `leave`."""
        await self._link.wait_closed()

    # ---------------------------------------------------------------- octets

    async def _next(self, seconds: float, what: str) -> ClientEvent:
        """The next event; a host that sends octets but never an answer gets no extra time."""
        await self._write()
        event = self._core.next_event()
        if event is None:
            try:
                async with asyncio.timeout(seconds):
                    event = await self._awaited()
            except TimeoutError:
                raise LinkError(f"no answer to {what} within {seconds:.0f} s") from None
        await self._write()
        return event

    async def _awaited(self) -> ClientEvent:
        while True:
            await self._write()  # the core may have gone on without an event
            octets = await self._link.read()
            if octets:
                self._core.receive(octets)
            else:
                self._core.peer_closed()
            if (event := self._core.next_event()) is not None:
                return event

    async def _write(self) -> None:
        """What cannot be written may still have been answered: a reading will tell."""
        if octets := self._core.bytes_to_send():
            try:
                await self._link.write(octets, seconds_each=self._timeouts.content_block)
            except LinkError:
                self.over = True


class _Progress:
    """How far a transaction has come, for time limits and for what is told when it breaks off."""

    def __init__(self, recipients: int, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._decided: dict[int, Reply] = {}
        self._recipients = recipients
        self._heard = self._dot = False
        self.seconds, self.waiting_for = timeouts.sender, "MAIL"
        self.whole_content = True

    def note(self, event: ClientEvent) -> None:
        """Remember an answer."""
        self._heard = True
        match event:
            case SenderAnswered():
                self.seconds, self.waiting_for = self._timeouts.recipient, "RCPT"
            case RecipientAnswered(index=index, reply=reply):
                if not reply.is_positive:
                    self._decided[index] = reply
                self.seconds = max(self._timeouts.data, self._timeouts.recipient)
                self.waiting_for = "RCPT or DATA"
            case ContentAnswered(index=int(index), reply=reply):
                self._decided[index] = reply  # by LMTP each recipient has its own answer
            case DataAnswered(reply=reply):
                if reply.is_positive and self.whole_content:
                    self.content_is_out()
            case _:
                pass

    def content_is_out(self) -> None:
        """All of the content is written, the final dot included."""
        self._dot = True
        self.seconds, self.waiting_for = self._timeouts.content_end, "the final dot"

    def interrupted(self, why: str, *, busy: bool = False) -> Sent:
        """How it went when it broke off here."""
        replies = tuple(self._decided.get(index) for index in range(self._recipients))
        return Sent(replies, lost=why, ambiguous=self._dot, heard=self._heard, busy=busy)


def _farewell(reply: Reply | None) -> str:
    return f"the host ended the session: {reply}" if reply else "the host closed the connection"
