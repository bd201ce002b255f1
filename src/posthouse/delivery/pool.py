"""Sessions kept open for the next message to the same next hop."""

import asyncio
from collections.abc import Hashable
from typing import Final

from posthouse.delivery.hop_session import HopSession

IDLE_SECONDS: Final = 5.0
SESSIONS_MAX: Final = 100
MESSAGES_MAX: Final = 100
"""Messages in one session: then a new one spreads the load over the hosts of the next hop."""

Key = tuple[Hashable, ...]
"""A host, and on what terms the session with it was begun."""


class SessionPool:
    """Idle sessions by host. A session is in the pool or in use, never both."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._idle: dict[Key, list[HopSession]] = {}
        self._timers: dict[HopSession, asyncio.TimerHandle] = {}
        self._leaving: set[HopSession] = set()

    def take(self, key: Key) -> HopSession | None:
        """Return a session that is still good, or None."""
        sessions = self._idle.get(key, [])
        while sessions:
            session = sessions.pop()
            self._timers.pop(session).cancel()
            if not sessions:
                self._idle.pop(key, None)
            if session.is_usable:
                return session
            self.end(session)
        return None

    def keep(self, key: Key, session: HopSession, messages_max: int = MESSAGES_MAX) -> None:
        """Keep a session for a while, or end it if it is used up or there are too many."""
        worn = not session.is_usable or session.messages >= messages_max
        if worn or len(self._timers) >= SESSIONS_MAX:
            self.end(session)
            return
        self._idle.setdefault(key, []).append(session)
        loop = asyncio.get_running_loop()
        self._timers[session] = loop.call_later(self._idle_seconds, self._expire, key, session)

    def end(self, session: HopSession) -> None:
        """Take leave of a session that is not in the pool."""
        session.leave()
        self._leaving = {one for one in self._leaving if not one.is_gone}
        self._leaving.add(session)

    async def close(self) -> None:
        """End all that are idle, and wait until their sockets are closed."""
        for key, sessions in list(self._idle.items()):
            for session in list(sessions):
                self._expire(key, session)
        leaving, self._leaving = self._leaving, set()
        await asyncio.gather(*(session.wait_left() for session in leaving))

    def _expire(self, key: Key, session: HopSession) -> None:
        self._timers.pop(session).cancel()
        sessions = self._idle[key]
        sessions.remove(session)
        if not sessions:
            del self._idle[key]
        self.end(session)
