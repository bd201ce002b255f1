"""A thread that saves what changed in memory, a little later; for things that may lose seconds."""

import threading
from collections.abc import Callable
from typing import Final

from posthouse.telemetry.database import StoreError

SAVE_AFTER_SECONDS: Final = 1.0
TRY_AGAIN_SECONDS: Final = 10.0  # after a failure


class Saver:
    """Calls `save` soon after `changed`, and once more at `close`."""

    def __init__(self, name: str, save: Callable[[], None]) -> None:
        self.problem = ""  # why saving fails at the moment
        self._save = save
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def changed(self) -> None:
        """Say that there is something to save. Never waits."""
        if not self._changed.is_set():
            self._changed.set()

    def close(self) -> None:
        """Save a last time and end the thread."""
        self._closing.set()
        self._changed.set()
        self._thread.join()
        self._try()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._changed.wait()
            self._closing.wait(SAVE_AFTER_SECONDS)
            self._changed.clear()
            if not self._closing.is_set() and not self._try():
                self._changed.set()
                self._closing.wait(TRY_AGAIN_SECONDS)

    def _try(self) -> bool:
        try:
            self._save()
        except StoreError as problem:
            self.problem = str(problem)
            return False
        self.problem = ""
        return True
