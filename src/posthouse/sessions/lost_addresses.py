"""Watches whether clients can still be told apart by their addresses, while the server runs.

Memory is bounded, and the window moves in halves: what is older than a whole one is forgotten.
"""

from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from posthouse.accounts.notices import Board, Notice
from posthouse.policy.facts import Address, Client, Request
from posthouse.policy.lost_address import (
    LostAddressRule,
    Traffic,
    evidence_of_loss,
    owner_of_name,
)
from posthouse.policy.networks import address_text
from posthouse.telemetry.events import AddressFound, AddressLost, LogEvent

ADDRESSES_MAX: Final = 2_000  # in half a window; further ones are only counted
TOLD_AT_ONCE: Final = 10  # transactions that bring nothing new: other workers hear of so many
KEPT_MAX: Final = 100  # names, accounts and domains of one address
ADVICE: Final = (
    "let clients reach this server without address translation (host networking), let the proxy in"
    " front of it speak the PROXY protocol (proxied_from on the listener), or list the address in"
    " [lost_addresses] shared if it is meant to be that of many"
)


class LostAddress(Struct, frozen=True):
    """An address that seems to be many clients'.

    Attributes:
        address: As text.
        since: When it was noticed.
        last: When there was evidence for the last time.
        evidence: What shows it.
        stops_relaying: Doors that look at addresses are closed for it.
    """

    address: str
    since: datetime
    last: datetime
    evidence: str
    stops_relaying: bool


class MailBegan(Notice, frozen=True):
    """Another worker began a mail transaction.

    Attributes:
        address: Of the client.
        account: Whose; "" for nobody's.
        owner: Whose the EHLO name is; "" where it tells nothing.
        at: When.
        count: Of the transactions from this address that were not told yet, this one included.
    """

    address: str
    account: str
    owner: str
    at: datetime
    count: int = 1


class _Seen(Struct):
    """What came from one address in half a window."""

    transactions: int = 0
    untold: int = 0  # of them, to other workers
    names: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    senders: set[str] = field(default_factory=set)
    recipients: set[str] = field(default_factory=set)


class _Half(Struct):
    """Half a window."""

    ends: datetime | None = None
    transactions: int = 0
    by_address: dict[Address, _Seen] = field(default_factory=dict)

    def of(self, address: Address) -> _Seen:
        seen = self.by_address.get(address)
        if seen is None:
            seen = _Seen()
            if len(self.by_address) < ADDRESSES_MAX:
                self.by_address[address] = seen
        return seen


class LostAddresses:
    """Takes note of mail transactions and tells which addresses are lost.

    Attributes:
        rule: When an address counts as lost; replaced by a reload.
    """

    def __init__(
        self,
        rule: LostAddressRule,
        log: Callable[[LogEvent], None],
        board: Board | None = None,
    ) -> None:
        """Begin; what other workers (`board`) see counts as well, and they tell of it."""
        self.rule = rule
        self._log = log
        self._board = board
        if board is not None:
            board.hear(MailBegan, self._hear)
        self._now, self._before = _Half(), _Half()
        self._lost: dict[Address, LostAddress] = {}

    def mail_begins(self, client: Client, account: str, at: datetime) -> str:
        """Take note of a transaction; return why its address is lost, "" if it is not."""
        address = client.address
        owner = owner_of_name(client.hello, address)
        if self._board is not None:
            self._board.pull()
        seen = self._count(address, at, 1)
        new_account, new_name = _is_added(seen.accounts, account), _is_added(seen.names, owner)
        if self._board is not None:
            seen.untold += 1
            if new_name or new_account or seen.untold >= TOLD_AT_ONCE:
                it = MailBegan(address_text(address), account, owner, at, seen.untold)
                self._board.post(it)
                seen.untold = 0
        if new_name and self._look(address, at):
            lost = self._lost[address]
            self._log(AddressLost(str(address), lost.evidence, lost.stops_relaying, ADVICE))
        return self.evidence(address, at)

    def _hear(self, _: int, it: MailBegan) -> None:
        """Count what another worker saw; it is the one who raises the alarm."""
        address = ip_address(it.address)
        seen = self._count(address, it.at, it.count)
        _is_added(seen.accounts, it.account)
        if _is_added(seen.names, it.owner):
            self._look(address, it.at)

    def _count(self, address: Address, at: datetime, transactions: int) -> _Seen:
        half = self._half(at)
        seen = half.of(address)
        half.transactions += transactions
        seen.transactions += transactions
        return seen

    def take_note(self, request: Request) -> None:
        """Take note of whom a recipient was asked for, and on whose behalf."""
        seen = self._half(request.at).of(request.client.address)
        if request.forward_path is not None:
            _add(seen.recipients, request.forward_path.domain)
        if request.reverse_path is not None and request.reverse_path.mailbox is not None:
            _add(seen.senders, request.reverse_path.mailbox.domain)

    def evidence(self, address: Address, at: datetime) -> str:
        """Return why the doors that look at addresses stay closed for this one; "" if not."""
        if not self._lost or not self.rule.stops_relaying:
            return ""
        lost = self._lost.get(address)
        return lost.evidence if lost is not None and self._counts(lost, address, at) else ""

    def lost(self, at: datetime) -> tuple[LostAddress, ...]:
        """Return the addresses that are lost now, for people."""
        for address, lost in tuple(self._lost.items()):
            if not self._counts(lost, address, at):
                del self._lost[address]
                self._log(AddressFound(str(address)))
        return tuple(self._lost.values())

    def _counts(self, lost: LostAddress, address: Address, at: datetime) -> bool:
        return at - lost.last <= self.rule.lasts and not self.rule.shared.find(address)

    def _half(self, at: datetime) -> _Half:
        """The present half; an old one is put away first."""
        half = self._now
        if half.ends is None:
            half.ends = at + self.rule.within / 2
        elif at >= half.ends:
            self._before = half if at < half.ends + self.rule.within / 2 else _Half()
            half = self._now = _Half(at + self.rule.within / 2)
        return half

    def _look(self, address: Address, at: datetime) -> bool:
        """Judge what came from an address; whether it is lost from now on."""
        evidence = evidence_of_loss(self._traffic(address), self.rule)
        if not evidence:
            return False
        known = self._lost.get(address)
        stops = self.rule.stops_relaying
        if known is not None and self._counts(known, address, at):
            self._lost[address] = replace(known, last=at, evidence=evidence, stops_relaying=stops)
            return False
        self._lost[address] = LostAddress(str(address), at, at, evidence, stops)
        return True

    def _traffic(self, address: Address) -> Traffic:
        now = self._now.of(address)
        before = self._before.by_address.get(address, _Seen())
        return Traffic(
            address,
            names=frozenset(now.names | before.names),
            accounts=frozenset(now.accounts | before.accounts),
            senders=frozenset(now.senders | before.senders),
            recipients=frozenset(now.recipients | before.recipients),
            transactions=now.transactions + before.transactions,
            transactions_in_all=self._now.transactions + self._before.transactions,
        )


def _is_added(kept: set[str], text: str) -> bool:
    if not text or text in kept or len(kept) >= KEPT_MAX:
        return False
    kept.add(text)
    return True


def _add(kept: set[str], text: str) -> None:
    if len(kept) < KEPT_MAX:
        kept.add(text)
