"""Looking at content while it arrives: what screening checks can say, and the built-in ones.

A check only finds; what becomes of the mail (refuse, hold, mark) is the policy's to decide.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from msgspec import Struct

from posthouse.policy.facts import Finding, Usage
from posthouse.policy.rules import Limits

# The Generic Test for Unsolicited Bulk Email: every filter calls a message with it spam.
GTUBE: Final = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


class Scanned(Struct, frozen=True):
    """What a check may know of the message besides its content.

    Attributes:
        at: When the content began.
        relayed: The sender came through a door.
        usage: Tells what the sender sent lately, this message's recipients included.
    """

    at: datetime
    relayed: bool
    usage: Callable[[], Usage]


class Scan(Protocol):
    """One message under one check."""

    def look(self, octets: bytes, /) -> None:
        """Take the next part of the content; cut anywhere."""

    def finding(self) -> Finding:
        """Say what was found, after the last part."""


class Check(Protocol):
    """A ``[[screening]]`` entry at work."""

    @property
    def name(self) -> str:
        """Name of the entry."""

    def begin(self, scanned: Scanned, /) -> Scan | None:
        """Start on a message; None where this check does not look at such mail."""


class GtubeCheck:
    """Finds the GTUBE string, wherever the network cut it."""

    def __init__(self, name: str, *, relayed: bool = True, incoming: bool = True) -> None:
        self.name = name
        self._relayed = relayed
        self._incoming = incoming

    def begin(self, scanned: Scanned) -> Scan | None:
        """Start on a message of the wanted direction."""
        wanted = self._relayed if scanned.relayed else self._incoming
        return _GtubeScan(self.name) if wanted else None


class _GtubeScan:
    def __init__(self, name: str) -> None:
        self._name = name
        self._tail = b""
        self._found = False

    def look(self, octets: bytes) -> None:
        if self._found:
            return
        seam = self._tail + octets[: len(GTUBE)]
        self._found = GTUBE in seam or GTUBE in octets
        kept = len(GTUBE) - 1
        self._tail = octets[-kept:] if len(octets) >= kept else (self._tail + octets)[-kept:]

    def finding(self) -> Finding:
        detail = "the GTUBE test string" if self._found else ""
        return Finding(self._name, self._found, detail)


class RecipientBudgetCheck:
    """Finds senders whose budget of recipients is used up: perhaps a stolen password at work.

    With this check the limit does not defer: the mail comes in, for a person to look at.
    """

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self._limits = limits

    def begin(self, scanned: Scanned) -> Scan | None:
        """Start on relayed mail; strangers only reach our own people."""
        return _BudgetScan(self.name, self._limits, scanned.usage()) if scanned.relayed else None


class _BudgetScan:
    def __init__(self, name: str, limits: Limits, usage: Usage) -> None:
        self._name = name
        self._pairs = (
            (usage.account_recipients, limits.account_recipients),
            (usage.account_new_recipients, limits.account_new_recipients),
            (usage.address_recipients, limits.address_recipients),
        )

    def look(self, octets: bytes) -> None:
        """The content does not matter here."""

    def finding(self) -> Finding:
        for used, budget in self._pairs:
            if budget is not None and used > budget.count:
                detail = f"{used} recipients, {budget.count} in {budget.period} are usual"
                return Finding(self._name, found=True, detail=detail)
        return Finding(self._name, found=False)


class Screening:
    """All checks on one message."""

    def __init__(self, checks: Sequence[Check], scanned: Scanned) -> None:
        begun = (check.begin(scanned) for check in checks)
        self._scans = tuple(scan for scan in begun if scan is not None)

    def look(self, octets: bytes) -> None:
        """Take the next part of the content."""
        for scan in self._scans:
            scan.look(octets)

    def findings(self) -> tuple[Finding, ...]:
        """What the checks say, after the last part."""
        return tuple(scan.finding() for scan in self._scans)


_ANY_TIME: Final = datetime.min.replace(tzinfo=UTC)
NO_SCREENING: Final = Screening((), Scanned(_ANY_TIME, relayed=False, usage=Usage))
"""Where no check is at work."""
