"""All questions to the spool's tables. Any thread may ask; nothing here writes."""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import msgpack
from msgspec.structs import replace

from posthouse.mail.envelope import Envelope
from posthouse.spool.counting import source_of
from posthouse.spool.database import open_for_reading, storage_error
from posthouse.spool.identifiers import id_of, number_of
from posthouse.spool.records import (
    DestinationSummary,
    Filters,
    JourneyEvent,
    Message,
    Paused,
    RecipientState,
    StorageError,
    Summary,
)
from posthouse.spool.times import to_instant, to_instant_or_none, to_number

ENVELOPES: Final = msgpack.Decoder(Envelope)
_RECIPIENT: Final = (
    "SELECT place, destination, state, attempts, due, last_attempt, last_reply, last_host,"
    " delay_told FROM recipient WHERE number = ?"
)
_MESSAGE: Final = "number, envelope, octets, hold, hold_case, held, bounce, via"

MENTIONS_LOOKED_AT_MAX: Final = 2_000_000  # steps, the newest: about a second

Row = tuple[int, str, str, int, int | None, int | None, str, str, int]


class Readers:
    """Connections for reading, lent one at a time; a slow question never blocks a quick one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection.

        Raises:
            StorageError: If the database cannot be read.
        """
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        try:
            connection = connection or open_for_reading(self._path)
            yield connection
        except sqlite3.Error as error:
            raise _unreadable(error, self._path) from error
        finally:
            if connection is not None:
                self._give_back(connection)

    def close(self) -> None:
        """Close them all; the writer's connection is closed after this."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _unreadable(error: sqlite3.Error, path: Path) -> StorageError:
    known = storage_error(error, path)
    if known.kind == "corrupt":
        return known
    return StorageError("unreadable", f"{path} cannot be read now ({error})")


def due_destinations(
    sql: sqlite3.Connection, now: datetime, exclude: Collection[str], limit: int
) -> Iterator[str]:
    """Yield the destinations with something due, the longest due first."""
    rows = sql.execute(
        "SELECT name FROM destination WHERE next_due <= ? ORDER BY next_due", (to_number(now),)
    )
    # The statement is ended before the caller asks on: an open one would keep an old snapshot.
    names: list[tuple[str]] = rows.fetchmany(len(exclude) + limit)
    rows.close()
    return (name for (name,) in names if name not in exclude)


def due_messages(
    sql: sqlite3.Connection,
    destination: str,
    now: datetime,
    limit: int,
    skip: Callable[[int], bool],
) -> list[int]:
    """Return the numbers of messages due at one destination, the longest due first."""
    rows = sql.execute(
        "SELECT number FROM recipient WHERE destination = ? AND due <= ?"
        " ORDER BY due, number, place",
        (destination, to_number(now)),
    )
    numbers: dict[int, None] = {}
    for (number,) in rows:
        if number not in numbers and not skip(number):
            if len(numbers) == limit:
                break
            numbers[number] = None
    rows.close()
    return list(numbers)


def recipients_due(
    sql: sqlite3.Connection, number: int, destination: str, now: datetime
) -> list[RecipientState]:
    """Return the recipients of a message that are due at a destination."""
    # The + keeps SQLite from searching all that is due at the destination for one message.
    rows = sql.execute(
        f"{_RECIPIENT} AND +destination = ? AND +due <= ?", (number, destination, to_number(now))
    )
    return [_recipient(row) for row in rows.fetchall()]


def returned_though_paused(
    sql: sqlite3.Connection, now: datetime, limit: int
) -> list[tuple[int, str]]:
    """Return messages to be returned from destinations that are paused: number, destination."""
    if sql.execute("SELECT 1 FROM paused LIMIT 1").fetchone() is None:
        return []
    # CROSS JOIN: those that are returned are fewer than those that wait at a paused destination.
    return sql.execute(
        "SELECT DISTINCT r.number, r.destination FROM message AS m CROSS JOIN recipient AS r"
        " ON r.number = m.number JOIN paused ON paused.name = r.destination"
        " WHERE m.bounce <> '' AND m.hold = '' AND +r.due <= ? ORDER BY m.number LIMIT ?",
        (to_number(now), limit),
    ).fetchall()


def next_due(sql: sqlite3.Connection, after: datetime) -> datetime | None:
    """Return the earliest due time behind `after`."""
    (due,) = sql.execute(
        "SELECT min(next_due) FROM destination WHERE next_due > ?", (to_number(after),)
    ).fetchone()
    return to_instant_or_none(due)


def message(sql: sqlite3.Connection, message_id: str) -> Message | None:
    """Return one message, or None if it is not in the spool."""
    row = sql.execute(
        f"SELECT {_MESSAGE} FROM message WHERE number = ?",  # noqa: S608 - constants
        (number_of(message_id),),
    ).fetchone()
    return None if row is None else _message(sql, row)


def listing(
    sql: sqlite3.Connection, filters: Filters, after: str, limit: int
) -> tuple[Message, ...]:
    """Return a page of messages, oldest first, those behind the id `after`."""
    source = source_of(filters)
    rows = sql.execute(
        f"SELECT {_MESSAGE} FROM {source.tables} WHERE {source.condition} AND number > ?"  # noqa: S608 - no outside text
        " GROUP BY number ORDER BY number LIMIT ?",
        (*source.arguments, number_of(after) if after else -1, limit),
    ).fetchall()
    return tuple(_message(sql, row) for row in rows)


def matching(
    sql: sqlite3.Connection, filters: Filters, after: int, last: int, limit: int
) -> list[int]:
    """Return the numbers of messages that match, the oldest first, behind `after` up to `last`."""
    source = source_of(filters)
    rows = sql.execute(
        f"SELECT number FROM {source.tables} WHERE {source.condition}"  # noqa: S608 - the same
        " AND number > ? AND number <= ? GROUP BY number ORDER BY number LIMIT ?",
        (*source.arguments, after, last, limit),
    ).fetchall()
    return [number for (number,) in rows]


def summary(sql: sqlite3.Connection, limit: int) -> Summary:
    """Count everything; `limit` destinations at most, the busiest first."""
    messages, held, octets = sql.execute("SELECT messages, held, octets FROM totals").fetchone()
    rows = sql.execute(
        "SELECT name, waiting, held, (SELECT accepted FROM recipient JOIN message USING (number)"
        " WHERE destination = name AND state = 'waiting' ORDER BY number LIMIT 1), next_due,"
        " last_reply FROM (SELECT * FROM destination ORDER BY waiting + held DESC, name LIMIT ?)",
        (limit,),
    )
    destinations = tuple(
        DestinationSummary(
            name, waiting, kept, to_instant_or_none(oldest), to_instant_or_none(due), reply
        )
        for name, waiting, kept, oldest, due, reply in rows.fetchall()
    )
    return Summary(messages, held, octets, destinations, paused(sql))


def paused(sql: sqlite3.Connection) -> tuple[Paused, ...]:
    """Return the destinations to which nothing is sent now."""
    rows = sql.execute("SELECT name, since, why FROM paused ORDER BY name").fetchall()
    return tuple(Paused(name, to_instant(since), why) for name, since, why in rows)


def mentioning(sql: sqlite3.Connection, text: str, limit: int) -> tuple[str, ...]:
    """Return the ids of messages whose journey mentions `text`, any case, the newest first."""
    rows = sql.execute(
        "SELECT number, max(entry) AS last FROM (SELECT number, entry, text FROM journey"
        " ORDER BY entry DESC LIMIT ?) WHERE instr(lower(text), lower(?))"
        " GROUP BY number ORDER BY last DESC LIMIT ?",
        (MENTIONS_LOOKED_AT_MAX, text, limit),
    ).fetchall()
    return tuple(id_of(number) for number, _ in rows)


def journey(sql: sqlite3.Connection, message_id: str) -> tuple[JourneyEvent, ...]:
    """Return what happened to a message, in order."""
    rows = sql.execute(
        "SELECT at, text FROM journey WHERE number = ? ORDER BY entry", (number_of(message_id),)
    )
    return tuple(JourneyEvent(to_instant(at), text) for at, text in rows.fetchall())


def content_parts(sql: sqlite3.Connection, message_id: str) -> tuple[bytes, str]:
    """Return what the database holds of a content, and the name of the side file behind it.

    Raises:
        StorageError: `missing`, if there is no such message.
    """
    row: tuple[bytes, str] | None = sql.execute(
        "SELECT content.octets, file FROM content JOIN message USING (number) WHERE number = ?",
        (number_of(message_id),),
    ).fetchone()
    if row is None:
        raise StorageError("missing", f"no message {message_id} is in the spool")
    return row


def side_files(sql: sqlite3.Connection) -> dict[str, str]:
    """Return all side files that messages need, by name, with the id of the message."""
    return dict(sql.execute("SELECT file, id FROM message WHERE file <> ''").fetchall())


def last_number(sql: sqlite3.Connection) -> int:
    """Return the highest message number that was ever recorded and is still known."""
    (number,) = sql.execute(
        "SELECT max(coalesce((SELECT max(number) FROM message), 0),"
        " coalesce((SELECT max(number) FROM journey), 0))"
    ).fetchone()
    return int(number)


def work_row(sql: sqlite3.Connection, number: int) -> tuple[Envelope, int, str, str] | None:
    """Return envelope, size, bounce mark and chosen way of a message that is not held."""
    row = sql.execute(
        "SELECT envelope, octets, bounce, via, accepted FROM message"
        " WHERE number = ? AND hold = ''",
        (number,),
    ).fetchone()
    if row is None:
        return None
    envelope, accepted = ENVELOPES.decode(row[0]), to_instant(row[4])
    if envelope.accepted != accepted:  # moved with the clock
        envelope = replace(envelope, accepted=accepted)
    return (envelope, *row[1:4])


def _message(
    sql: sqlite3.Connection, row: tuple[int, bytes, int, str, str, int | None, str, str]
) -> Message:
    number, envelope, octets, hold, hold_case, held, bounce, via = row
    rows = sql.execute(f"{_RECIPIENT} ORDER BY place", (number,)).fetchall()
    return Message(
        id_of(number),
        ENVELOPES.decode(envelope),
        octets,
        tuple(_recipient(row) for row in rows),
        hold=hold,
        hold_case=hold_case,
        held=to_instant_or_none(held),
        bounce=bounce,
        via=via,
    )


def _recipient(row: Row) -> RecipientState:
    place, destination, state, attempts, due, last_attempt, reply, host, told = row
    return RecipientState(
        place,
        destination,
        state,  # type: ignore[arg-type]  # the writer stores nothing else
        attempts,
        to_instant_or_none(due),
        to_instant_or_none(last_attempt),
        reply,
        host,
        bool(told),
    )
