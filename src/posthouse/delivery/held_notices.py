"""Telling the sender of a held message: a recognised one, and at most once an hour."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from posthouse.delivery.bounce import Reporter
from posthouse.delivery.content import Content
from posthouse.mail.address import Mailbox
from posthouse.spool.records import Offspring, StorageError
from posthouse.spool.spool import Spool
from posthouse.telemetry.events import Bounced, LogEvent, StoreFailed

PAUSE: Final = timedelta(hours=1)
SENDERS_MAX: Final = 10_000


class HeldNotices:
    """Sends notices about held mail. Who was told lately is forgotten with the process."""

    def __init__(
        self,
        spool: Spool,
        reporter: Reporter,
        *,
        now: Callable[[], datetime],
        log: Callable[[LogEvent], None],
    ) -> None:
        self._spool = spool
        self._reporter = reporter
        self._now = now
        self._log = log
        self._told: OrderedDict[Mailbox, datetime] = OrderedDict()

    async def tell(self, message_id: str, why: str) -> bool:
        """Tell the sender of a held message, if that is one to be told; whether it was done.

        Args:
            message_id: The held message, already in the spool.
            why: One sentence for its sender, the case included.
        """
        try:
            return await asyncio.to_thread(self._tell, message_id, why)
        except StorageError as error:
            self._log(StoreFailed("spool", str(error)))
            return False

    def _tell(self, message_id: str, why: str) -> bool:
        now, message = self._now(), self._spool.message(message_id)
        if message is None:
            return False
        head = Content(self._spool, message_id, message.octets).head()
        notice = self._reporter.held_notice(message, why, head, now)
        to = message.envelope.reverse_path.mailbox
        if notice is None or to is None or not self._may_tell(to, now):
            return False
        self._accept(notice)
        self._log(Bounced(message_id, notice.id, str(to), "held"))
        return True

    def _may_tell(self, to: Mailbox, now: datetime) -> bool:
        last = self._told.get(to.folded)
        if last is not None and now - last < PAUSE:
            return False
        self._told[to.folded] = now
        self._told.move_to_end(to.folded)
        while len(self._told) > SENDERS_MAX:
            self._told.popitem(last=False)
        return True

    def _accept(self, notice: Offspring) -> None:
        intake = self._spool.open_intake()
        intake.write(notice.content)
        intake.commit(notice.envelope, id=notice.id, done=self._committed)

    def _committed(self, error: StorageError | None) -> None:
        if error is not None:
            self._log(StoreFailed("spool", str(error)))
