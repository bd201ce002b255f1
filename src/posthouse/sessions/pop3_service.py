"""What all POP3 sessions of one listener share."""

import ssl
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from msgspec import Struct, field

from posthouse.accounts.answers import Answer
from posthouse.accounts.last_sign_ins import LastSignIns
from posthouse.mailbox.maildrop import Maildrop
from posthouse.policy.facts import Client, Load
from posthouse.policy.networks import NetworkTable
from posthouse.protocol.mechanisms import NEED_PASSWORD
from posthouse.protocol.pop3.server import CoreLimits, Offer
from posthouse.sessions.census import Census
from posthouse.sessions.exchange import Verifier
from posthouse.sessions.offering import mechanisms_offered
from posthouse.telemetry.events import LogEvent

Address = IPv4Address | IPv6Address
APOP: Final = "APOP"


class TlsRule(Enum):
    """When a listener wants TLS; the words of the configuration."""

    OFFERED = "offered"
    BEFORE_SIGN_IN = "before-sign-in"
    FROM_START = "from-start"
    OFF = "off"


class OpenSession(Protocol):
    """A session as those see it who end the server."""

    def stop(self) -> None:
        """End it as soon as the running command is answered."""

    def abort(self) -> None:
        """End it at once."""


class Pop3Limits(Struct, frozen=True):
    """What POP3 sessions may cost.

    Attributes:
        sessions_max: At the same time, in the census.
        sessions_from_address_max: Of them, from one client address.
        idle_time: Between commands once signed in; RFC 1939 section 3 wants at least 10 minutes.
        wait_before_sign_in: Between commands before that.
        failures_max: Failed sign-ins on one connection.
        failure_pause: Before a failed sign-in is answered.
        core: Limits of lines and errors.
        login_delay: Between sign-ins of one account, from wherever; zero: none (RFC 2449 §6.5).
        expire_days: After so many days messages are removed by the operator; None: never. It is
            only told (RFC 2449 §6.7).
    """

    sessions_max: int = 1000
    sessions_from_address_max: int = 50
    idle_time: timedelta = timedelta(minutes=10)
    wait_before_sign_in: timedelta = timedelta(minutes=3)
    failures_max: int = 3
    failure_pause: timedelta = timedelta(seconds=1)
    core: CoreLimits = CoreLimits()
    login_delay: timedelta = timedelta(0)
    expire_days: int | None = None


class Pop3Service(Struct, eq=False):
    """What a session is given; `tls` may be replaced while the server runs.

    Attributes:
        hostname: For the greeting.
        listener: Name of the listener, for the log.
        verifier: Checks passwords.
        open_maildrop: Opens and locks the maildrop of an account; blocks, runs in `executor`.
        open_listed: Opens and locks it if that needs no thread, else returns None.
        note_sign_in: Told of each sign-in and each later command (account, address, time): POP
            windows are counted from the last command. Must not block.
        note_failure: Told of each failed sign-in (name, client, answer); returns its case.
        now: The clock; its times carry a zone.
        log: Takes events of the closed list. Must not block.
        executor: Runs what blocks on files.
        tls: Context with our certificate; None if there is none.
        tls_rule: When TLS is wanted.
        mechanisms: Of AUTH, and ``APOP``; empty for those that every account can use.
        proxied_from: Networks of proxies that tell the real client address.
        limits: What sessions may cost.
        census: Counts sessions; may be shared by several listeners.
        sessions: Those of this listener, for stopping them.
    """

    hostname: str
    listener: str
    verifier: Verifier
    open_maildrop: Callable[[str], Maildrop]
    note_sign_in: Callable[[str, Address, datetime], None]
    now: Callable[[], datetime]
    log: Callable[[LogEvent], None]
    executor: Executor
    tls: ssl.SSLContext | None = None
    tls_rule: TlsRule = TlsRule.BEFORE_SIGN_IN
    mechanisms: tuple[str, ...] = ()
    proxied_from: NetworkTable | None = None
    limits: Pop3Limits = Pop3Limits()
    census: Census = field(default_factory=Census)
    sessions: set[OpenSession] = field(default_factory=set)
    note_failure: Callable[[str, Client, Answer], str] = lambda *_: ""
    open_listed: Callable[[str], Maildrop | None] = lambda _: None
    last_sign_ins: LastSignIns = field(default_factory=LastSignIns)

    def may_come_again(self, account: str, now: datetime) -> bool:
        """Whether the account's last sign-in is long enough ago; this one counts from now on."""
        return self.last_sign_ins.may_come(account, now, self.limits.login_delay)

    def offer(self, *, is_encrypted: bool, can_bind: bool = False) -> Offer:
        """Return what a connection may do before sign-in."""
        in_clear = self.tls_rule in (TlsRule.OFFERED, TlsRule.OFF)
        may_encrypt = self.tls_rule in (TlsRule.OFFERED, TlsRule.BEFORE_SIGN_IN)
        may_sign_in = is_encrypted or in_clear
        names: tuple[str, ...] = ()
        if may_sign_in:
            names = mechanisms_offered(
                self.mechanisms or self.verifier.mechanisms(), can_bind=can_bind
            )
        return Offer(
            user=not NEED_PASSWORD.isdisjoint(names),
            apop=may_sign_in and APOP in self.mechanisms,
            mechanisms=names,
            stls=may_encrypt and self.tls is not None and not is_encrypted,
            is_encrypted=is_encrypted,
            expire_days=self.limits.expire_days,
            login_delay_seconds=int(self.limits.login_delay.total_seconds()),
        )

    def is_full(self, load: Load) -> bool:
        """Whether the session that was just counted is one too many."""
        limits, often = self.limits, self.census.budget
        return (
            load.sessions > limits.sessions_max
            or load.sessions_from_address > limits.sessions_from_address_max
            or (often is not None and load.connections_from_address > often.count)
        )
