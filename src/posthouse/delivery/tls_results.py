"""How TLS with the hosts of other domains went, counted by domain and day for reports (RFC 8460).

Counts are kept in memory and saved now and then; a crash costs the counts since the last saving,
never mail. Everything has a limit, because whoever sends mail chooses the domains.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from posthouse.delivery.next_hosts import Host
from posthouse.delivery.tls_terms import Assurance, Basis, Trouble

DOMAINS_MAX: Final = 5_000
"""Domains counted on one day; further ones are not."""
POLICIES_MAX: Final = 8
FAILURES_MAX: Final = 50
"""Kinds of failure told for one policy; further ones count in its sum only."""
WORDS_MAX: Final = 200
KEPT: Final = timedelta(days=3)
"""So long a report that cannot be sent is tried."""


class PolicySeen(Struct, frozen=True):
    """By which policy sessions were judged (RFC 8460 §4.4).

    Attributes:
        kind: ``tlsa``, ``sts`` or ``no-policy-found``.
        strings: Its records or lines.
        hosts: Exchangers that it is about.
    """

    kind: str
    strings: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Failure(Struct):
    """Sessions that failed in the same way.

    Attributes:
        trouble: What was wrong.
        host: Name of the exchanger.
        address: Its address; "" where none was tried.
        words: More about it.
        sessions: How many.
        sending: Our address; "" where that is not known.
    """

    trouble: Trouble
    host: str
    address: str
    words: str
    sessions: int = 0
    sending: str = ""

    def is_like(self, other: "Failure") -> bool:
        """Whether they are counted together."""
        same = (self.trouble, self.words) == (other.trouble, other.words)
        ends = (self.host, self.address, self.sending)
        return same and ends == (other.host, other.address, other.sending)


class Tally(Struct):
    """Sessions by one policy."""

    policy: PolicySeen
    successes: int = 0
    failures: int = 0
    details: list[Failure] = []


class Day(Struct):
    """All of one domain on one day (UTC)."""

    domain: str
    day: date
    tallies: list[Tally] = []


class TlsResults:
    """Counts, until a report is made of it.

    Attributes:
        counting: Whether anything is counted; replaced by a reload.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime], counting: bool = True) -> None:
        """Read what was counted before; a file that cannot be read is begun anew."""
        self.counting = counting
        self._path = path
        self._now = now
        self._days = {(it.domain, it.day): it for it in _read(path)}
        self._changed = False

    def note(
        self,
        domain: str,
        host: Host,
        assurance: Assurance,
        trouble: Trouble | None,
        words: str,
        sending: str = "",
    ) -> None:
        """Count one session; see `opening.Watcher`."""
        today = self._now().astimezone(UTC).date()
        key = (domain, today)
        if not self.counting or domain.startswith("["):
            return
        if key not in self._days:
            if sum(day == today for _, day in self._days) >= DOMAINS_MAX:
                return
            self._days[key] = Day(domain, today)
        self._changed = True
        tally = _tally(self._days[key], seen(assurance, host))
        if trouble is None:
            tally.successes += 1
        else:
            tally.failures += 1
            address = str(host.address) if host.address else ""
            failure = Failure(trouble, host.name, address, words[:WORDS_MAX], sending=sending)
            _count(tally, failure)

    def finished(self) -> tuple[Day, ...]:
        """Return the days that are over; those too long ago are forgotten."""
        today = self._now().astimezone(UTC).date()
        old = [key for key in self._days if today - key[1] > KEPT]
        for key in old:
            self._remove(key)
        return tuple(it for it in self._days.values() if it.day < today)

    def forget(self, day: Day) -> None:
        """Forget a day that was reported, or that nobody wants a report about."""
        self._remove((day.domain, day.day))

    def octets_to_save(self) -> bytes | None:
        """Return what `save` is to write; None if nothing changed."""
        if not self._changed:
            return None
        self._changed = False
        return msgspec.json.encode(list(self._days.values()))

    def save(self, octets: bytes) -> None:
        """Write it so that the file is there whole or as it was. Blocks.

        Raises:
            OSError: If it cannot be written.
        """
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_bytes(octets)
        beside.replace(self._path)

    def _remove(self, key: tuple[str, date]) -> None:
        self._changed = self._days.pop(key, None) is not None or self._changed


def seen(assurance: Assurance, host: Host) -> PolicySeen:
    """Return the policy that a host was judged by."""
    match assurance.basis:
        case Basis.DANE | Basis.DANE_UNUSABLE:
            return PolicySeen("tlsa", tuple(map(str, assurance.records)), (host.name,))
        case Basis.STS | Basis.STS_TESTING if assurance.policy is not None:
            return PolicySeen("sts", assurance.policy.lines(), assurance.policy.patterns)
        case _ if assurance.trouble is not None:  # there is a policy, and it cannot be had
            return PolicySeen("sts")
        case _:
            return PolicySeen("no-policy-found")


def _tally(day: Day, policy: PolicySeen) -> Tally:
    for one in day.tallies:
        if one.policy == policy:
            return one
    if len(day.tallies) >= POLICIES_MAX:
        return day.tallies[-1]
    day.tallies.append(Tally(policy))
    return day.tallies[-1]


def _count(tally: Tally, failure: Failure) -> None:
    for one in tally.details:
        if one.is_like(failure):
            one.sessions += 1
            return
    if len(tally.details) < FAILURES_MAX:
        failure.sessions = 1
        tally.details.append(failure)


def _read(path: Path) -> list[Day]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Day])
    except (OSError, msgspec.DecodeError):
        return []
