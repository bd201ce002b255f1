"""The queue in the administrator's hands: listed, counted, changed. Blocks: for threads."""

import threading
from collections.abc import Callable
from typing import Any, Final, assert_never

import msgspec

from posthouse.delivery.routes import RouteError, parse_via
from posthouse.mail.address import AddressError, parse_domain
from posthouse.server import requests
from posthouse.server.control import RefusedRequestError
from posthouse.spool import bulk
from posthouse.spool.bulk import Verb
from posthouse.spool.records import Filters
from posthouse.spool.spool import EVERYTHING, Spool
from posthouse.telemetry.events import Dropped, LogEvent, Noted, Released

EXIT_NOT_FOUND: Final = 1
EXIT_USAGE: Final = 2
LISTED_MAX: Final = 10_000
DESTINATIONS_MAX: Final = 100_000
_DONE: Final = {
    requests.QueueRetry: "hurried",
    requests.QueueHold: "held",
    requests.QueueRelease: "released",
    requests.QueueBounce: "returned to their senders",
    requests.QueueDrop: "removed for good",
    requests.QueueMove: "moved",
}


class Queue:
    """Answers the queue requests of the control socket."""

    def __init__(self, spool: Spool, log: Callable[[LogEvent], None]) -> None:
        self._spool = spool
        self._log = log
        self._one_at_a_time = threading.Lock()  # large changes; looks go on meanwhile

    def list(self, request: requests.QueueList) -> list[Any]:
        """Return a page of messages."""
        limit = max(1, min(request.limit, LISTED_MAX))
        found = self._spool.list_messages(_filters(request), after=request.after, limit=limit)
        return [msgspec.to_builtins(message) for message in found]

    def summary(self, request: requests.QueueSummary) -> Any:  # noqa: ANN401 - JSON
        """Count by destination."""
        limit = max(0, min(request.limit, DESTINATIONS_MAX))
        return msgspec.to_builtins(self._spool.summary(_filters(request), limit=limit))

    def change(self, request: requests.QueueChange, by: str) -> bool | int:
        """Change one message (true) or all that are meant (how many).

        Raises:
            RefusedRequestError: If it cannot be done.
        """
        if request.id:
            return self._change_one(request, by)
        filters = _filters(request)
        if isinstance(request, requests.QueueRetry) and filters == Filters(
            destination=filters.destination
        ):
            return self._spool.retry_all(filters.destination)
        if filters == EVERYTHING and not request.everything:
            raise RefusedRequestError("say which messages are meant", EXIT_USAGE)
        with self._one_at_a_time:
            changed = self._spool.change_all(_only_fitting(request, filters), _verb(request, by))
        self._log(Noted(f"{changed} messages {_DONE[type(request)]} by {by}"))
        return changed

    def _change_one(self, request: requests.QueueChange, by: str) -> bool:
        spool, message_id = self._spool, request.id
        match request:
            case requests.QueueRetry():
                done = spool.retry(message_id)
            case requests.QueueHold():
                done = spool.hold(message_id, request.because)
            case requests.QueueRelease():
                done = self._is_held(message_id) and spool.release(message_id)
            case requests.QueueBounce():
                done = spool.bounce(message_id, request.because)
            case requests.QueueDrop():
                done = spool.drop(message_id, _recorded(request.because, by))
            case requests.QueueMove():
                done = spool.move(message_id, _way(request.via))
            case _:
                assert_never(request)
        if not done:
            raise self._why_not(request)
        if isinstance(request, requests.QueueRelease):
            self._log(Released(message_id, by))
        if isinstance(request, requests.QueueDrop):
            self._log(Dropped(message_id, by, request.because))
        return True

    def _is_held(self, message_id: str) -> bool:
        message = self._spool.message(message_id)
        return message is not None and bool(message.hold)

    def _why_not(self, request: requests.QueueChange) -> RefusedRequestError:
        """It is not there, or not in the state that it has to be in."""
        message = self._spool.message(request.id)
        if message is None:
            return not_found(request.id)
        if message.hold:
            return RefusedRequestError(
                f"message {request.id} is held ({message.hold}), so it is not tried:"
                f" posthouse queue release {request.id}",
                EXIT_NOT_FOUND,
            )
        return RefusedRequestError(f"message {request.id} is not held", EXIT_NOT_FOUND)


def not_found(message_id: str) -> RefusedRequestError:
    """Say that there is no such message."""
    return RefusedRequestError(f"there is no message {message_id} in the queue", EXIT_NOT_FOUND)


def domain_of(text: str) -> str:
    """Return a destination as the spool knows it.

    Raises:
        RefusedRequestError: If it is no domain.
    """
    try:
        return parse_domain(text)
    except AddressError as problem:
        raise RefusedRequestError(f"{text!a} is no domain: {problem}", EXIT_USAGE) from None


def _filters(request: requests.Matching) -> Filters:
    return Filters(
        destination=domain_of(request.destination) if request.destination else "",
        sender=request.sender,
        recipient=request.recipient,
        account=request.account,
        accepted_before=request.accepted_before,
        held=request.held,
        reason=request.reason,
    )


def _only_fitting(request: requests.QueueChange, filters: Filters) -> Filters:
    """Leave out what is as it shall be already: only held mail can be released."""
    if isinstance(request, requests.QueueRelease):
        return msgspec.structs.replace(filters, held=True)
    if isinstance(request, requests.QueueHold | requests.QueueRetry):
        return msgspec.structs.replace(filters, held=False)
    return filters


def _verb(request: requests.QueueChange, by: str) -> Verb:
    match request:
        case requests.QueueRetry():
            return bulk.retrying
        case requests.QueueHold():
            return bulk.holding(request.because)
        case requests.QueueRelease():
            return bulk.releasing
        case requests.QueueBounce():
            return bulk.bouncing(request.because)
        case requests.QueueDrop():
            return bulk.dropping(_recorded(request.because, by))
        case requests.QueueMove():
            return bulk.moving(_way(request.via))


def _recorded(because: str, by: str) -> str:
    return f"{because or 'no reason given'} (by {by})"


def _way(via: str) -> str:
    """Check the way that an administrator wrote; "" means the route."""
    if via == "route":
        return ""
    try:
        parse_via(via)
    except RouteError as problem:
        raise RefusedRequestError(str(problem), EXIT_USAGE) from None
    return via
