"""A server without a network that keeps nothing: real sessions, cores, policy and accounts.

What `simulate` and `audit` speak to. A message that is accepted is looked at and forgotten.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from posthouse.accounts.store import AccountStore, CredentialKind
from posthouse.accounts.verifier import (
    Answer,
    Challenged,
    Failed,
    Purpose,
    Unreadable,
    Verified,
    Verifier,
)
from posthouse.config.schema import Configuration
from posthouse.mail.address import Mailbox
from posthouse.mail.envelope import Envelope
from posthouse.policy.decision import Decision
from posthouse.policy.facts import Address, Usage, WatchedName
from posthouse.policy.rules import Rules
from posthouse.protocol.proofs import BearerToken
from posthouse.server.incoming import checks_of, site_words, smtp_limits
from posthouse.server.memory_line import MemoryLine
from posthouse.server.tls import own_certificate, server_context
from posthouse.sessions.gathering import Facts
from posthouse.sessions.hop import Hop
from posthouse.sessions.recording import Recorder
from posthouse.sessions.smtp import SmtpSession
from posthouse.sessions.smtp_service import SmtpService
from posthouse.sessions.transaction import Transaction
from posthouse.spool.disk import Disk
from posthouse.spool.intake import Intake
from posthouse.spool.large import SideFiles
from posthouse.spool.records import StorageError
from posthouse.spool.shelf import Arrival
from posthouse.spool.writer import Done
from posthouse.telemetry.case import Case, fresh_id
from posthouse.telemetry.events import LogEvent

MARKS_OCTETS: Final = 4096  # of each content that are remembered, to find a message again


class Taken(Struct, frozen=True):
    """A message that was accepted, and is gone.

    Attributes:
        id: As told to the client.
        envelope: Whom from, whom for.
        octets: Of its content.
        hold: Why it would be held; "" if it would not.
        beginning: First octets of the content.
    """

    id: str
    envelope: Envelope
    octets: int
    hold: str
    beginning: bytes


class Believed(Struct):
    """Facts that hold for the sake of the rehearsal.

    Attributes:
        fetched: Account and time of its last POP3 command, from every address.
        host_names: Watched names that point at every address.
        signed_in: This account's password is always right.
    """

    fetched: tuple[tuple[str, datetime], ...] = ()
    host_names: tuple[str, ...] = ()
    signed_in: str = ""


class Rehearsal:
    """A server to speak to; a context manager, on a running loop.

    Attributes:
        cases: Every decision, in order.
        taken: Every accepted message.
    """

    def __init__(
        self,
        configuration: Configuration,
        rules: Rules,
        accounts: AccountStore,
        *,
        now: Callable[[], datetime],
        believed: Believed | None = None,
    ) -> None:
        self.cases: list[Case] = []
        self.taken: list[Taken] = []
        self.believed = believed or Believed()
        self._open = ExitStack()
        directory = Path(self._open.enter_context(TemporaryDirectory(prefix="posthouse-")))
        verifier = Verifier(accounts, failures=configuration.limits.failed_sign_ins, now=now)
        self._open.callback(verifier.close)
        nowhere = _Nowhere(directory, self.taken)
        self._open.callback(nowhere.files.close)
        facts = Facts(accounts, self, self)
        self.service = SmtpService(
            rules=rules,
            facts=facts,
            recorder=Recorder(self, self._ignore, site_words(configuration), facts.advised),
            spool=nowhere,
            verifier=_Trusting(verifier, accounts, self.believed),
            counts=_NoCounts(),
            held=_NoNotices(),
            hop=Hop(asyncio.get_running_loop()),
            now=now,
            log=self._ignore,
            tls=server_context(*own_certificate(directory, rules.hostname, now())),
            checks=checks_of(configuration, rules),
            limits=smtp_limits(configuration),
            postmaster=configuration.postmaster_mailbox,
        )

    def connect(self, address: Address, listener: str, *, tls: bool = False) -> MemoryLine:
        """Open a line from an address to a listener; with `tls` it is encrypted from the start."""
        rule = self.service.rules.listeners[listener]
        encrypted = tls or rule.tls_from_start
        as_here = replace(rule, tls_from_start=encrypted, proxied_from=None)
        session = SmtpSession(self.service, as_here)
        return MemoryLine(session, address, tls=encrypted)

    def led_away(self, mark: str) -> bool | None:
        """Whether an accepted message with a mark in it was for a foreign domain."""
        found = [it for it in self.taken if mark.encode() in it.beginning]
        recipients = [one.mailbox for it in found for one in it.envelope.recipients]
        own = {*self.service.rules.local_domains, self.service.rules.hostname}
        return any(mailbox.domain not in own for mailbox in recipients) if found else None

    # ---------------------------------------------------------------- what the parts ask for

    def new_id(self, client: str = "", reason: str = "") -> str:
        """Every decision is told in full."""
        del client, reason
        return fresh_id()

    def record(self, case: Case) -> None:
        """Keep a case."""
        self.cases.append(case)

    def sessions_from(self, address: Address) -> Iterable[tuple[str, datetime]]:
        """Return who is believed to have fetched mail."""
        del address
        return self.believed.fetched

    def names_at(self, address: Address, now: datetime) -> tuple[WatchedName, ...]:
        """Return the names that are believed to point at the address."""
        del address
        return tuple(WatchedName(host, now) for host in self.believed.host_names)

    def unreadable(self) -> frozenset[str]:
        """Everything can be looked up."""
        return frozenset()

    @staticmethod
    def _ignore(event: LogEvent) -> None:
        del event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()


class _Nowhere:
    """A spool that keeps nothing; behind a real `Intake`."""

    trouble: StorageError | None = None

    def __init__(self, directory: Path, taken: list[Taken]) -> None:
        (directory / "large").mkdir()
        self.files = SideFiles(directory / "large", Disk())
        self._taken = taken

    def new_id(self) -> str:
        return fresh_id()

    def open_intake(self) -> Intake:
        return Intake(self, fresh_id())

    def shelve(self, arrival: Arrival, done: Done) -> None:
        beginning = arrival.content[:MARKS_OCTETS]
        if arrival.file:
            with (self.files.directory / arrival.file).open("rb") as content:
                beginning = content.read(MARKS_OCTETS)
            self.files.remove(arrival.file)
        taken = Taken(arrival.id, arrival.envelope, arrival.octets, arrival.hold, beginning)
        self._taken.append(taken)
        done(None)

    def fail(self, error: StorageError) -> None:
        """There is nothing to protect."""


class _Trusting:
    """Checks passwords, except that of the account which is believed to sign in."""

    def __init__(self, verifier: Verifier, accounts: AccountStore, believed: Believed) -> None:
        self._verifier = verifier
        self._accounts = accounts
        self._believed = believed

    def mechanisms(self) -> tuple[str, ...]:
        return self._verifier.mechanisms()

    def challenge(self, mechanism: str, name: str, *, purpose: Purpose) -> Challenged | Unreadable:
        return self._verifier.challenge(mechanism, name, purpose=purpose)

    async def prove(
        self, challenged: Challenged, matched: int | None, *, address: Address
    ) -> Answer:
        return await self._verifier.prove(challenged, matched, address=address)

    async def verify_token(
        self, given: BearerToken, *, address: Address, purpose: Purpose
    ) -> Answer:
        return await self._verifier.verify_token(given, address=address, purpose=purpose)

    async def verify(
        self, name: str, password: str, *, address: Address, purpose: Purpose
    ) -> Answer:
        if not self._believed.signed_in or name != self._believed.signed_in:
            return await self._verifier.verify(name, password, address=address, purpose=purpose)
        account = self._accounts.find(name)
        if account is None:
            return Failed()
        known = self._accounts.credentials(account.name)
        own = [it for it in known if it.kind is CredentialKind.ACCOUNT]
        return Verified(account, (own or list(known))[0]) if known else Failed()


class _NoCounts:
    """Nothing was sent lately, and nothing is counted."""

    def now(self, transaction: Transaction, forward_path: Mailbox | None) -> Usage:
        del transaction, forward_path
        return Usage()

    def add(self, transaction: Transaction) -> None:
        del transaction


class _NoNotices:
    """Nobody is told."""

    def tell(
        self, message_id: str, envelope: Envelope, case: str, decision: Decision, header: bytes
    ) -> None:
        del message_id, envelope, case, decision, header
