"""The audit: every trick at every entrance, one connection at a time, and what it shows.

Only a message that was accepted for relay, or one that reached the canary, shows an open relay: a
250 to an odd recipient is no proof, the server may read it as a local-part of its own.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.probe.attempt import Attempt, Outcome, Trier
from posthouse.probe.canary import Canary
from posthouse.probe.line import Line
from posthouse.probe.open_relay import APPROACHES, Places, Trick

CANARY_SECONDS: Final = 10.0
UNKNOWN_SHARE_MAX: Final = 0.1  # of attempts without an answer; more of them decide nothing
_CUT_OFF: Final = frozenset(it.id for it in APPROACHES if it.first)
_UNKNOWN: Final = (Outcome.DEFERRED, Outcome.LOST, Outcome.REFUSED_CONNECTION)


class Entrance(Struct, frozen=True):
    """Somewhere tricks are tried.

    Attributes:
        name: Such as ``submission from 203.0.113.9``, or ``port 25``.
        places: What the placeholders stand for there.
        open: Makes a fresh line; may raise LineLostError.
        tricks: What is tried there; None for everything.
        led_away: Looks where the message with a mark went: True for a foreign domain, False for
            ours alone; None where only the wire can tell.
    """

    name: str
    places: Places
    open: Callable[[], Awaitable[Line]]
    tricks: Sequence[Trick] | None = None
    led_away: Callable[[str], bool | None] = lambda _: None


class Verdict(Enum):
    """What all attempts together show."""

    CLOSED = "closed"
    OPEN = "open"
    UNDECIDED = "undecided"


class Audit(Struct, frozen=True):
    """What was found.

    Attributes:
        attempts: All of them, in order.
        verdict: Open with one attempt that shows it; undecided where too much stayed unknown.
        canary_watched: A canary was listening.
    """

    attempts: tuple[Attempt, ...]
    verdict: Verdict
    canary_watched: bool = False

    def counts(self) -> dict[Outcome, dict[str, int]]:
        """Return how often each outcome came, by entrance."""
        found: dict[Outcome, dict[str, int]] = {}
        for (outcome, entrance), count in Counter(
            (it.outcome, it.entrance) for it in self.attempts
        ).items():
            found.setdefault(outcome, {})[entrance] = count
        return {it: found[it] for it in Outcome if it in found}

    def openings(self) -> tuple[Attempt, ...]:
        """Return the attempts that show an open relay."""
        return tuple(it for it in self.attempts if it.outcome.is_open)


async def audit(
    entrances: Iterable[Entrance],
    tricks: Sequence[Trick],
    *,
    canary: Canary | None = None,
    stop_at_first: bool = False,
    canary_seconds: float = CANARY_SECONDS,
) -> Audit:
    """Try all tricks at all entrances.

    Args:
        entrances: Where.
        tricks: What.
        canary: Sees what arrives at the foreign domain; None where nobody looks there.
        stop_at_first: End with the first attempt that shows an open relay.
        canary_seconds: How long the last message may be under way.

    Raises:
        LineLostError: If an entrance cannot be reached at all.
    """
    attempts: list[Attempt] = []
    for entrance in entrances:
        async for attempt in _at(entrance, entrance.tricks or tricks):
            attempts.append(attempt)
            if stop_at_first and attempt.outcome.is_open:
                return await _judge(attempts, canary, canary_seconds)
    return await _judge(attempts, canary, canary_seconds)


async def _at(entrance: Entrance, tricks: Sequence[Trick]) -> AsyncIterator[Attempt]:
    """Try tricks one after another, each on a line of its own."""
    trier = Trier(entrance.places)
    for trick in tricks:
        line = await entrance.open()
        try:
            attempt = await trier.attempt(line, trick, entrance.name)
        finally:
            await line.close()
        yield _as_known(attempt, entrance)


def _as_known(attempt: Attempt, entrance: Entrance) -> Attempt:
    """Where one can see inside, what was accepted is judged by where it goes."""
    away = entrance.led_away(attempt.token) if attempt.outcome.is_accepted else None
    if away is None:
        return attempt
    return replace(attempt, outcome=Outcome.ACCEPTED_FOR_RELAY if away else Outcome.ACCEPTED_LOCAL)


async def _judge(attempts: list[Attempt], canary: Canary | None, seconds: float) -> Audit:
    if canary is not None:
        accepted = {it.token for it in attempts if it.outcome.is_accepted}
        away = {it.token for it in attempts if it.outcome is Outcome.ACCEPTED_FOR_RELAY}
        await canary.wait_for(away or accepted, seconds if away else min(seconds, 2.0))
        attempts = [
            replace(it, outcome=Outcome.DELIVERED) if it.token in canary.arrived else it
            for it in attempts
        ]
    return Audit(tuple(attempts), _verdict(attempts), canary is not None)


def _verdict(attempts: list[Attempt]) -> Verdict:
    if any(it.outcome.is_open for it in attempts):
        return Verdict.OPEN
    unknown = sum(it.outcome in _UNKNOWN and it.approach not in _CUT_OFF for it in attempts)
    return Verdict.UNDECIDED if unknown > len(attempts) * UNKNOWN_SHARE_MAX else Verdict.CLOSED
