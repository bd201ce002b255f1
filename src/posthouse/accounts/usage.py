"""Who sent how much lately: what the budgets of the policy are compared with."""

import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from posthouse.accounts.saving import Saver
from posthouse.accounts.windows import Window
from posthouse.mail.address import Mailbox
from posthouse.policy.facts import Address, Usage
from posthouse.policy.networks import address_text, fold
from posthouse.policy.rules import Budget, Limits
from posthouse.telemetry.database import (
    Kind,
    StoreError,
    explained,
    open_for_reading,
    open_for_writing,
    transaction,
)

KEPT: Final = timedelta(days=31)  # the longest period a budget can have
RECIPIENTS_KEPT: Final = timedelta(days=400)  # then a recipient is new again
SUBJECTS_MAX: Final = 50_000  # accounts and addresses counted; the one longest quiet goes first
KNOWN_MAX: Final = 100_000  # recipients in memory, of all accounts

_FIRST: Final = """
CREATE TABLE counts (
    counted TEXT NOT NULL,
    subject TEXT NOT NULL,
    at REAL NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (counted, subject, at)
) WITHOUT ROWID;

CREATE TABLE known_recipients (
    account TEXT NOT NULL,
    recipient BLOB NOT NULL,
    last_written REAL NOT NULL,
    PRIMARY KEY (account, recipient)
) WITHOUT ROWID;
"""

USAGE: Final = Kind(
    application_id=0x50487573,  # "PHus"
    upgrades=(_FIRST,),
    wal=True,
    remedy="move it away: counting begins anew",
)


class _Counted(Enum):
    ACCOUNT = "account"
    ACCOUNT_NEW = "account-new"
    ADDRESS = "address"


_Subject = tuple[_Counted, str]
_Known = tuple[str, bytes]


class UsageCounters:
    """Counts recipients by account, or by address for those without one. Survives a restart."""

    def __init__(
        self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Read the file, making it if it is not there.

        Raises:
            StoreError: If it cannot be opened or is not ours.
        """
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._windows: OrderedDict[_Subject, Window] = OrderedDict()
        self._known: dict[_Known, bool] = {}
        self._unsaved: set[_Subject] = set()
        self._unsaved_known: dict[_Known, float] = {}
        self._writer = open_for_writing(path, USAGE)
        self._writer.execute("PRAGMA synchronous = NORMAL")
        self._reader = open_for_reading(path, USAGE)
        self._forgot = now() - timedelta(days=1)
        self._read()
        self._saver = Saver("usage", self._save)

    @property
    def problem(self) -> str:
        """Why the file cannot be written at the moment; "" if it can."""
        return self._saver.problem

    def counts(
        self,
        account: str,
        address: Address,
        recipients: Sequence[Mailbox],
        limits: Limits,
        at: datetime,
    ) -> Usage:
        """Return what counts against the budgets now.

        Args:
            account: Name of the recognised account; "" without one.
            address: Of the client.
            recipients: Of this transaction so far, accepted and not yet recorded.
            limits: Whose budgets are asked; a budget that is None is not counted.
            at: The moment.
        """
        with self._lock:
            if not account:
                key = (_Counted.ADDRESS, address_text(fold(address)))
                lately = self._total(key, limits.address_recipients, at)
                return Usage(address_recipients=lately + len(recipients))
            new = 0
            if limits.account_new_recipients is not None:
                new = self._total(
                    (_Counted.ACCOUNT_NEW, account), limits.account_new_recipients, at
                )
                new += sum(not self._is_known(key) for key in _keys(account, recipients))
            lately = self._total((_Counted.ACCOUNT, account), limits.account_recipients, at)
            return Usage(account_recipients=lately + len(recipients), account_new_recipients=new)

    def record(
        self, account: str, address: Address, recipients: Sequence[Mailbox], at: datetime
    ) -> None:
        """Count the recipients of an accepted message. Never waits for the disk, never raises."""
        with self._lock:
            if not account:
                self._add((_Counted.ADDRESS, address_text(fold(address))), len(recipients), at)
            else:
                self._add((_Counted.ACCOUNT, account), len(recipients), at)
                new = 0
                for key in _keys(account, recipients):
                    new += not self._is_known(key)
                    self._learn(key)
                    if len(self._unsaved_known) < KNOWN_MAX:
                        self._unsaved_known[key] = at.timestamp()
                if new:
                    self._add((_Counted.ACCOUNT_NEW, account), new, at)
        self._saver.changed()

    def close(self) -> None:
        """Save what is not saved and let go of the file."""
        self._saver.close()
        self._reader.close()
        self._writer.close()

    def _total(self, key: _Subject, budget: Budget | None, at: datetime) -> int:
        window = self._windows.get(key)
        if window is None or budget is None:
            return 0
        return window.total((at - budget.period).timestamp())

    def _add(self, key: _Subject, count: int, at: datetime) -> None:
        self._windows.setdefault(key, Window()).add(at.timestamp(), count)
        self._windows.move_to_end(key)
        self._unsaved.add(key)
        if len(self._windows) > SUBJECTS_MAX:
            gone, _ = self._windows.popitem(last=False)
            self._unsaved.add(gone)

    def _is_known(self, key: _Known) -> bool:
        """Whether the account wrote to the recipient before; no, if that cannot be read."""
        known = self._known.get(key)
        if known is None:
            asked = "SELECT 1 FROM known_recipients WHERE account = ? AND recipient = ?"
            known = False
            with suppress(sqlite3.Error):
                known = self._reader.execute(asked, key).fetchone() is not None
            if known:
                self._learn(key)
        return known

    def _learn(self, key: _Known) -> None:
        if len(self._known) >= KNOWN_MAX:
            self._known = dict.fromkeys(self._unsaved_known, True)
        self._known[key] = True

    def _read(self) -> None:
        since = (self._now() - KEPT).timestamp()
        with explained(self._path, USAGE):
            rows = self._writer.execute(
                "SELECT counted, subject, at, count FROM counts WHERE at > ? ORDER BY at", (since,)
            )
            for counted, subject, at, count in rows:
                key = (_Counted(counted), subject)
                self._windows.setdefault(key, Window()).entries.append((at, count))
                self._windows.move_to_end(key)

    def _save(self) -> None:
        now = self._now()
        with self._lock:
            unsaved, self._unsaved = self._unsaved, set()
            known, self._unsaved_known = self._unsaved_known, {}
            windows = {key: self._entries(key, now) for key in unsaved}
        try:
            with explained(self._path, USAGE), transaction(self._writer):
                self._write(windows, known)
                if now - self._forgot >= timedelta(hours=1):
                    self._forgot = now
                    self._forget(now)
        except StoreError:
            with self._lock:
                self._unsaved |= unsaved
                self._unsaved_known = known | self._unsaved_known
            raise

    def _entries(self, key: _Subject, now: datetime) -> list[tuple[float, int]]:
        window = self._windows.get(key)
        if window is None:
            return []
        window.forget((now - KEPT).timestamp())
        return list(window.entries)

    def _write(
        self, windows: dict[_Subject, list[tuple[float, int]]], known: dict[_Known, float]
    ) -> None:
        for (counted, subject), entries in windows.items():
            self._writer.execute(
                "DELETE FROM counts WHERE counted = ? AND subject = ?", (counted.value, subject)
            )
            self._writer.executemany(
                "INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)",
                [(counted.value, subject, at, count) for at, count in entries],
            )
        self._writer.executemany(
            "INSERT OR REPLACE INTO known_recipients VALUES (?, ?, ?)",
            [(*key, at) for key, at in known.items()],
        )

    def _forget(self, now: datetime) -> None:
        before = (now - RECIPIENTS_KEPT).timestamp()
        self._writer.execute("DELETE FROM known_recipients WHERE last_written < ?", (before,))
        self._writer.execute("DELETE FROM counts WHERE at < ?", ((now - KEPT).timestamp(),))


def _keys(account: str, recipients: Sequence[Mailbox]) -> set[_Known]:
    """Return the different recipients as they are remembered: not their addresses."""
    return {
        (
            account,
            hashlib.blake2b(str(it.folded).encode("utf-8", "replace"), digest_size=8).digest(),
        )
        for it in recipients
    }
