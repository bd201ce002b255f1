"""The way of a message: what the cases, the spool and its journey know of it, put together."""

import re
from typing import Any, Final

import msgspec

from posthouse.policy.decision import Stage
from posthouse.server.control import RefusedRequestError
from posthouse.spool.identifiers import number_of
from posthouse.spool.spool import Spool
from posthouse.telemetry.cases import CaseStore, Search

EXIT_NOT_FOUND: Final = 1
_CASE: Final = re.compile(r"\(case (\w+)\)")


class Journeys:
    """Finds messages by what people know of them. Blocks: for threads."""

    def __init__(self, spool: Spool, cases: CaseStore) -> None:
        self._spool = spool
        self._cases = cases

    def about(self, what: str, limit: int) -> dict[str, Any]:
        """Return the ways of the messages that `what` names, the newest first.

        Args:
            what: An id from a 250, a Message-ID field, or an address of either side.
            limit: No more than these.

        Raises:
            RefusedRequestError: If nothing is known.
        """
        found = self._ids(what.strip(), limit)
        ways = [way for way in map(self._way, found) if way is not None]
        if not ways:
            raise RefusedRequestError(
                f"nothing is known here of {what!a}: give an id from the reply that accepted the"
                " message, its Message-ID, or an address; ways are kept for 30 days",
                EXIT_NOT_FOUND,
            )
        return {"messages": ways}

    def _ids(self, what: str, limit: int) -> list[str]:
        if number_of(what) >= 0:
            return [what.upper()]
        by_header = self._cases.search(Search(header_id=what, limit=limit))
        if by_header:
            return [case.message_id for case in by_header if case.message_id]
        if "@" not in what:
            return []
        address = what.removeprefix("<").removesuffix(">")
        return list(self._spool.mentioning(f"<{address}>", limit=limit))

    def _way(self, message_id: str) -> dict[str, Any] | None:
        message, events = self._spool.message(message_id), self._spool.journey(message_id)
        if message is None and not events:
            return None
        of_message = self._cases.search(Search(message=message_id))
        content = (case for case in of_message if case.stage is Stage.CONTENT)
        named = _CASE.findall(events[0].text) if events else []
        recipients = [self._cases.find(case) for case in named]
        return {
            "id": message_id,
            "content_case": msgspec.to_builtins(next(content, None)),
            "recipient_cases": [msgspec.to_builtins(case) for case in recipients if case],
            "message": msgspec.to_builtins(message),
            "journey": msgspec.to_builtins(events),
        }
