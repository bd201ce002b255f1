"""The same change to many messages, in slices: nobody waits long behind one of them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from time import monotonic, sleep
from typing import Final, Protocol, TypeAlias, TypeVar

from posthouse.spool import reading
from posthouse.spool.identifiers import id_of
from posthouse.spool.reading import Readers
from posthouse.spool.records import Filters
from posthouse.spool.shelf import Shelf

SLICE: Final = 100  # about 25 ms of the writer's time
REST: Final = 0.5  # after a slice, as a share of its time: others have their turn
Answer = TypeVar("Answer")
Verb: TypeAlias = Callable[[Shelf, str, datetime], bool]


class Do(Protocol):
    """Has the writer do something, and waits for the commit."""

    def __call__(self, action: Callable[[], Answer]) -> Answer:
        """Return what it gave."""
        ...


def holding(why: str) -> Verb:
    """Keep them for a person to look at."""
    return lambda shelf, message_id, at: shelf.hold(message_id, why, "", at)


def releasing(shelf: Shelf, message_id: str, at: datetime) -> bool:
    """Let them go."""
    return shelf.release(message_id, at)


def bouncing(why: str) -> Verb:
    """Return them to their senders."""
    return lambda shelf, message_id, at: shelf.release(message_id, at, bounce=why)


def dropping(why: str) -> Verb:
    """Remove them for good."""
    return lambda shelf, message_id, at: shelf.drop(message_id, why, at)


def retrying(shelf: Shelf, message_id: str, at: datetime) -> bool:
    """Make them due now."""
    return shelf.retry(message_id, at)


def moving(via: str) -> Verb:
    """Send them by another way."""
    return lambda shelf, message_id, at: shelf.move(message_id, via, at)


def change_all(
    readers: Readers,
    do: Do,
    shelf: Shelf,
    filters: Filters,
    verb: Verb,
    now: Callable[[], datetime],
) -> int:
    """Change all that matches now, the oldest first; what arrives meanwhile is left alone.

    Returns:
        How many messages were changed.
    """
    with readers.one() as sql:
        newest = reading.last_number(sql)
    changed, after = 0, -1
    do = _gently(do)
    while True:
        with readers.one() as sql:
            numbers = reading.matching(sql, filters, after, newest, SLICE)
        if not numbers:
            return changed
        ids, after = list(map(id_of, numbers)), numbers[-1]
        changed += do(partial(_change, shelf, ids, verb, now()))


def _change(shelf: Shelf, ids: Sequence[str], verb: Verb, at: datetime) -> int:
    return sum(verb(shelf, message_id, at) for message_id in ids)


def retry_all(do: Do, shelf: Shelf, destination: str, now: Callable[[], datetime]) -> int:
    """Make all that waits, or waits for one destination, due now; how many recipients."""
    hurried, after = 0, -1
    do = _gently(do)
    while True:
        some, after = do(partial(shelf.retry_some, destination, after, now()))
        hurried += some
        if not after:
            return hurried


def _gently(do: Do) -> Do:
    """Rest a little after each slice."""

    def one(action: Callable[[], Answer]) -> Answer:
        began = monotonic()
        answer = do(action)
        sleep((monotonic() - began) * REST)
        return answer

    return one


def prune(do: Do, shelf: Shelf, before: datetime) -> None:
    """Forget journeys that ended before, and give their room back."""
    at = -1
    while at:
        at = do(partial(shelf.prune_journeys, before, at))
    do(shelf.give_room_back)
