"""The files of the storage directory, opened in order and closed in the other."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from posthouse.accounts.sign_ins import PopSignIns
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.usage import UsageCounters
from posthouse.config.schema import Configuration, PopWindow
from posthouse.server.crew import ALONE, Worker
from posthouse.server.crew_spool import CrewSpool
from posthouse.server.troubles import StartError
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.records import StorageError
from posthouse.telemetry.cases import CaseStore
from posthouse.telemetry.database import StoreError

LOCKED_SECONDS: Final = 5.0
TOLD_AFTER_WINDOW = timedelta(days=1)  # so long an ended window is told from a stranger


class Stores:
    """Everything that keeps something.

    Attributes:
        directory: Of the storage.
        worker: Whose they are: spool and cases are its own, the others are shared.
        accounts: Who has an account.
        pop_sign_ins: Who fetched mail lately.
        usage: Who sent how much lately.
        cases: Recorded decisions.
        spool: What was accepted and is not settled.
    """

    def __init__(
        self,
        directory: Path,
        configuration: Configuration,
        now: Callable[[], datetime],
        worker: Worker = ALONE,
    ) -> None:
        """Open all of them.

        Raises:
            StartError: If one cannot be opened; the others are closed again.
        """
        self.directory = directory
        self.worker = worker
        keep = longest_window(configuration) + TOLD_AFTER_WINDOW
        with ExitStack() as opened:
            try:
                self.accounts = SqliteAccountStore(directory / "accounts.db", now=now)
                opened.callback(self.accounts.close)
                self.pop_sign_ins = PopSignIns(
                    directory / "sign-ins.db",
                    keep=keep,
                    now=now,
                    board=worker.board,
                    saves=worker.is_first,
                )
                opened.callback(self.pop_sign_ins.close)
                self.usage = UsageCounters(
                    directory / "usage.db", now=now, board=worker.board, saves=worker.is_first
                )
                opened.callback(self.usage.close)
                cases = worker.own(directory / "cases.db")
                self.cases = CaseStore(cases, keep=configuration.storage.keep.decisions, now=now)
                opened.callback(self.cases.close)
                self.spool = _open_spool(worker, directory, now)
                opened.callback(self.spool.close)
            except (StoreError, StorageError, OSError) as problem:
                raise StartError(str(problem)) from problem
            self._opened = opened.pop_all()
        self.use(configuration)

    def use(self, configuration: Configuration) -> None:
        """Take what a configuration says about accounts."""
        self.accounts.use_catch_all(
            {name: it.catch_all for name, it in configuration.domains.items() if it.catch_all}
        )
        self.pop_sign_ins.keep = longest_window(configuration) + TOLD_AFTER_WINDOW

    def close(self) -> None:
        """Write what waits and close all files. Blocks."""
        self._opened.close()


def _open_spool(worker: Worker, directory: Path, now: Callable[[], datetime]) -> JournaledSpool:
    """Open the spool of a worker; its predecessor may be ending just now."""
    path = worker.own(directory / "spool")
    path.mkdir(mode=0o700, exist_ok=True)
    until = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            if worker.board is None:
                return JournaledSpool(path, now=now)
            return CrewSpool(path, now=now, place=worker.place, board=worker.board)
        except StorageError as problem:
            if problem.kind != "locked" or worker.count == 1 or time.monotonic() > until:
                raise
            time.sleep(LOCKED_SECONDS / 50)


def longest_window(configuration: Configuration) -> timedelta:
    """Return the longest POP window of all doors."""
    windows = [door.window for door in configuration.may_relay if isinstance(door, PopWindow)]
    return max(windows, default=timedelta(0))
