"""From the spool's writer thread back to the event loop: one hop for a whole group."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

Call = Callable[[], None]


class Hop:
    """Runs calls from other threads in the loop, in order.

    The loop is woken once however many calls gather before it runs: a group commit answers
    fifty clients at the price of one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[Call] = deque()
        self._lock = threading.Lock()
        self._woken = False

    def call(self, call: Call) -> None:
        """Have the loop run `call` soon. From any thread; never blocks."""
        with self._lock:
            self._calls.append(call)
            if self._woken:
                return
            self._woken = True
        with suppress(RuntimeError):  # the loop is closed: the session is gone as well
            self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, deque()
            self._woken = False
        for call in calls:
            try:
                call()
            except Exception as problem:  # noqa: BLE001 - one session's bug must not cost the others their answer
                self._loop.call_exception_handler(
                    {"message": "a session failed after its commit", "exception": problem}
                )
