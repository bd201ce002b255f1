"""One attempt, from the work to what the spool and the log are told."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from posthouse.delivery.bounce import Reporter, Settlement
from posthouse.delivery.content import Content
from posthouse.delivery.gathering import Gathering
from posthouse.delivery.outcomes import Deferred, Expanded, Failed, Outcome
from posthouse.delivery.outcomes import Delivered as Done
from posthouse.delivery.retry import SPREAD_MAX, Patience
from posthouse.delivery.routes import Capture, LocalMailboxes, Route
from posthouse.delivery.tally import Ended, Tally, tally
from posthouse.mail.envelope import Envelope
from posthouse.spool.records import Again, Postponed, StorageError, Work
from posthouse.spool.spool import Spool
from posthouse.telemetry import events
from posthouse.telemetry.events import LogEvent

Log = Callable[[LogEvent], None]
TOO_EARLY: Final = "it waits for the release that the sender set (FUTURERELEASE)"
TOO_LATE: Final = "the deadline that the sender set (DELIVERBY) is over"


class Deliverer(Protocol):
    """Brings mail into mailboxes of ours."""

    async def deliver(self, work: Work, content: Content) -> dict[int, Outcome]:
        """Try once; by place in the envelope."""
        ...


class Carrier(Protocol):
    """Brings mail to other servers.

    One that stands before another hands on what it has nothing to do for, and is out of the way.
    """

    def deliver(self, route: Route, work: Work, content: Content) -> Awaitable[dict[int, Outcome]]:
        """Try once; by place in the envelope."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...


class Ways(Struct, frozen=True):
    """All ways out; `server.assembly` builds them."""

    local: Deliverer
    capture: Deliverer
    transport: Carrier


class Attempts:
    """Makes attempts and settles what came of them."""

    def __init__(  # noqa: PLR0913 - each is a thing of its own, named at the only call
        self,
        spool: Spool,
        ways: Ways,
        reporter: Reporter,
        patience: Patience,
        *,
        now: Callable[[], datetime],
        uniform: Callable[[float, float], float],
        log: Log,
    ) -> None:
        """Take what is needed; `uniform` is `random.Random().uniform` or stands for it."""
        self._spool = spool
        self._ways = ways
        self._reporter = reporter
        self._patience = patience
        self._now = now
        self._uniform = uniform
        self._log = log
        self._gathering = Gathering(self._settle)

    def expect(self, work: Work) -> None:
        """A work was taken from the spool: `run`, `settle` or `give_back` follows."""
        self._gathering.expect(work.id)

    def give_back(self, work: Work) -> None:
        """A work was not tried; the spool gives it again."""
        self._spool.give_back(work)
        self._gathering.give_back(work.id)

    async def postpone(self, destination: str, until: datetime) -> None:
        """Put off all that is due there, but those whose sender is to be told before."""
        patience = self._patience
        what = Postponed(destination, until, patience.tell_sender_after, patience.give_up_after)
        try:
            await asyncio.to_thread(self._spool.postpone, what)
        except StorageError as error:
            self._log(events.StoreFailed("spool", str(error)))

    async def end(self) -> None:
        """Settle what still waits for others of its message."""
        await self._gathering.end_all()

    async def run(self, route: Route, work: Work) -> tuple[list[Outcome], datetime]:
        """Try once, settle, and return the outcomes and when they were known."""
        content = Content(self._spool, work.id, work.octets)
        try:
            refusal = self._not_tried(work)
            if refusal is None:
                outcomes = await self._on_its_way(route, work, content)
            else:
                outcomes = dict.fromkeys(work.indices, refusal)
        except StorageError as error:
            self._log(events.StoreFailed("spool", str(error)))
            unreadable = Deferred("4.3.0", "the spool cannot be read at the moment")
            outcomes = dict.fromkeys(work.indices, unreadable)
        except Exception as error:  # noqa: BLE001 - one message must not stop all others
            where = f"delivering {work.id} to {work.destination}"
            self._log(events.BugMet(where, repr(error)))
            bug = Deferred("4.3.0", "an error in this server; its administrators can see it")
            outcomes = dict.fromkeys(work.indices, bug)
        return list(outcomes.values()), await self.settle(work, outcomes, content)

    async def settle(
        self, work: Work, outcomes: dict[int, Outcome], content: Content | None = None
    ) -> datetime:
        """Record the outcomes, with the reports and copies they give rise to; return the time."""
        content = content or Content(self._spool, work.id, work.octets)
        spread, now = self._uniform(-SPREAD_MAX, SPREAD_MAX), self._now()
        ended = tally(work, outcomes, now, self._patience, spread=spread)
        await self._gathering.end(ended, content)
        return now

    async def _settle(self, ended: Tally, content: Content) -> None:
        work = ended.work
        if content.is_small:
            settlement = self._reporter.settlement(ended, content)
        else:
            settlement = await asyncio.to_thread(self._reporter.settlement, ended, content)
        self._spool.settle(work.id, settlement.tally.results, offspring=settlement.offspring)
        if settlement.hold:
            await asyncio.to_thread(self._spool.hold, work.id, settlement.hold)
        for event in told(settlement):
            self._log(event)

    def _not_tried(self, work: Work) -> Outcome | None:
        """Why a message is not tried now; None if it is."""
        if work.bounce:
            return Failed("5.7.0", work.bounce)
        envelope = work.envelope
        if envelope.deliver_by is None and envelope.release is None:
            return None
        return self._untimely(envelope)

    def _untimely(self, envelope: Envelope) -> Outcome | None:
        """Whether its sender said until when, or from when on."""
        deadline, release, now = envelope.deliver_by, envelope.release, self._now()
        if deadline is not None and envelope.returned_when_late and now >= deadline:
            return Failed("5.4.7", TOO_LATE)
        if release is not None and now < release:  # somebody wanted to hurry it
            return Deferred("4.2.0", TOO_EARLY)
        return None

    def _on_its_way(
        self, route: Route, work: Work, content: Content
    ) -> Awaitable[dict[int, Outcome]]:
        match route.via:
            case LocalMailboxes():
                return self._ways.local.deliver(work, content)
            case Capture():
                return self._ways.capture.deliver(work, content)
            case _:
                return self._ways.transport.deliver(route, work, content)


def told(settlement: Settlement) -> list[LogEvent]:
    """Return what the log says of an attempt."""
    work, now = settlement.tally.work, settlement.tally.now
    seconds = (now - work.envelope.accepted).total_seconds()
    every = [_about(one, work.id, seconds) for one in settlement.tally.ended]
    every += [
        events.Bounced(work.id, it.report, it.reverse_path, it.kind) for it in settlement.sent
    ]
    if settlement.hold:
        path = str(work.envelope.reverse_path)
        every.append(events.Held(work.id, "", settlement.hold, path))
    return every


def _about(one: Ended, message: str, seconds: float) -> LogEvent:
    to, tries = str(one.recipient.mailbox), one.state.attempts + 1
    outcome, result = one.outcome, one.result
    match outcome:
        case Done():
            hop = result.host or "mailbox"
            tls = result.tls
            return events.Delivered(message, to, hop, result.reply, tries, seconds, tls)
        case Expanded():
            return events.Delivered(message, to, "alias", result.reply, tries, seconds)
        case Deferred() if isinstance(result, Again):
            due = result.due.isoformat()
            host, tls = result.host, result.tls
            return events.Deferred(message, to, host, result.reply, tries, due, tls)
        case _:
            return events.Failed(message, to, result.host, result.reply, tries, result.tls)
