"""Sessions with next hops: in use, or kept open for the next message."""

import asyncio
from collections.abc import Hashable
from itertools import islice
from typing import Final

from posthouse.delivery.hop_session import HopSession

IDLE_SECONDS: Final = 5.0
SESSIONS_MAX: Final = 100
MESSAGES_MAX: Final = 100
"""Messages in one session: then a new one spreads the load over the hosts of the next hop."""
SWALLOWING_MAX: Final = 1000
ASKED_MAX: Final = 4
"""Sessions in use that are looked at, whether a message may follow in one of them."""


Key = Hashable
"""A host, and on what terms the session with it was begun."""


class SessionPool:
    """Sessions by host. One is used by one message at a time, or by two, one behind the other."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._idle: dict[Key, dict[HopSession, float]] = {}  # since when
        self._idle_count = 0
        self._shared: dict[Key, dict[HopSession, None]] = {}  # used by one message
        self._swallowing: set[Key] = set()  # hosts where none may follow another
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: set[HopSession] = set()

    def take(
        self, key: Key, messages_max: int = MESSAGES_MAX, *, behind: bool = True
    ) -> HopSession | None:
        """Return a session that is good for another message, or None; `give_back` follows.

        Args:
            key: With whom.
            messages_max: In one session.
            behind: The message may be sent behind another one, whose answer is awaited.
        """
        behind = behind and key not in self._swallowing
        session = self._used_by_one(key, messages_max) if behind else None
        if session is None:
            session = self._unused(key)
            if session is not None and behind:
                self._shared.setdefault(key, {})[session] = None
        if session is not None:
            session.users += 1
        return session

    def add(self, key: Key, session: HopSession) -> None:
        """Count a new session as taken; `give_back` follows."""
        session.users += 1
        self._shared.setdefault(key, {})[session] = None

    def give_back(self, key: Key, session: HopSession, messages_max: int = MESSAGES_MAX) -> None:
        """Let others have a session, or end it if it is used up or there are too many."""
        session.users -= 1
        if session.swallows:
            self._note_swallowing(key)
        is_good = session.is_usable and session.messages < messages_max
        if session.users and is_good:
            self._shared.setdefault(key, {})[session] = None
            return
        self._withdraw(key, session)
        if not session.users:
            if is_good and self._idle_count < SESSIONS_MAX:
                self._keep(key, session)
            else:
                self.end(session)

    def end(self, session: HopSession) -> None:
        """Take leave of a session that is not in the pool."""
        session.leave()
        self._leaving = {one for one in self._leaving if not one.is_gone}
        self._leaving.add(session)

    async def close(self) -> None:
        """End all that are idle, and wait until their sockets are closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_idle(before=float("inf"))
        leaving, self._leaving = self._leaving, set()
        await asyncio.gather(*(session.wait_left() for session in leaving))

    # ---------------------------------------------------------------- in use

    def _used_by_one(self, key: Key, messages_max: int) -> HopSession | None:
        for session in islice(self._shared.get(key, ()), ASKED_MAX):
            # The one that is under way may not be counted yet.
            if session.messages + 1 < messages_max and session.takes_another:
                self._withdraw(key, session)
                return session
        return None

    def _note_swallowing(self, key: Key) -> None:
        if len(self._swallowing) >= SWALLOWING_MAX:
            self._swallowing.clear()
        self._swallowing.add(key)

    def _withdraw(self, key: Key, session: HopSession) -> None:
        sessions = self._shared.get(key)
        if sessions is not None and session in sessions:
            del sessions[session]
            if not sessions:
                del self._shared[key]

    # ---------------------------------------------------------------- idle

    def _unused(self, key: Key) -> HopSession | None:
        sessions = self._idle.get(key)
        while sessions:
            session, _ = sessions.popitem()  # the one that was used last
            self._idle_count -= 1
            if not sessions:
                del self._idle[key]
            if session.is_usable:
                return session
            self.end(session)
        return None

    def _keep(self, key: Key, session: HopSession) -> None:
        loop = asyncio.get_running_loop()
        self._idle.setdefault(key, {})[session] = loop.time()
        self._idle_count += 1
        if self._timer is None:
            self._timer = loop.call_later(self._idle_seconds, self._look)

    def _look(self) -> None:
        """End what was idle for long enough; one timer does for all."""
        loop = asyncio.get_running_loop()
        self._timer = None
        self._end_idle(before=loop.time() - self._idle_seconds)
        if self._idle_count:
            oldest = min(since for sessions in self._idle.values() for since in sessions.values())
            self._timer = loop.call_at(oldest + self._idle_seconds, self._look)

    def _end_idle(self, before: float) -> None:
        for key, sessions in list(self._idle.items()):
            for session in [one for one, since in sessions.items() if since <= before]:
                del sessions[session]
                self._idle_count -= 1
                self.end(session)
            if not sessions:
                del self._idle[key]
