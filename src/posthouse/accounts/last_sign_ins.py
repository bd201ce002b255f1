"""When accounts signed in last by POP3, at any listener: for who comes too often."""

from datetime import datetime, timedelta

from posthouse.accounts.notices import Board, Notice


class MaildropOpened(Notice, frozen=True):
    """Somebody signed in by POP3 at another worker."""

    account: str
    at: datetime


class LastSignIns:
    """Counts from the last sign-in that was early enough.

    Args:
        board: Where other workers tell of sign-ins, and are told; None: there are none.
    """

    def __init__(self, board: Board | None = None) -> None:
        self._at: dict[str, datetime] = {}
        self._board = board
        if board is not None:
            board.hear(MaildropOpened, lambda _, it: self._note(it.account, it.at))

    def may_come(self, account: str, now: datetime, delay: timedelta) -> bool:
        """Whether an account's last sign-in is `delay` ago; this one counts from now on."""
        if not delay:
            return True
        if self._board is not None:
            self._board.pull()
        since = now - delay
        self._at = {name: at for name, at in self._at.items() if at > since}
        if account in self._at:
            return False
        self._note(account, now)
        if self._board is not None:
            self._board.post(MaildropOpened(account, now))
        return True

    def _note(self, account: str, at: datetime) -> None:
        self._at[account] = at
