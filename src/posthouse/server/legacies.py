"""What workers left that are no more: their spools are taken over, their old cases forgotten."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from posthouse.server.crew import left_behind, numbered
from posthouse.server.stores import Stores
from posthouse.spool.adoption import adopt
from posthouse.spool.records import StorageError
from posthouse.telemetry.events import LogEvent, Noted, StoreFailed


class Legacies:
    """Takes over, beside everything else."""

    def __init__(
        self, stores: Stores, now: Callable[[], datetime], log: Callable[[LogEvent], None]
    ) -> None:
        self._stores = stores
        self._now = now
        self._log = log
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Take over the spools of workers that the configuration does not have any more."""
        if self._task is not None and not self._task.done():
            return
        count = self._stores.worker.count
        numbers = [number for number, _ in left_behind(self._stores.directory / "spool", count)]
        if numbers:
            self._task = asyncio.create_task(self._take_over_all(numbers))

    async def take_over(self, number: int) -> int:
        """Take over the spool of a worker that is not running; how many messages.

        Raises:
            StorageError: If it cannot be.
        """
        left = numbered(self._stores.directory / "spool", number)
        if number == self._stores.worker.number or not left.is_dir():
            return 0
        count = await asyncio.to_thread(
            adopt, self._stores.spool, left, self._now, goes_on=lambda: not self._stopping
        )
        self._log(Noted(f"{left} was taken over: {count} messages"))
        return count

    async def stop(self) -> None:
        """Leave the rest for another time."""
        self._stopping = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def forget_cases(self) -> None:
        """Remove files of cases that nobody writes any more and that are too old. Blocks."""
        before = (self._now() - self._stores.cases.keep).timestamp()
        first = self._stores.directory / "cases.db"
        for _, path in left_behind(first, self._stores.worker.count):
            if path.stat().st_mtime < before:
                for end in ("", "-wal", "-shm"):
                    path.with_name(path.name + end).unlink(missing_ok=True)

    async def _take_over_all(self, numbers: list[int]) -> None:
        for number in numbers:
            try:
                await self.take_over(number)
            except StorageError as problem:
                self._log(StoreFailed("spool", str(problem)))
