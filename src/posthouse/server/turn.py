"""The turn of an event loop: all that it does between two looks at its sockets."""

import asyncio
import threading
from collections.abc import Callable


class LoopTurn:
    """Has something called when the running loop has dealt with all that was there to be read."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def __call__(self, call: Callable[[], None]) -> bool:
        """Have `call` run behind this turn; False where there is none: in other threads."""
        if threading.get_ident() != self._thread or self._loop.is_closed():
            return False
        self._loop.call_soon(call)
        return True
