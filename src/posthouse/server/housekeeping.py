"""What is done now and then while the server runs."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from posthouse.spool.bulk import bouncing
from posthouse.spool.records import Filters, StorageError
from posthouse.spool.spool import Spool
from posthouse.telemetry.events import BugMet, DiskFull, LogEvent, Noted, StoreFailed

JOURNEYS_KEPT: Final = timedelta(days=30)
HELD_TOO_LONG: Final = "it was held, and nobody released it in time"


class Chore(Struct, frozen=True):
    """Something to be done again and again.

    Attributes:
        seconds: Between two times.
        work: Does it.
        blocks: It waits for a disk and belongs into a thread.
    """

    seconds: float
    work: Callable[[], object]
    blocks: bool = False


class Housekeeping:
    """Does chores between `start` and `stop`; none of them can end the others."""

    def __init__(self, chores: tuple[Chore, ...], log: Callable[[LogEvent], None]) -> None:
        self._chores = chores
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._again_and_again(it)) for it in self._chores]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _again_and_again(self, chore: Chore) -> None:
        while True:
            await asyncio.sleep(chore.seconds)
            try:
                if chore.blocks:
                    await asyncio.to_thread(chore.work)
                else:
                    chore.work()
            except StorageError as problem:
                self._log(StoreFailed("spool", str(problem)))
            except Exception as problem:  # noqa: BLE001 - told, and tried again
                self._log(BugMet("housekeeping", repr(problem)))


class StorageWatch:
    """Tells the log, once, that the spool takes no mail, and when it does again."""

    def __init__(self, spool: Spool, log: Callable[[LogEvent], None]) -> None:
        self._spool = spool
        self._log = log
        self._told = ""

    def look(self) -> None:
        """Look, and tell what is new."""
        problem = self._spool.trouble or self._spool.shortage
        kind = problem.kind if problem is not None else ""
        if kind == self._told:
            return
        self._told = kind
        if problem is None:
            self._log(Noted("there is room for mail again"))
        elif problem.kind == "full":
            self._log(DiskFull(str(self._spool.path.parent), str(problem)))
        else:
            if self._spool.trouble is not None:
                self._spool.fail(problem)  # other workers hear of it, where nobody brings mail too
            self._log(StoreFailed("spool", str(problem)))


def tidy_spool(spool: Spool, held_before: datetime) -> None:
    """Return held mail that nobody released to its senders, and forget old journeys. Blocks."""
    spool.change_all(Filters(held=True, accepted_before=held_before), bouncing(HELD_TOO_LONG))
    spool.prune(JOURNEYS_KEPT)
