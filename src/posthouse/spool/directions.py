"""What is put off or stopped for a whole destination. Only the writer thread comes here."""

import sqlite3
from datetime import datetime, timedelta
from typing import Final

from posthouse.spool.records import Postponed
from posthouse.spool.times import to_number

RETRIED_AT_ONCE: Final = 2000
LAST_NUMBER: Final = 2**63 - 1
_MICROSECOND: Final = timedelta(microseconds=1)


def postpone(sql: sqlite3.Connection, it: Postponed, at: datetime) -> int:
    """Put off what is due at a destination; how many recipients. Counts as no attempt."""
    until = to_number(it.until)
    return sql.execute(
        "UPDATE recipient SET due = ?1 WHERE destination = ?2 AND due <= ?3"
        " AND EXISTS (SELECT 1 FROM message AS m WHERE m.number = recipient.number"
        " AND m.bounce = '' AND m.via = '' AND (m.accepted + ?4 > ?1"
        " OR (recipient.delay_told AND m.accepted + ?5 > ?1))"
        # The sender's own deadline (DELIVERBY): it goes back then, or its sender is told.
        " AND (m.deadline IS NULL OR m.deadline > ?1))",
        (
            until,
            it.destination,
            to_number(at),
            it.tell_after // _MICROSECOND,
            it.give_up_after // _MICROSECOND,
        ),
    ).rowcount


def retry_some(
    sql: sqlite3.Connection, destination: str, after: int, at: datetime
) -> tuple[int, int]:
    """Make the recipients of some messages due now; see `Shelf.retry_some`."""
    chosen, arguments = ("destination = ? AND", (destination,)) if destination else ("", ())
    row = sql.execute(
        f"SELECT number FROM recipient WHERE {chosen} state = 'waiting' AND number > ?"  # noqa: S608 - no outside text
        " ORDER BY number LIMIT 1 OFFSET ?",
        (*arguments, after, RETRIED_AT_ONCE - 1),
    ).fetchone()
    last = row[0] if row else LAST_NUMBER
    hurried = sql.execute(
        f"UPDATE recipient SET due = ? WHERE {chosen} state = 'waiting' AND due IS NOT NULL"  # noqa: S608 - the same
        " AND number > ? AND number <= ?",
        (to_number(at), *arguments, after, last),
    ).rowcount
    if not destination:
        sql.execute(
            "UPDATE destination SET next_due = ? WHERE next_due IS NOT NULL", (to_number(at),)
        )
    return hurried, 0 if row is None else last


def pause(sql: sqlite3.Connection, destination: str, why: str, at: datetime) -> None:
    """Send nothing to a destination until `resume`."""
    sql.execute(
        "INSERT INTO paused VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET why = excluded.why",
        (destination, to_number(at), why),
    )


def resume(sql: sqlite3.Connection, destination: str) -> bool:
    """Send to it again. False if it was not paused."""
    return bool(sql.execute("DELETE FROM paused WHERE name = ?", (destination,)).rowcount)
