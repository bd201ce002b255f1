"""What is put off or stopped for a whole destination. Only the writer thread comes here."""

import sqlite3
from datetime import datetime, timedelta
from typing import Final

from posthouse.spool.records import Postponed
from posthouse.spool.times import to_number

_MICROSECOND: Final = timedelta(microseconds=1)


def postpone(sql: sqlite3.Connection, it: Postponed, at: datetime) -> int:
    """Put off what is due at a destination; how many recipients. Counts as no attempt."""
    until = to_number(it.until)
    return sql.execute(
        "UPDATE recipient SET due = ?1 WHERE destination = ?2 AND due <= ?3"
        " AND EXISTS (SELECT 1 FROM message AS m WHERE m.number = recipient.number"
        " AND m.bounce = '' AND m.via = '' AND (m.accepted + ?4 > ?1"
        " OR (recipient.delay_told AND m.accepted + ?5 > ?1)))",
        (
            until,
            it.destination,
            to_number(at),
            it.tell_after // _MICROSECOND,
            it.give_up_after // _MICROSECOND,
        ),
    ).rowcount


def pause(sql: sqlite3.Connection, destination: str, why: str, at: datetime) -> None:
    """Send nothing to a destination until `resume`."""
    sql.execute(
        "INSERT INTO paused VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET why = excluded.why",
        (destination, to_number(at), why),
    )


def resume(sql: sqlite3.Connection, destination: str) -> bool:
    """Send to it again. False if it was not paused."""
    return bool(sql.execute("DELETE FROM paused WHERE name = ?", (destination,)).rowcount)
