"""Whether it is worth while to send a message behind another one in the same session."""

from collections.abc import Callable
from typing import Final

ALLOWED_SECONDS: Final = 0.02
"""So much longer than commands the acceptance of a message may take."""


class Promptness:
    """How soon a host takes a message, compared with how soon it answers commands.

    To follow another message spares a round trip, and costs the time that the host takes for that
    one: with a host that takes its time, another session serves better.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._round_trip = 0.0
        self._commands_at = 0.0  # 0: none are awaited
        self._content_at = 0.0  # 0: none is out
        self._took = float("inf")  # not known yet

    @property
    def is_given(self) -> bool:
        """Whether it took the last message at once, and is not slow with one now."""
        since = self._content_at or self._commands_at
        waits = self._clock() - since if since else 0.0
        return max(self._took, waits) <= 2 * self._round_trip + ALLOWED_SECONDS

    def commands_sent(self) -> None:
        """MAIL, RCPT and DATA go to a host that owes nothing else."""
        self._commands_at = self._clock()

    def content_sent(self) -> None:
        """DATA was answered, and the content follows."""
        self._content_at = self._clock()
        if self._commands_at:
            self._round_trip = self._content_at - self._commands_at
        self._commands_at = 0.0

    def transaction_ended(self) -> None:
        """The first one under way is over, with or without content."""
        self._commands_at = 0.0
        if self._content_at:
            self._took = self._clock() - self._content_at
            self._content_at = 0.0
