"""Failures at one pace: how long one takes does not tell whether there is such an account."""

import asyncio
import math
from datetime import timedelta
from typing import Final

SLOWEST_SECONDS_MAX: Final = 2.0  # nobody is kept waiting longer than that for our secrecy
MARGIN: Final = 2.5  # over the dearest check seen: others compute as well


class Pace:
    """Failed sign-ins are answered at whole multiples of a pause after they were begun.

    Checks differ: an imported bcrypt hash takes ten times as long as ours, an unknown name has no
    hash at all. The pause is longer than the dearest check that was seen.
    """

    def __init__(self, pause: timedelta) -> None:
        self._seconds = pause.total_seconds()

    def note(self, cpu_seconds: float) -> None:
        """Take note of what a check has cost; processor time, which load does not change."""
        if self._seconds:
            dearest = min(cpu_seconds * MARGIN, SLOWEST_SECONDS_MAX)
            self._seconds = max(self._seconds, dearest)

    async def wait(self, begun: float) -> None:
        """Wait for the next multiple of the pause, counted from `begun` on the loop's clock."""
        if not self._seconds:
            return
        elapsed = asyncio.get_running_loop().time() - begun
        beats = max(1, math.ceil(elapsed / self._seconds))
        await asyncio.sleep(beats * self._seconds - elapsed)
