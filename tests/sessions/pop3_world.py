"""A POP3 listener on a loopback port with a few accounts, for tests."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from posthouse.accounts.answers import (
    Answer,
    Challenged,
    Failed,
    Locked,
    Purpose,
    Unreadable,
    Verified,
)
from posthouse.accounts.store import Credential, CredentialKind
from posthouse.mailbox import maildir
from posthouse.mailbox.maildrop import Maildrop, open_maildrop
from posthouse.policy.facts import Account, Address
from posthouse.protocol.proofs import BearerToken
from posthouse.server.tls import end_point_of
from posthouse.sessions.exchange import Verifier
from posthouse.sessions.pop3 import Pop3Session
from posthouse.sessions.pop3_service import Pop3Limits, Pop3Service, TlsRule
from posthouse.telemetry.events import LogEvent
from posthouse.wire.tls import CertifiedContext

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LIMITS = Pop3Limits(failure_pause=timedelta(0))
AUTHORITY = trustme.CA()


def server_context() -> ssl.SSLContext:
    context = CertifiedContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = AUTHORITY.issue_cert("localhost", "127.0.0.1")
    certificate.configure_cert(context)
    context.end_point = end_point_of(certificate.cert_chain_pems[0].bytes())
    return context


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


class Passwords:
    """A verifier that knows its passwords by heart."""

    def __init__(self) -> None:
        self.known = {"ann@example.com": "secret", "bob@example.com": "two words"}
        self.tried: list[tuple[str, str]] = []
        self.gate: asyncio.Event | None = None

    def mechanisms(self) -> tuple[str, ...]:
        return ("PLAIN", "LOGIN")

    def challenge(self, mechanism: str, name: str, *, purpose: Purpose) -> Challenged | Unreadable:
        raise AssertionError("only PLAIN and LOGIN are offered")

    async def prove(
        self, challenged: Challenged, matched: int | None, *, address: Address
    ) -> Answer:
        raise AssertionError("only PLAIN and LOGIN are offered")

    async def verify_token(
        self, given: BearerToken, *, address: Address, purpose: Purpose
    ) -> Answer:
        raise AssertionError("only PLAIN and LOGIN are offered")

    async def verify(
        self, name: str, password: str, *, address: Address, purpose: Purpose
    ) -> Answer:
        assert purpose is Purpose.FETCH
        self.tried.append((name, password))
        if self.gate is not None:
            await self.gate.wait()
        if name == "locked@example.com":
            return Locked(7)
        if name == "unreadable@example.com":
            return Unreadable("the accounts cannot be read")
        if self.known.get(name) != password:
            return Failed()
        credential = Credential(1, name, "", CredentialKind.ACCOUNT, "", NOON)
        return Verified(Account(name, frozenset()), credential)


class World:
    """What a test sees of the server."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.passwords = Passwords()
        self.events: list[LogEvent] = []
        self.sign_ins: list[str] = []
        self.now = NOON
        self.port = 0
        self.service: Pop3Service
        self.loop_problems: list[str] = []

    def open_maildrop(self, account: str) -> Maildrop:
        return open_maildrop(self.directory / account)

    def mailbox(self, account: str = "ann@example.com") -> Path:
        maildir.create(self.directory / account)
        return self.directory / account

    def put(self, name: str, text: str, account: str = "ann@example.com") -> None:
        """Put a message under a file name of its own into `new`."""
        octets = text.encode()
        lines = text.count("\n")
        sizes = f",S={len(octets)},W={len(octets) + lines}"
        (self.mailbox(account) / "new" / (name + sizes)).write_bytes(octets)

    def names(self, account: str = "ann@example.com") -> list[str]:
        return [entry.unique for entry in maildir.entries(self.directory / account)]

    def only_session(self) -> Pop3Session:
        (session,) = self.service.sessions
        assert isinstance(session, Pop3Session)
        return session

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def pop3_world(
    directory: Path,
    rule: TlsRule = TlsRule.OFFERED,
    limits: Pop3Limits = LIMITS,
    verifier: Verifier | None = None,
    mechanisms: tuple[str, ...] = (),
) -> AsyncIterator[World]:
    """Serve until the block ends; every session must be gone by then, every lock free."""
    world = World(directory)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: world.loop_problems.append(repr(context)))
    with ThreadPoolExecutor(2) as executor:
        world.service = Pop3Service(
            hostname="mail.example.com",
            listener="pop3",
            verifier=verifier or world.passwords,
            open_maildrop=world.open_maildrop,
            note_sign_in=lambda account, _address, _at: world.sign_ins.append(account),
            now=lambda: world.now,
            log=world.events.append,
            executor=executor,
            tls=server_context(),
            tls_rule=rule,
            mechanisms=mechanisms,
            limits=limits,
        )
        server = await loop.create_server(lambda: Pop3Session(world.service), "127.0.0.1", 0)
        world.port = server.sockets[0].getsockname()[1]
        try:
            yield world
        finally:
            server.close()
            for session in list(world.service.sessions):
                session.abort()
            await world.until(lambda: not world.service.sessions)
            await server.wait_closed()
    assert not world.loop_problems, world.loop_problems
    assert world.service.census.sessions == 0
