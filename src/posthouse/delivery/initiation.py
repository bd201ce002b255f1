"""The begin of a session: greeting, EHLO, TLS, signing in (RFC 5321 §3.1, §3.2)."""

import asyncio
import secrets
import ssl
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from posthouse.delivery import dane
from posthouse.delivery.hop_session import HopSession
from posthouse.delivery.host_errors import Fault, HostError, refused, tls_failed
from posthouse.delivery.link import LinkError
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.routes import SignIn, TlsWish
from posthouse.delivery.tls_terms import OURS, Assurance, Basis, Trouble
from posthouse.protocol import scram
from posthouse.protocol.smtp.client import PeerError
from posthouse.protocol.smtp.client_events import (
    ClientEvent,
    Greeted,
    HelloAnswered,
    SignInAnswered,
    TlsReady,
    TlsRefused,
)
from posthouse.wire.tls import TlsError

# CRAM-MD5 comes last: who listens can guess the password from it, which TLS hides from them.
MECHANISMS: Final = (scram.MECHANISM, "PLAIN", "LOGIN", "CRAM-MD5")
NONCE_OCTETS: Final = 18
WRONG: Final = 535  # RFC 4954 §6


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


async def initiate(session: HopSession, host: Host, terms: Terms, context: ssl.SSLContext) -> None:
    """Greet, encrypt, sign in.

    Raises:
        HostError: If the host cannot be given mail on these terms.
    """
    try:
        await _Initiation(session, host, terms, context).run()
    except (LinkError, PeerError) as error:
        raise HostError("4.4.2", str(error)) from error


class _Initiation:
    def __init__(
        self, session: HopSession, host: Host, terms: Terms, context: ssl.SSLContext
    ) -> None:
        self._session = session
        self._core = session.connection
        self._link = session.link
        self._timeouts = session.timeouts
        self._host = host
        self._terms = terms
        self._context = context

    async def run(self) -> None:
        terms = self._terms
        if terms.tls_from_start:
            await self._shake_hands()
        await self._greet()
        await self._hello()
        if not terms.tls_from_start and not terms.plain and self._host.address is not None:
            await self._encrypt()
        if terms.sign_in is not None:
            await self._sign_in(terms.sign_in)
        self._session.protection = self._protection()

    def _protection(self) -> str:
        """How the way is encrypted, in words."""
        terms = self._terms
        if self._host.address is None:
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

    async def _greet(self) -> None:
        event = await self._session.next_event(self._timeouts.greeting, "the greeting")
        if not isinstance(event, Greeted) or not event.reply.is_positive:
            raise refused(event, "4.3.2", "the greeting")
        words, ours = event.reply.text.split(), self._terms.other_than
        if ours and words and words[0].lower() == ours:
            raise HostError("5.4.6", "the host is ourselves: mail loops back", Fault.LOOP)

    async def _hello(self) -> None:
        self._core.hello(self._terms.hello)
        event = await self._session.next_event(self._timeouts.hello, "EHLO")
        if not isinstance(event, HelloAnswered) or not event.reply.is_positive:
            raise refused(event, "4.5.0", "EHLO")

    async def _encrypt(self) -> None:
        must = self._terms.tls is not TlsWish.OPPORTUNISTIC
        if not self._core.extensions.starttls:
            if must:
                wants = self._terms.assurance.wants
                words = f"the host offers no TLS, and {wants} demands it"
                raise HostError("4.7.10", words, Fault.TLS, trouble=Trouble.NO_STARTTLS)
            return
        self._core.start_tls()
        event = await self._session.next_event(self._timeouts.hello, "STARTTLS")
        if isinstance(event, TlsRefused) and not must:
            return
        if not isinstance(event, TlsReady):
            raise refused(event, "4.7.10", "STARTTLS", Fault.TLS, Trouble.NO_STARTTLS)
        await self._shake_hands()
        self._core.tls_started()
        await self._hello()

    async def _shake_hands(self) -> None:
        assurance = self._terms.assurance
        try:
            async with asyncio.timeout(self._timeouts.handshake):
                await self._link.start_tls(self._context, (*assurance.names, self._host.name)[0])
        except TimeoutError:
            raise tls_failed("the TLS handshake took too long") from None
        except LinkError as error:
            raise tls_failed(f"the TLS handshake failed: {error}") from error
        except TlsError as error:
            words = f"the TLS handshake failed: {error}"
            raise tls_failed(words, error.certificate_code) from error
        if assurance.basis is Basis.DANE:
            self._compare(assurance)

    def _compare(self, assurance: Assurance) -> None:
        """By DANE the certificate must be what DNS says (RFC 7672 §2.2)."""
        now = datetime.now(UTC)
        chain, records = self._link.peer_chain, assurance.records
        if fault := dane.mismatch(chain, records, assurance.names, now):
            raise HostError("4.7.5", f"DANE: {fault}", Fault.TLS, trouble=Trouble.VALIDATION)

    async def _sign_in(self, sign_in: SignIn) -> None:
        """Never in the clear, unless it stays on this machine."""
        at_home = self._host.address is None or self._host.address.is_loopback
        if not self._link.is_encrypted and not at_home:
            raise HostError("4.7.11", "no TLS with the smart host: the password was not sent")
        event, tried = await self._try(sign_in, MECHANISMS)
        wrong = isinstance(event, SignInAnswered) and event.reply.code == WRONG
        if tried == scram.MECHANISM and wrong:  # perhaps it has no such secret of this account
            event, _ = await self._try(sign_in, MECHANISMS[1:])
        if not isinstance(event, SignInAnswered) or not event.reply.is_positive:
            raise refused(event, "4.7.8", "signing in")

    async def _try(self, sign_in: SignIn, mechanisms: tuple[str, ...]) -> tuple[ClientEvent, str]:
        nonce = secrets.token_urlsafe(NONCE_OCTETS)
        tried = self._core.sign_in(sign_in.user, sign_in.password, mechanisms, nonce)
        return await self._session.next_event(self._timeouts.hello, "AUTH"), tried
