"""All changes of the spool's tables. Only the writer thread comes here, inside a transaction.

Guarantee: a message is gone only when every recipient is settled. The counters by destination
are changed in the same transaction as what they count, so they can never disagree after a crash.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct, msgpack

from posthouse.mail.envelope import Envelope
from posthouse.spool import directions, jumps, moved
from posthouse.spool.identifiers import id_of, number_of
from posthouse.spool.journeys import REPLY_SIGNS_MAX, accepted_text
from posthouse.spool.jumps import Jump
from posthouse.spool.moved import Moved, Row
from posthouse.spool.records import Again, Postponed, Result, Settled
from posthouse.spool.times import to_number
from posthouse.telemetry.database import insert_rows

SLICE: Final = 1000
VACUUM_PAGES: Final = 4000


class Arrival(Struct, frozen=True):
    """A message to be shelved.

    Attributes:
        id: Its queue id.
        envelope: Whom from, whom for.
        content: All of it, or what comes before the side file's octets.
        octets: Size of all of it.
        file: Name of the side file; "" if there is none.
        hold: Why it is held from the start; "" if it is not.
        case: Case id of the decision that held it.
    """

    id: str
    envelope: Envelope
    content: bytes
    octets: int
    file: str = ""
    hold: str = ""
    case: str = ""


class Shelf:
    """The tables, as verbs."""

    def __init__(self, connection: sqlite3.Connection, removed: Callable[[str, str], None]) -> None:
        """Write through `connection`; tell `removed` the id and side file of what is gone."""
        self._sql = connection
        self._tell_removed = removed
        self._waiting: dict[str, int] = {}  # destination -> change of the counter
        self._held: dict[str, int] = {}
        self._messages = self._messages_held = self._octets = 0
        self._gone: list[tuple[str, str]] = []

    # ------------------------------------------------------------ what the writer calls

    def finish(self) -> None:
        """Bring the counters and next due times in step."""
        for name in self._waiting.keys() | self._held.keys():
            self._sql.execute(
                "INSERT INTO destination (name, waiting, held, next_due) VALUES (?1, ?2, ?3,"
                " (SELECT min(due) FROM recipient WHERE destination = ?1 AND due IS NOT NULL))"
                " ON CONFLICT DO UPDATE SET waiting = waiting + excluded.waiting,"
                " held = held + excluded.held, next_due = excluded.next_due",
                (name, self._waiting.get(name, 0), self._held.get(name, 0)),
            )
            self._sql.execute(
                "DELETE FROM destination WHERE name = ? AND waiting <= 0 AND held <= 0", (name,)
            )
        if self._messages or self._messages_held or self._octets:
            self._sql.execute(
                "UPDATE totals SET messages = messages + ?, held = held + ?, octets = octets + ?",
                (self._messages, self._messages_held, self._octets),
            )

    def committed(self) -> None:
        """What was written is safe: what nothing names any more may go."""
        gone = self._gone
        self.forget()
        for message_id, file in gone:
            self._tell_removed(message_id, file)

    def forget(self) -> None:
        """What was counted did not happen."""
        self._waiting, self._held, self._gone = {}, {}, []
        self._messages = self._messages_held = self._octets = 0

    # ------------------------------------------------------------ verbs

    def accept(self, arrival: Arrival) -> None:
        """Shelve a new message; its recipients are due at once unless it is held."""
        envelope, number = arrival.envelope, number_of(arrival.id)
        accepted = to_number(envelope.accepted)
        mailbox = envelope.reverse_path.mailbox
        sender = str(mailbox) if mailbox else ""
        self._sql.execute(
            "INSERT INTO message (number, id, accepted, sender, account, octets, hold, hold_case,"
            " held, file, envelope, deadline) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                arrival.id,
                accepted,
                sender,
                envelope.account,
                arrival.octets,
                arrival.hold,
                arrival.case,
                accepted if arrival.hold else None,
                arrival.file,
                msgpack.encode(envelope),
                to_number(envelope.deliver_by) if envelope.deliver_by else None,
            ),
        )
        self._sql.execute("INSERT INTO content VALUES (?, ?)", (number, arrival.content))
        due = None if arrival.hold else to_number(envelope.due)
        self._accept_recipients(number, envelope, due)
        self._messages += 1
        self._messages_held += bool(arrival.hold)
        self._octets += arrival.octets
        held = f"; held: {arrival.hold}" if arrival.hold else ""
        self._note(number, accepted, accepted_text(envelope, arrival.octets) + held)

    def accept_once(self, arrival: Arrival) -> bool:
        """Shelve a message unless it was here before, even if it is gone; whether it was new."""
        known = self._sql.execute(
            "SELECT 1 FROM journey WHERE number = ?", (number_of(arrival.id),)
        ).fetchone()
        if known is None:
            self.accept(arrival)
        return known is None

    def adopt(self, batch: Sequence[Moved]) -> list[Moved]:
        """Take messages from another shelf as they are; those that this one has now.

        One whose number belongs to another message here is left out.
        """
        here = [(it, moved.is_here(self._sql, it)) for it in batch]
        for it, known in here:
            if known is False:
                moved.insert(self._sql, it)
                self._messages += 1
                self._messages_held += it.is_held
                self._octets += it.octets
                for destination in it.waiting_for:
                    self._count(self._held if it.is_held else self._waiting, destination, 1)
        return [it for it, known in here if known is not None]

    def adopt_rest(self, table: str, rows: Sequence[Row]) -> None:
        """Take what belongs to no message: journeys, pauses."""
        moved.insert_rest(self._sql, table, rows)

    def note_journeys(self, notes: Sequence[tuple[int, int, str]]) -> None:
        """Record what happened to messages that were never here: number, time and text."""
        insert_rows(self._sql, "journey", ("number", "at", "text"), notes)

    def settle(
        self,
        message_id: str,
        results: Mapping[int, Result],
        offspring: Iterable[Arrival],
        at: datetime,
    ) -> None:
        """Record how an attempt ended; what is settled or gone already stays as it is.

        A repeated outcome has no offspring: it had them the first time.
        """
        number, now = number_of(message_id), to_number(at)
        row = self._sql.execute("SELECT hold FROM message WHERE number = ?", (number,)).fetchone()
        fresh = row is not None and not results
        for place, result in results.items():
            fresh = self._settle_one(number, place, result, now, held=bool(row and row[0])) or fresh
        for child in offspring:
            if fresh:
                self.accept(child)
                self._note(number, now, f"gave rise to {child.id}")
            else:
                self._gone.append((child.id, child.file))
        if row is not None:
            self._remove_if_settled(number)

    def hold(self, message_id: str, why: str, case: str, at: datetime) -> bool:
        """Keep a message for a person to look at. False if there is no such message."""
        number, now = number_of(message_id), to_number(at)
        changed = self._sql.execute(
            "UPDATE message SET hold = ?, hold_case = ?, held = ? WHERE number = ? AND hold = ''",
            (why, case, now, number),
        ).rowcount
        if changed:
            self._messages_held += 1
            self._shift(number, held=True, due=None)
            self._note(number, now, f"held: {why}")
        return bool(changed) or self._exists(number)

    def release(self, message_id: str, at: datetime, *, bounce: str = "") -> bool:
        """Let a held message go, or mark any for its return to the sender.

        False if there is no such message; one that is not held is left as it is.
        """
        number, now = number_of(message_id), to_number(at)
        row = self._sql.execute("SELECT hold FROM message WHERE number = ?", (number,)).fetchone()
        if row is None or not (row[0] or bounce):
            return row is not None
        self._sql.execute(
            "UPDATE message SET hold = '', hold_case = '', held = NULL, bounce = ?"
            " WHERE number = ?",
            (bounce, number),
        )
        if row[0]:
            self._messages_held -= 1
            self._shift(number, held=False, due=now)
        else:
            self._hurry(number, now)
        self._note(number, now, f"to be returned: {bounce}" if bounce else "released")
        return True

    def retry(self, message_id: str, at: datetime) -> bool:
        """Make a message that waits due now. False if there is none, or it is held."""
        number, now = number_of(message_id), to_number(at)
        hurried = self._hurry(number, now)
        if hurried:
            self._note(number, now, "to be tried now")
        return bool(hurried)

    def retry_some(self, destination: str, after: int, at: datetime) -> tuple[int, int]:
        """Make a slice of all that waits (for one destination, if named) due now.

        Returns:
            How many recipients, and behind which message the next slice begins; 0: it was the last.
        """
        hurried, last = directions.retry_some(self._sql, destination, after, at)
        if destination:
            self._count(self._waiting, destination, 0)
        return hurried, last

    def move(self, message_id: str, via: str, at: datetime) -> bool:
        """Choose another way for a message ("" gives it back to its route) and try it now."""
        number, now = number_of(message_id), to_number(at)
        if not self._exists(number):
            return False
        self._sql.execute("UPDATE message SET via = ? WHERE number = ?", (via, number))
        self._hurry(number, now)
        self._note(number, now, f"moved to {via}" if via else "given back to its route")
        return True

    def postpone(self, what: Postponed, at: datetime) -> int:
        """Put off what is due at a destination; how many recipients."""
        self._count(self._waiting, what.destination, 0)
        return directions.postpone(self._sql, what, at)

    def move_times(self, jump: Jump) -> int:
        """Move a slice of all times with the clock; behind which message the next begins."""
        return self._recount(*jumps.move_times(self._sql, jump))

    def mend_future(self, now: datetime) -> None:
        """Date what lies in the future as if it happened now."""
        self._recount(0, jumps.mend_future(self._sql, now))

    def _recount(self, last: int, destinations: set[str]) -> int:
        for destination in destinations:
            self._count(self._waiting, destination, 0)
        return last

    def pause(self, destination: str, why: str, at: datetime) -> None:
        """Send nothing to a destination until `resume`."""
        directions.pause(self._sql, destination, why, at)

    def resume(self, destination: str) -> bool:
        """Send to it again. False if it was not paused."""
        return directions.resume(self._sql, destination)

    def drop(self, message_id: str, why: str, at: datetime) -> bool:
        """Remove a message for good, because a person said so."""
        number, now = number_of(message_id), to_number(at)
        if not self._exists(number):
            return False
        for (place,) in self._sql.execute(
            "SELECT place FROM recipient WHERE number = ? AND state = 'waiting'", (number,)
        ).fetchall():
            (held,) = self._sql.execute(
                "SELECT hold <> '' FROM message WHERE number = ?", (number,)
            ).fetchone()
            self._settle_one(number, place, Settled("dropped", why), now, held=held)
        self._remove_if_settled(number)
        return True

    def prune_journeys(self, before: datetime, after_entry: int) -> int:
        """Forget old steps of messages that are gone, a slice at a time.

        Returns:
            Where the next slice begins; 0 when all was looked at.
        """
        rows = self._sql.execute(
            "SELECT entry, at FROM journey WHERE entry > ? ORDER BY entry LIMIT ?",
            (after_entry, SLICE),
        ).fetchall()
        old = [entry for entry, at in rows if at < to_number(before)]
        if not old:
            return 0
        self._sql.execute(
            "DELETE FROM journey WHERE entry BETWEEN ? AND ? AND at < ?"
            " AND number NOT IN (SELECT number FROM message)",
            (old[0], old[-1], to_number(before)),
        )
        return int(old[-1]) if len(rows) == SLICE else 0

    def give_room_back(self) -> None:
        """Let the file shrink by what it does not need, at most by some megabytes."""
        self._sql.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()

    # ------------------------------------------------------------ details

    def _accept_recipients(self, number: int, envelope: Envelope, due: int | None) -> None:
        assert envelope.recipients, "a message without recipients would never be settled"
        mailboxes = [recipient.mailbox for recipient in envelope.recipients]
        self._sql.executemany(
            "INSERT INTO recipient (number, place, destination, address, due)"
            " VALUES (?, ?, ?, ?, ?)",
            [(number, i, it.domain, str(it), due) for i, it in enumerate(mailboxes)],
        )
        counter = self._held if due is None else self._waiting
        for mailbox in mailboxes:
            self._count(counter, mailbox.domain, 1)

    def _settle_one(self, number: int, place: int, result: Result, now: int, *, held: bool) -> bool:
        row = self._sql.execute(
            "SELECT destination, address FROM recipient"
            " WHERE number = ? AND place = ? AND state = 'waiting'",
            (number, place),
        ).fetchone()
        if row is None:
            return False
        destination, address = row
        again = isinstance(result, Again)
        state = "waiting" if isinstance(result, Again) else result.kind
        due = to_number(result.due) if isinstance(result, Again) and not held else None
        told = isinstance(result, Again) and result.delay_told
        reply = result.reply[:REPLY_SIGNS_MAX]
        self._sql.execute(
            "UPDATE recipient SET state = ?, attempts = attempts + 1, due = ?, last_attempt = ?,"
            " last_reply = ?, last_host = ?, delay_told = delay_told OR ?"
            " WHERE number = ? AND place = ?",
            (state, due, now, reply, result.host, told, number, place),
        )
        self._count(self._held if held else self._waiting, destination, 0 if again else -1)
        if state != "delivered":
            self._sql.execute(
                "INSERT INTO destination (name, last_reply) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET last_reply = excluded.last_reply",
                (destination, reply),
            )
        who = ", ".join(it for it in (result.host, result.tls) if it)
        said = ": ".join(it for it in (who, reply) if it)
        words = f" ({said})" if said else ""
        self._note(number, now, f"<{address}>: {'to be tried again' if again else state}{words}")
        return True

    def _remove_if_settled(self, number: int) -> None:
        (unsettled,) = self._sql.execute(
            "SELECT count(*) FROM recipient WHERE number = ? AND state = 'waiting'", (number,)
        ).fetchone()
        if unsettled:
            return
        octets, hold, file = self._sql.execute(
            "SELECT octets, hold, file FROM message WHERE number = ?", (number,)
        ).fetchone()
        for table in ("message", "content", "recipient"):
            self._sql.execute(f"DELETE FROM {table} WHERE number = ?", (number,))  # noqa: S608 - constants
        self._messages -= 1
        self._messages_held -= bool(hold)
        self._octets -= octets
        self._gone.append((id_of(number), file))

    def _shift(self, number: int, *, held: bool, due: int | None) -> None:
        """Move the waiting recipients of a message between the two counters."""
        for (destination,) in self._sql.execute(
            "SELECT destination FROM recipient WHERE number = ? AND state = 'waiting'", (number,)
        ).fetchall():
            self._count(self._held, destination, 1 if held else -1)
            self._count(self._waiting, destination, -1 if held else 1)
        self._sql.execute(
            "UPDATE recipient SET due = ? WHERE number = ? AND state = 'waiting'", (due, number)
        )

    def _hurry(self, number: int, now: int) -> int:
        hurried = self._sql.execute(
            "UPDATE recipient SET due = ? WHERE number = ? AND due IS NOT NULL"
            " RETURNING destination",
            (now, number),
        ).fetchall()
        for (destination,) in hurried:
            self._count(self._waiting, destination, 0)
        return len(hurried)

    def _exists(self, number: int) -> bool:
        found = self._sql.execute("SELECT 1 FROM message WHERE number = ?", (number,)).fetchone()
        return found is not None

    def _note(self, number: int, at: int, text: str) -> None:
        self._sql.execute(
            "INSERT INTO journey (number, at, text) VALUES (?, ?, ?)", (number, at, text)
        )

    @staticmethod
    def _count(counter: dict[str, int], destination: str, change: int) -> None:
        counter[destination] = counter.get(destination, 0) + change
