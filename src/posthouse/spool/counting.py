"""Which messages match what a person asked for, and counting them."""

import sqlite3
from typing import Final

from msgspec import Struct

from posthouse.spool.records import DestinationSummary, Filters, Summary
from posthouse.spool.times import to_instant_or_none, to_number

# One destination is read by its index, in the order of numbers; CROSS JOIN keeps it first.
_AT_ONE: Final = "recipient AS w CROSS JOIN message USING (number)"
_WAITS: Final = "w.state = 'waiting'"


class Source(Struct, frozen=True):
    """Where matching messages are read from.

    Attributes:
        tables: For FROM.
        condition: For WHERE.
        arguments: Of the condition, in order.
    """

    tables: str
    condition: str
    arguments: tuple[str | int, ...]


def source_of(filters: Filters) -> Source:
    """Return where to read what matches: a message may come more than once."""
    conditions, arguments = _conditions(filters)
    if not filters.destination:
        return Source("message", " AND ".join(conditions), tuple(arguments))
    narrowed = " AND ".join([_WAITS, "w.destination = ?", *conditions])
    return Source(_AT_ONE, narrowed, (filters.destination, *arguments))


def summary_of(sql: sqlite3.Connection, filters: Filters, limit: int) -> Summary:
    """Count the messages that match, and what waits of them by destination, the busiest first.

    The tables are read through: a million messages take a second or two.
    """
    source = source_of(filters)
    at, named = (
        ("AND w.destination = ?", [filters.destination]) if filters.destination else ("", [])
    )
    rows = sql.execute(
        "WITH chosen AS MATERIALIZED (SELECT number, accepted, hold, octets"  # noqa: S608 - no outside text
        f" FROM {source.tables} WHERE {source.condition} GROUP BY number)"
        " SELECT (SELECT count(*) FROM chosen), (SELECT total(hold <> '') FROM chosen),"
        " (SELECT total(octets) FROM chosen), w.destination, total(hold = ''), total(hold <> ''),"
        " min(accepted), min(w.due),"
        " max(printf('%020d', coalesce(w.last_attempt, 0)) || w.last_reply)"
        f" FROM chosen CROSS JOIN recipient AS w USING (number) WHERE {_WAITS} {at}"
        " GROUP BY w.destination ORDER BY count(*) DESC, w.destination LIMIT ?",
        (*source.arguments, *named, max(1, limit)),
    ).fetchall()
    messages, held, octets = rows[0][:3] if rows else (0, 0, 0)
    destinations = tuple(
        DestinationSummary(
            name,
            int(waiting),
            int(kept),
            to_instant_or_none(oldest),
            to_instant_or_none(due),
            last[20:],
        )
        for _, _, _, name, waiting, kept, oldest, due, last in rows[:limit]
    )
    return Summary(messages, int(held), int(octets), destinations)


def _conditions(filters: Filters) -> tuple[list[str], list[str | int]]:
    conditions: list[str] = ["1"]
    arguments: list[str | int] = []

    def want(condition: str, *values: str | int) -> None:
        conditions.append(condition)
        arguments.extend(values)

    if filters.sender:
        want("instr(lower(sender), lower(?))", filters.sender)
    if filters.recipient:
        want(
            "EXISTS (SELECT 1 FROM recipient AS r WHERE r.number = message.number"
            " AND instr(lower(r.address), lower(?)))",
            filters.recipient,
        )
    if filters.account:
        want("account = ? COLLATE NOCASE", filters.account)
    if filters.accepted_before is not None:
        want("accepted < ?", to_number(filters.accepted_before))
    if filters.held is not None:
        want("hold <> ''" if filters.held else "hold = ''")
    if filters.reason:
        want(
            "(instr(lower(hold), lower(?)) OR EXISTS (SELECT 1 FROM recipient AS r"
            " WHERE r.number = message.number AND instr(lower(r.last_reply), lower(?))))",
            filters.reason,
            filters.reason,
        )
    return conditions, arguments
