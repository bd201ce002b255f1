"""What the spool's tests stand on: a clock by hand, and messages in one line."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from posthouse.mail.address import parse_mailbox, parse_reverse_path
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.spool.disk import Disk
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.records import StorageError, Work
from posthouse.spool.spool import Spool

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KINDS: dict[str, Callable[..., Spool]] = {"shelf": Spool, "journal": JournaledSpool}
KIND = "POSTHOUSE_TEST_SPOOL"  # in the environment: which of them `new_spool` makes
LARGE = b"0123456789abcde\n" * 20_000  # 320 KB: goes to a side file


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def advance(self, pause: timedelta) -> None:
        self.at += pause


def envelope(
    *to: str, sender: str = "<ann@example.com>", at: datetime = NOON, account: str = ""
) -> Envelope:
    recipients = tuple(Recipient(parse_mailbox(text)) for text in to)
    return Envelope(parse_reverse_path(sender), recipients, at, account=account)


class Answer:
    """Stands for a caller that waits for `done`."""

    def __init__(self) -> None:
        self.calls: list[StorageError | None] = []
        self.came = Event()

    def __call__(self, error: StorageError | None) -> None:
        self.calls.append(error)
        self.came.set()

    def wait(self) -> StorageError | None:
        assert self.came.wait(20), "done was never called"
        return self.calls[0]


def offer(
    spool: Spool, it: Envelope, content: bytes = b"Subject: x\r\n\r\nhello\r\n", hold: str = ""
) -> tuple[str, Answer]:
    """Hand a message in and do not wait."""
    intake, answer, message_id = spool.open_intake(), Answer(), spool.new_id()
    for start in range(0, len(content), 50_000):
        intake.write(content[start : start + 50_000])
    intake.commit(it, id=message_id, done=answer, hold=hold, case="C4SE" if hold else "")
    return message_id, answer


def accept(spool: Spool, it: Envelope, content: bytes = b"hello\r\n", hold: str = "") -> str:
    """Hand a message in and wait until it is safe."""
    message_id, answer = offer(spool, it, content, hold)
    error = answer.wait()
    assert error is None, error
    return message_id


def take(spool: Spool, now: datetime = NOON, limit: int = 100) -> dict[str, list[Work]]:
    """Take all that is due, by destination."""
    works: dict[str, list[Work]] = {}
    for work in spool.take_due(now, limit):
        works.setdefault(work.destination, []).append(work)
    return works


def new_spool(directory: Path, *, now: Callable[[], datetime], **more: object) -> Spool:
    """Open a spool of the kind that is tested: all of them keep the same promises."""
    return KINDS[os.environ.get(KIND, "journal")](directory, now=now, **more)


@contextmanager
def opened(
    directory: Path,
    clock: Clock | None = None,
    disk: Disk | None = None,
    reserve_octets: int = 1_000_000,
    memory_octets: int = 100_000,
) -> Iterator[Spool]:
    spool = new_spool(
        directory,
        now=clock or Clock(),
        disk=disk,
        reserve_octets=reserve_octets,
        memory_octets=memory_octets,
    )
    try:
        yield spool
    finally:
        spool.close()
