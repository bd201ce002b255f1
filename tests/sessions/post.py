"""A whole SMTP service for tests: real stores in a directory, real sockets on loopback."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from posthouse.accounts.passwords import hash_generated
from posthouse.accounts.sign_ins import PopSignIns
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.usage import UsageCounters
from posthouse.accounts.verifier import Verifier
from posthouse.mail.address import Mailbox, parse_mailbox
from posthouse.policy.facts import WatchedName
from posthouse.policy.networks import NetworkTable, parse_networks
from posthouse.policy.rules import Door, DoorKind, ListenerRule, LocalDomain, Rules, Service
from posthouse.server.tls import own_certificate, server_context
from posthouse.sessions.counting import Counting
from posthouse.sessions.gathering import Facts
from posthouse.sessions.held import HeldNotices
from posthouse.sessions.hop import Hop
from posthouse.sessions.recording import Recorder
from posthouse.sessions.scanning import GtubeCheck
from posthouse.sessions.smtp import SmtpSession
from posthouse.sessions.smtp_service import SmtpLimits, SmtpService
from posthouse.sessions.wording_fields import SiteWords
from posthouse.spool.spool import Spool
from posthouse.telemetry.cases import CaseStore
from posthouse.telemetry.events import LogEvent

T = TypeVar("T")
PASSWORD = "abcd-efgh-ijkl-mnop-qrst-uvwx"
LISTENERS = (
    ListenerRule("mx", Service.SMTP, tls_before_sign_in=False, ports=(25,)),
    ListenerRule("submission", Service.SUBMISSION, ports=(587,)),
    ListenerRule("submissions", Service.SUBMISSION, ports=(465,), tls_from_start=True),
    ListenerRule("devices", Service.SUBMISSION, tls_before_sign_in=False, ports=(2525,)),
)


def rules_with(*doors: Door, **changes: Any) -> Rules:
    """Return rules for proseware.com; network doors are put into the table."""
    entries = [
        (network, number)
        for number, door in enumerate(doors)
        for text in door.networks
        for network in parse_networks(text)
    ]
    fields: dict[str, Any] = {
        "hostname": "mail.proseware.com",
        "listeners": {it.name: it for it in LISTENERS},
        "local_domains": {
            "proseware.com": LocalDomain("proseware.com", where="posthouse.toml:3"),
            "school.example": LocalDomain("school.example", relayed=True),
        },
        "doors": doors,
        "networks": NetworkTable(entries),
    }
    return Rules(**{**fields, **changes})


SIGNED_IN = Door(DoorKind.SIGNED_IN, "signed-in")


class NoNames:
    """No host name is watched."""

    def __init__(self) -> None:
        self.seen: tuple[WatchedName, ...] = ()
        self.failing: frozenset[str] = frozenset()

    def names_at(self, address: object, now: datetime) -> tuple[WatchedName, ...]:
        return self.seen

    def unreadable(self) -> frozenset[str]:
        return self.failing


class Post:
    """The service, its stores and its ports."""

    def __init__(self, directory: Path, rules: Rules) -> None:
        self.directory = directory
        self.events: list[LogEvent] = []
        self.time: datetime | None = None
        self.accounts = SqliteAccountStore(directory / "accounts.db", now=self.now)
        self.pop_sign_ins = PopSignIns(directory / "sign-ins.db", now=self.now)
        self.names = NoNames()
        self.usage = UsageCounters(directory / "usage.db", now=self.now)
        self.cases = CaseStore(directory / "cases.db", now=self.now)
        self.verifier = Verifier(self.accounts, now=self.now)
        (directory / "spool").mkdir()
        self.spool = Spool(directory / "spool", now=self.now)
        facts = Facts(self.accounts, self.pop_sign_ins, self.names)
        certificate, key = own_certificate(directory, rules.hostname, datetime.now(UTC))
        self.service = SmtpService(
            rules=rules,
            facts=facts,
            recorder=Recorder(self.cases, self.events.append, SiteWords(), facts.advised),
            spool=self.spool,
            verifier=self.verifier,
            counts=Counting(self.usage, lambda: self.service.rules.limits),
            held=HeldNotices(
                self.spool,
                author=Mailbox("postmaster", "mail.proseware.com"),
                hostname=rules.hostname,
                contact="",
                log=self.events.append,
                now=self.now,
            ),
            hop=Hop(asyncio.get_running_loop()),
            now=self.now,
            log=self.events.append,
            tls=server_context(certificate, key),
            checks=(GtubeCheck("spam"),),
        )
        self.ports: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []

    def now(self) -> datetime:
        return self.time or datetime.now(UTC)

    def add_account(self, name: str) -> None:
        self.accounts.add(parse_mailbox(name), hash_generated(PASSWORD))

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self.service.rules.listeners.values():
            server = await loop.create_server(
                partial(SmtpSession, self.service, listener), "127.0.0.1", 0
            )
            self.ports[listener.name] = server.sockets[0].getsockname()[1]
            self._servers.append(server)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for session in tuple(self.service.sessions):
            session.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.to_thread(self.spool.close)
        self.verifier.close()
        self.cases.close()
        self.usage.close()
        self.pop_sign_ins.close()
        self.accounts.close()

    def queue(self) -> list[tuple[str, list[str]]]:
        """Return reverse-path and recipients of all that is in the spool."""
        return [
            (str(it.envelope.reverse_path), [str(one.mailbox) for one in it.envelope.recipients])
            for it in self.spool.list_messages()
        ]

    def only_content(self) -> bytes:
        (message,) = self.spool.list_messages()
        return self.spool.content_octets(message.id)

    async def talk(self, listener: str, *lines: str | bytes) -> list[str]:
        """Send lines one after another and return the last line of each reply, greeting first."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[listener])
        said = [await read_reply(reader)]
        for line in lines:
            writer.write(line if isinstance(line, bytes) else line.encode() + b"\r\n")
            said.append(await read_reply(reader))
        writer.close()
        await writer.wait_closed()
        return said

    async def client(self, listener: str, work: Callable[[smtplib.SMTP], T]) -> T:
        """Run `work` with a connected smtplib client, in a thread."""

        def run() -> T:
            if listener == "submissions":
                client: smtplib.SMTP = smtplib.SMTP_SSL(
                    "127.0.0.1", self.ports[listener], timeout=10, context=trusting()
                )
            else:
                client = smtplib.SMTP("127.0.0.1", self.ports[listener], timeout=10)
            with client:
                return work(client)

        return await asyncio.to_thread(run)


def trusting() -> ssl.SSLContext:
    """A client's context that takes our own certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def read_reply(reader: asyncio.StreamReader) -> str:
    """Return a whole reply, its lines joined by newlines; "" at the end of the stream."""
    lines: list[str] = []
    while True:
        line = (await asyncio.wait_for(reader.readline(), 10)).decode("ascii").rstrip("\r\n")
        lines.append(line)
        if line[3:4] != "-":
            return "\n".join(lines)


@asynccontextmanager
async def post(
    directory: Path, rules: Rules, limits: SmtpLimits | None = None
) -> AsyncIterator[Post]:
    """Open a service and close it again."""
    opened = Post(directory, rules)
    if limits is not None:
        opened.service.limits = limits
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


async def wait_until(true: Callable[[], bool]) -> None:
    """Give the loop a moment until something holds."""
    for _ in range(200):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never happened")
