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

from posthouse.accounts.notices import Board, Notice
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

# Up to where the notices of other workers are in the counts: who begins again reads on from there.
_SECOND: Final = """
CREATE TABLE heard (run TEXT NOT NULL, position INTEGER NOT NULL);
"""

USAGE: Final = Kind(
    application_id=0x50487573,  # "PHus"
    upgrades=(_FIRST, _SECOND),
    wal=True,
    remedy="move it away: counting begins anew",
)


class _Counted(Enum):
    ACCOUNT = "account"
    ACCOUNT_NEW = "account-new"
    ADDRESS = "address"


_Subject = tuple[_Counted, str]
_Known = tuple[str, bytes]


class Sent(Notice, frozen=True):
    """Another worker accepted a message.

    Attributes:
        account: Whose; "" for none.
        address: The client's.
        count: Its recipients.
        new: Of these, new to the account.
        known: The recipients, as they are remembered.
        at: When, in seconds since 1970.
    """

    account: str
    address: str
    count: int
    new: int
    known: tuple[bytes, ...]
    at: float


def make_usage(path: Path) -> None:
    """Have the file there, as we know it, for workers that only read it.

    Raises:
        StoreError: If it cannot be opened or is not ours.
    """
    open_for_writing(path, USAGE).close()


class UsageCounters:
    """Counts recipients by account, or by address for those without one. Survives a restart."""

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        board: Board | None = None,
        saves: bool = True,
    ) -> None:
        """Read the file, making it if it is not there.

        Args:
            path: The file.
            now: The clock.
            board: Where other workers tell what they accepted, and are told.
            saves: Whether this worker writes the file (one does, it exists for the others).

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
        self._board = board
        self._heard_until = 0
        self._writer: sqlite3.Connection | None = None
        if saves:
            self._writer = open_for_writing(path, USAGE)
            self._writer.execute("PRAGMA synchronous = NORMAL")
        self._reader = open_for_reading(path, USAGE)
        self._forgot = now() - timedelta(days=1)
        self._read()
        self._saver = Saver("usage", self._save)
        if board is not None:
            board.hear(Sent, self._hear)

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
        if self._board is not None:
            self._board.pull()
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
        if self._board is not None:
            self._board.pull()  # a recipient may be known since a moment
        known = tuple(digest for _, digest in _keys(account, recipients)) if account else ()
        with self._lock:
            new = sum(not self._is_known((account, digest)) for digest in known)
            sent = Sent(
                account, address_text(fold(address)), len(recipients), new, known, at.timestamp()
            )
            self._count(sent)
        if self._board is not None:
            self._board.post(sent)

    def _count(self, sent: Sent) -> None:
        if not sent.account:
            self._add((_Counted.ADDRESS, sent.address), sent.count, sent.at)
        else:
            self._add((_Counted.ACCOUNT, sent.account), sent.count, sent.at)
            for digest in sent.known:
                key = (sent.account, digest)
                self._learn(key)
                if len(self._unsaved_known) < KNOWN_MAX:
                    self._unsaved_known[key] = sent.at
            if sent.new:
                self._add((_Counted.ACCOUNT_NEW, sent.account), sent.new, sent.at)
        self._saver.changed()

    def _hear(self, _: int, sent: Sent) -> None:
        """Count what another worker accepted, unless it was in the file already."""
        with self._lock:
            if self._board is None or self._board.position > self._heard_until:
                self._count(sent)

    def close(self) -> None:
        """Save what is not saved and let go of the file."""
        self._saver.close()
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    def _total(self, key: _Subject, budget: Budget | None, at: datetime) -> int:
        window = self._windows.get(key)
        if window is None or budget is None:
            return 0
        return window.total((at - budget.period).timestamp(), at.timestamp())

    def _add(self, key: _Subject, count: int, at: float) -> None:
        self._windows.setdefault(key, Window()).add(at, count)
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
            self._reader.execute("BEGIN")
            rows = self._reader.execute(
                "SELECT counted, subject, at, count FROM counts WHERE at > ? ORDER BY at", (since,)
            )
            for counted, subject, at, count in rows:
                key = (_Counted(counted), subject)
                self._windows.setdefault(key, Window()).entries.append((at, count))
                self._windows.move_to_end(key)
            heard = self._reader.execute("SELECT run, position FROM heard").fetchone()
            self._reader.execute("COMMIT")
        if self._board is not None and heard is not None and heard[0] == self._board.run:
            self._heard_until = heard[1]

    def _save(self) -> None:
        now = self._now()
        with self._lock:
            board = self._board
            heard = None if board is None else (board.run, board.position)
            unsaved, self._unsaved = self._unsaved, set()
            known, self._unsaved_known = self._unsaved_known, {}
            windows = {key: self._entries(key, now) for key in unsaved}
        if self._writer is None:
            return  # somebody else saves
        try:
            with explained(self._path, USAGE), transaction(self._writer):
                _write(self._writer, windows, known)
                if heard is not None:
                    self._writer.execute("DELETE FROM heard")
                    self._writer.execute("INSERT INTO heard VALUES (?, ?)", heard)
                if now - self._forgot >= timedelta(hours=1):
                    self._forgot = now
                    _forget(self._writer, now)
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
    writer: sqlite3.Connection,
    windows: dict[_Subject, list[tuple[float, int]]],
    known: dict[_Known, float],
) -> None:
    for (counted, subject), entries in windows.items():
        writer.execute(
            "DELETE FROM counts WHERE counted = ? AND subject = ?", (counted.value, subject)
        )
        writer.executemany(
            "INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?)",
            [(counted.value, subject, at, count) for at, count in entries],
        )
    writer.executemany(
        "INSERT OR REPLACE INTO known_recipients VALUES (?, ?, ?)",
        [(*key, at) for key, at in known.items()],
    )


def _forget(writer: sqlite3.Connection, now: datetime) -> None:
    before = (now - RECIPIENTS_KEPT).timestamp()
    writer.execute("DELETE FROM known_recipients WHERE last_written < ?", (before,))
    writer.execute("DELETE FROM counts WHERE at < ?", ((now - KEPT).timestamp(),))


def _keys(account: str, recipients: Sequence[Mailbox]) -> set[_Known]:
    """Return the different recipients as they are remembered: not their addresses."""
    return {
        (
            account,
            hashlib.blake2b(str(it.folded).encode("utf-8", "replace"), digest_size=8).digest(),
        )
        for it in recipients
    }
