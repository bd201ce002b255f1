"""A message as it lies on a shelf, with all that is known of it: for its way to another shelf."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

Row: TypeAlias = Mapping[str, object]
AT_ONCE: Final = 50  # messages; their contents are in memory meanwhile


class Moved(Struct, frozen=True):
    """All rows of one message.

    Attributes:
        message: Of the table ``message``.
        content: What is not in a side file.
        recipients: Of ``recipient``.
        journey: Of ``journey``, the oldest first.
    """

    message: Row
    content: Row | None
    recipients: tuple[Row, ...]
    journey: tuple[Row, ...]

    @property
    def number(self) -> int:
        """The key of all tables."""
        return int(str(self.message["number"]))

    @property
    def file(self) -> str:
        """Name of the side file; "" if there is none."""
        return str(self.message["file"])

    @property
    def octets(self) -> int:
        """Size of the content."""
        return int(str(self.message["octets"]))

    @property
    def is_held(self) -> bool:
        """Whether it waits for a person."""
        return bool(self.message["hold"])

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Destinations of the recipients that are not settled."""
        return tuple(str(it["destination"]) for it in self.recipients if it["state"] == "waiting")


def read_some(sql: sqlite3.Connection, after: int) -> list[Moved]:
    """Return the next messages behind a number."""
    messages = _rows(sql, "message", f"number > {after:d} ORDER BY number LIMIT {AT_ONCE:d}")
    found = []
    for message in messages:
        number = f"number = {int(str(message['number'])):d}"
        found.append(
            Moved(
                message,
                next(_rows(sql, "content", number), None),
                tuple(_rows(sql, "recipient", f"{number} ORDER BY place")),
                tuple(_rows(sql, "journey", f"{number} ORDER BY entry")),
            )
        )
    return found


def remove(sql: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Remove messages with all that is known of them."""
    for number in numbers:
        for table in ("message", "content", "recipient", "journey"):
            sql.execute(f"DELETE FROM {table} WHERE number = ?", (number,))  # noqa: S608 - constants


def is_here(sql: sqlite3.Connection, moved: Moved) -> bool | None:
    """Whether a message was brought here before; None if another one has its number."""
    first = sql.execute(
        "SELECT text FROM journey WHERE number = ? ORDER BY entry LIMIT 1", (moved.number,)
    ).fetchone()
    if first is None:
        return False
    return True if moved.journey and first[0] == moved.journey[0]["text"] else None


def insert(sql: sqlite3.Connection, moved: Moved) -> None:
    """Write all rows of a message."""
    _insert(sql, "message", [moved.message])
    _insert(sql, "content", [moved.content] if moved.content else [])
    _insert(sql, "recipient", moved.recipients)
    _insert(sql, "journey", moved.journey)


def read_rest(sql: sqlite3.Connection, table: str) -> tuple[Row, ...]:
    """Return the first rows that are left of a table; journeys of messages that are gone."""
    return tuple(_rows(sql, table, "1 LIMIT 1000"))


def insert_rest(sql: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    """Write rows that belong to no message; what is there already stays."""
    _insert(sql, table, rows)


def _rows(sql: sqlite3.Connection, table: str, where: str) -> Iterator[Row]:
    cursor = sql.execute(f"SELECT * FROM {table} WHERE {where}")  # noqa: S608 - no outside text
    names = [name for name, *_ in cursor.description]
    for values in cursor.fetchall():
        yield dict(zip(names, values, strict=True))


def _insert(sql: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    for row in rows:
        names = [name for name in row if name != "entry"]  # steps get new places
        places = ", ".join("?" * len(names))
        sql.execute(
            f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({places})",  # noqa: S608 - names of columns
            [row[name] for name in names],
        )
