"""A worker's spool beside those of the others: after a failed flush at one, none promises more.

They are on one disk, and to whoever sends mail they are one server: "until a restart" is meant of
all of it.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from posthouse.accounts.notices import Board, Notice
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.records import StorageError
from posthouse.spool.shelf import Arrival
from posthouse.spool.writer import Done


class SpoolFailed(Notice, frozen=True):
    """A worker's spool cannot be written any more.

    Attributes:
        words: What is to be done.
    """

    words: str


class CrewSpool(JournaledSpool):
    """Tells the others what fails here, and hears what fails at them."""

    def __init__(
        self, directory: Path, *, now: Callable[[], datetime], place: int | None, board: Board
    ) -> None:
        """Open the spool.

        Raises:
            StorageError: As `JournaledSpool`.
        """
        self._board = board
        self._told = False
        super().__init__(directory, now=now, place=place)
        board.hear(SpoolFailed, lambda _, it: self._hear(it))

    def shelve(self, arrival: Arrival, done: Done) -> None:
        """Queue a complete message; the others hear of a failure before its sender does."""

        def tell(error: StorageError | None) -> None:
            if error is not None and self.trouble is not None:
                self.fail(self.trouble)
            done(error)

        super().shelve(arrival, tell)

    def fail(self, error: StorageError) -> None:
        """Take no mail any more, here and at the others."""
        if not self._told:
            self._told = True
            self._board.post(SpoolFailed(str(error)))
        super().fail(error)

    def _hear(self, failed: SpoolFailed) -> None:
        self._told = True
        super().fail(StorageError("broken", failed.words))
