"""The files of the storage directory, opened in order and closed in the other."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

from posthouse.accounts.sign_ins import PopSignIns
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.usage import UsageCounters
from posthouse.config.schema import Configuration, PopWindow
from posthouse.server.troubles import StartError
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.records import StorageError
from posthouse.telemetry.cases import CaseStore
from posthouse.telemetry.database import StoreError

TOLD_AFTER_WINDOW = timedelta(days=1)  # so long an ended window is told from a stranger


class Stores:
    """Everything that keeps something.

    Attributes:
        directory: Of the storage.
        accounts: Who has an account.
        pop_sign_ins: Who fetched mail lately.
        usage: Who sent how much lately.
        cases: Recorded decisions.
        spool: What was accepted and is not settled.
    """

    def __init__(
        self, directory: Path, configuration: Configuration, now: Callable[[], datetime]
    ) -> None:
        """Open all of them.

        Raises:
            StartError: If one cannot be opened; the others are closed again.
        """
        self.directory = directory
        keep = longest_window(configuration) + TOLD_AFTER_WINDOW
        with ExitStack() as opened:
            try:
                self.accounts = SqliteAccountStore(directory / "accounts.db", now=now)
                opened.callback(self.accounts.close)
                self.pop_sign_ins = PopSignIns(directory / "sign-ins.db", keep=keep, now=now)
                opened.callback(self.pop_sign_ins.close)
                self.usage = UsageCounters(directory / "usage.db", now=now)
                opened.callback(self.usage.close)
                self.cases = CaseStore(
                    directory / "cases.db", keep=configuration.storage.keep.decisions, now=now
                )
                opened.callback(self.cases.close)
                (directory / "spool").mkdir(mode=0o700, exist_ok=True)
                self.spool = JournaledSpool(directory / "spool", now=now)
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


def longest_window(configuration: Configuration) -> timedelta:
    """Return the longest POP window of all doors."""
    windows = [door.window for door in configuration.may_relay if isinstance(door, PopWindow)]
    return max(windows, default=timedelta(0))
