"""Sending the reports about TLS, once a day, to domains that ask for them (RFC 8460 §5)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from urllib.parse import urlsplit

from posthouse.delivery.tls_report import (
    MEDIA_TYPE,
    Submitter,
    mailbox_in,
    message_of,
    places_in,
    report_id_of,
    report_of,
)
from posthouse.delivery.tls_results import Day, TlsResults
from posthouse.dns.answers import Answer, TemporaryFailure, TextResult
from posthouse.mail.address import NULL, Mailbox
from posthouse.mail.envelope import Envelope, Notify, Recipient
from posthouse.spool.records import StorageError
from posthouse.telemetry import events
from posthouse.telemetry.events import LogEvent
from posthouse.wire.https import HttpsError, Page

LOOK_SECONDS: Final = 60.0
SETTLING: Final = timedelta(minutes=10)
"""After midnight, before the first reports: sessions of the day before may still end."""
RETRY: Final = timedelta(hours=1)

Hand = Callable[[str, Envelope, bytes], Awaitable[None]]
"""Gives a message to the spool: id, envelope, content. Raises StorageError."""


class Texts(Protocol):
    """Looks TXT records up."""

    async def txt(self, name: str) -> TextResult:
        """Return the text records of a name."""
        ...


class Poster(Protocol):
    """Sends bodies to web servers."""

    async def post(
        self, host: str, path: str, body: bytes, media_type: str, *, port: int = 443
    ) -> Page:
        """Raises HttpsError."""
        ...


class TlsReporter:
    """Reports what was counted.

    Attributes:
        submitter: Who we are; replaced by a reload.
    """

    def __init__(  # noqa: PLR0913 - each is a thing of its own, named at the only call
        self,
        results: TlsResults,
        resolver: Texts,
        web: Poster,
        hand: Hand,
        submitter: Submitter,
        *,
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        log: Callable[[LogEvent], None],
    ) -> None:
        self.submitter = submitter
        self._results = results
        self._resolver = resolver
        self._web = web
        self._hand = hand
        self._new_id = new_id
        self._now = now
        self._log = log
        self._tried: datetime | None = None

    async def run(self) -> None:
        """Save the counts every minute and report those of past days, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.save()
                await self.report()
            except Exception as problem:  # noqa: BLE001 - told, and tried again
                self._log(events.BugMet("reports about TLS", repr(problem)))

    async def save(self) -> None:
        """Save the counts."""
        octets = self._results.octets_to_save()
        if octets is None:
            return
        try:
            await asyncio.to_thread(self._results.save, octets)
        except OSError as problem:
            self._log(events.StoreFailed("tls reports", str(problem)))

    async def report(self) -> None:
        """Report the days that are over; those that could not be are tried again in an hour."""
        now = self._now().astimezone(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if now - midnight < SETTLING or (self._tried and now - self._tried < RETRY):
            return
        days = self._results.finished()
        if not days:
            return
        self._tried = now
        for day in days:
            if await self._is_done(day):
                self._results.forget(day)
        await self.save()

    async def _is_done(self, day: Day) -> bool:
        """Whether a day is reported, or nobody wants to know."""
        found = await self._resolver.txt(f"_smtp._tls.{day.domain}")
        if isinstance(found, TemporaryFailure):
            return False
        places = places_in(found.values) if isinstance(found, Answer) else ()
        sent = [await self._is_sent(day, place) for place in places]
        return any(sent) or not places

    async def _is_sent(self, day: Day, place: str) -> bool:
        try:
            if place.startswith("mailto:"):
                to = mailbox_in(place)
                if to is None or not to.is_ascii:
                    return False
                await self._mail(day, to)
            else:
                await self._post(day, place)
        except (HttpsError, StorageError, ValueError) as problem:
            self._log(events.Noted(f"no report about TLS for {day.domain} to {place}: {problem}"))
            return False
        self._log(events.Noted(f"report about TLS for {day.domain} of {day.day} to {place}"))
        return True

    async def _mail(self, day: Day, to: Mailbox) -> None:
        unique, now = self._new_id(), self._now()
        content = message_of(day, to, self.submitter, unique, now)
        recipient = Recipient(to, frozenset({Notify.NEVER}))
        await self._hand(unique, Envelope(NULL, (recipient,), now), content)

    async def _post(self, day: Day, place: str) -> None:
        parts = urlsplit(place)
        octets = report_of(day, self.submitter, report_id_of(day, self.submitter))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host, port = parts.hostname or "", parts.port or 443
        await self._web.post(host, path, octets, MEDIA_TYPE, port=port)
