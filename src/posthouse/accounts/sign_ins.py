"""POP3 sessions by address: what POP windows are counted from. They survive a restart."""

import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from posthouse.accounts.notices import Board, Notice
from posthouse.accounts.saving import Saver
from posthouse.policy.facts import Address
from posthouse.policy.networks import fold
from posthouse.telemetry.database import Kind, StoreError, explained, open_for_writing, transaction

SESSIONS_MAX: Final = 200_000  # (address, account) pairs; the oldest go first
ADDRESS_SESSIONS_MAX: Final = 200  # of one address, so that no decision gets slow
AHEAD_MAX: Final = timedelta(minutes=1)
FORGET_EVERY: Final = timedelta(minutes=1)
TELL_AGAIN: Final = timedelta(seconds=1)  # how late other workers hear of a further command
LOOK_AGAIN: Final = timedelta(seconds=10)  # at a file that could not be read

_FIRST: Final = """
CREATE TABLE sessions (
    address TEXT NOT NULL,
    account TEXT NOT NULL,
    last_command TEXT NOT NULL,
    PRIMARY KEY (address, account)
) WITHOUT ROWID;
"""

SIGN_INS: Final = Kind(
    application_id=0x50487369,  # "PHsi"
    upgrades=(_FIRST,),
    wal=False,
    remedy="move it away: people fetch mail once more and may relay again",
)

_Key = tuple[Address, str]


class Fetched(Notice, frozen=True):
    """Somebody used POP3 at another worker."""

    address: str
    account: str
    at: datetime


class PopSignIns:
    """The last POP3 command of each account from each address.

    Kept in memory and saved within seconds. A file that cannot be read at the start makes
    `sessions_from` raise (the door stays shut, and says so) until it can be.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep: timedelta = timedelta(days=1, hours=1),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        board: Board | None = None,
        saves: bool = True,
    ) -> None:
        """Read the file, making it if it is not there.

        Args:
            path: The file.
            keep: How long after its last command a session is remembered: the longest window and
                a day, so that an ended window can be told from a stranger.
            now: The clock.
            board: Where other workers tell of sign-ins, and are told.
            saves: Whether this worker writes the file: one of them does.
        """
        self.keep = keep
        self._board = board
        self._saves = saves
        self._told: dict[_Key, datetime] = {}  # when the others were told last
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._sessions: dict[Address, dict[str, datetime]] = {}
        self._count = 0
        self._unsaved: set[_Key] = set()  # all of them are in `_sessions`
        self._forgot = now()
        self._unread: StoreError | None = None
        self._look_again = now()
        self._connection: sqlite3.Connection | None = None
        self._read()
        self._saver = Saver("sign-ins", self._save)
        if board is not None:
            board.hear(
                Fetched, lambda _, it: self._note((ip_address(it.address), it.account), it.at)
            )

    @property
    def problem(self) -> str:
        """Why the file cannot be read or written at the moment; "" if it can."""
        return str(self._unread) if self._unread else self._saver.problem

    def note(self, address: Address, account: str, at: datetime) -> None:
        """Remember a command of a signed-in POP3 session. Cheap; never raises."""
        key = (fold(address), account)
        self._note(key, at)
        if self._board is not None:
            self._tell_others(self._board, key, at)

    def _note(self, key: _Key, at: datetime) -> None:
        with self._lock:
            self._unsaved.add(key)
            self._remember(*key, at)
        self._saver.changed()

    def _hear(self, _: int, fetched: Fetched) -> None:
        self._note((ip_address(fetched.address), fetched.account), fetched.at)

    def _tell_others(self, board: Board, key: _Key, at: datetime) -> None:
        """At once where a session begins; of its further commands now and then."""
        told = self._told.get(key)
        if told is not None and timedelta(0) <= at - told < TELL_AGAIN:
            return
        if len(self._told) >= SESSIONS_MAX:
            self._told.clear()
        self._told[key] = at
        board.post(Fetched(str(key[0]), key[1], at))

    def sessions_from(self, address: Address) -> tuple[tuple[str, datetime], ...]:
        """Return (account, last command) for an address, the latest first, ended windows too.

        Raises:
            StoreError: If the file could not be read yet.
        """
        if self._unread is not None:
            self._read_again()
        if self._board is not None:
            self._board.pull()
        if not self._sessions:
            return ()
        with self._lock:
            found = self._sessions.get(fold(address))
            if not found:
                return ()
            since = self._now() - self.keep
            latest = sorted(found.items(), key=lambda item: item[1], reverse=True)
        return tuple(item for item in latest if item[1] > since)

    def close(self) -> None:
        """Save what is not saved and let go of the file."""
        self._saver.close()
        if self._connection is not None:
            self._connection.close()

    def _remember(self, address: Address, account: str, at: datetime) -> None:
        sessions = self._sessions.setdefault(address, {})
        if account not in sessions:
            self._count += 1
            if len(sessions) >= ADDRESS_SESSIONS_MAX:
                self._forget(address, min(sessions, key=lambda name: sessions[name]))
        before = sessions.get(account, at)
        # What lies in the future was dated before the clock was set back.
        sessions[account] = at if before > self._now() + AHEAD_MAX else max(at, before)
        if self._count > SESSIONS_MAX:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Forget a tenth, so that this is rare."""
        times = sorted(at for sessions in self._sessions.values() for at in sessions.values())
        self._forget_until(times[len(times) // 10])

    def _forget_until(self, at: datetime) -> None:
        for address, sessions in list(self._sessions.items()):
            for account, last_command in list(sessions.items()):
                if last_command <= at:
                    self._forget(address, account)
            if not sessions:
                del self._sessions[address]

    def _forget(self, address: Address, account: str) -> None:
        del self._sessions[address][account]
        self._unsaved.discard((address, account))
        self._count -= 1

    def _read(self) -> None:
        try:
            connection = open_for_writing(self._path, SIGN_INS)
        except StoreError as problem:
            self._unread = problem
            return
        try:
            with explained(self._path, SIGN_INS):
                rows = connection.execute(
                    "SELECT address, account, last_command FROM sessions"
                ).fetchall()
            sessions = [(ip_address(it), name, datetime.fromisoformat(at)) for it, name, at in rows]
        except (StoreError, ValueError) as problem:
            connection.close()
            self._unread = StoreError(f"{self._path} cannot be read: {problem}, {SIGN_INS.remedy}")
            return
        with self._lock:
            for address, account, last_command in sessions:
                self._remember(address, account, last_command)
        self._connection, self._unread = connection, None

    def _read_again(self) -> None:
        if self._now() >= self._look_again:
            self._look_again = self._now() + LOOK_AGAIN
            self._read()
        if self._unread is not None:
            raise StoreError(str(self._unread))

    def _save(self) -> None:
        if self._connection is None:
            return  # nothing is lost yet: what is unsaved waits for the file
        now = self._now()
        with self._lock:
            unsaved, self._unsaved = self._unsaved, set()
            rows = [
                (str(address), account, _text(self._sessions[address][account]))
                for address, account in unsaved
            ]
            forget = now - self._forgot >= FORGET_EVERY
            if forget:
                self._forgot = now
                self._forget_until(now - self.keep)
        if not self._saves:
            return
        try:
            with explained(self._path, SIGN_INS), transaction(self._connection):
                self._connection.executemany(
                    "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", rows
                )
                if forget:
                    self._connection.execute(
                        "DELETE FROM sessions WHERE last_command <= ?", (_text(now - self.keep),)
                    )
        except StoreError:
            with self._lock:
                self._unsaved |= {
                    key for key in unsaved if key[1] in self._sessions.get(key[0], ())
                }
            raise


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
