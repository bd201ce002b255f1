"""What is done now and then while the server runs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from posthouse.server.tls import CertificateError
from posthouse.spool.records import Filters, StorageError
from posthouse.telemetry.events import BugMet, Noted, StoreFailed

if TYPE_CHECKING:
    from posthouse.server.assembly import Server

GRANTS_SECONDS: Final = 1.0
CERTIFICATE_SECONDS: Final = 60.0
HELD_SECONDS: Final = 3600.0
JOURNEYS_KEPT: Final = timedelta(days=30)
HELD_TOO_LONG: Final = "it was held, and nobody released it in time"


class Housekeeping:
    """Small tasks between `start` and `stop`; none of them can end the others."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        for seconds, work in (
            (GRANTS_SECONDS, self._look_at_grants),
            (CERTIFICATE_SECONDS, self._look_at_certificate),
            (HELD_SECONDS, self._return_held_mail),
        ):
            self._tasks.append(asyncio.create_task(self._again_and_again(seconds, work)))

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _again_and_again(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except StorageError as problem:
                self._server.log(StoreFailed("spool", str(problem)))
            except Exception as problem:  # noqa: BLE001 - told, and tried again
                self._server.log(BugMet("housekeeping", repr(problem)))

    async def _look_at_grants(self) -> None:
        self._server.use_changed_grants()

    async def _look_at_certificate(self) -> None:
        try:
            self._server.renew_certificate()
        except CertificateError as problem:
            self._server.log(Noted(f"the changed certificate is not used: {problem}"))

    async def _return_held_mail(self) -> None:
        """Held mail that nobody released goes back to its sender; it never vanishes."""
        spool, keep = self._server.stores.spool, self._server.configuration.storage.keep.held_mail
        before = self._server.now() - keep

        def work() -> None:
            for message in spool.list_messages(Filters(held=True, accepted_before=before)):
                spool.bounce(message.id, HELD_TOO_LONG)
            spool.prune(JOURNEYS_KEPT)

        await asyncio.to_thread(work)
