"""How long an administrator waits: ``python -m bench.queue_commands [N]``.

N messages (1,000,000 by default) of 2,000 accounts wait for 50,000 destinations, each tried once;
one in a hundred is held. A server runs on them, and each command is a process of its own, as it is
typed. Goal: the summary of a million in under 1 s (issue 6).
"""

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from posthouse.lab.hosts import Host
from posthouse.mail.address import Mailbox, ReversePath
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.spool.records import Again
from posthouse.spool.spool import Spool
from posthouse.spool.writer import Done

CONTENT = b"Subject: weight\r\n\r\n" + b"x" * 600 + b"\r\n"
REPLIES = ("451 4.7.1 greylisted, try again in 300 s", "connection refused", "421 4.3.2 too busy")
IN_FLIGHT = 5_000
ROUNDS = 3
CONFIGURATION = """
hostname = "mail.example.com"
[domains."example.com"]
[listen.mx]
service = "smtp"
on = ["127.0.0.1:0"]
[storage]
directory = "storage"
"""
COMMANDS = (
    ("queue",),
    ("queue", "--json"),
    ("queue", "list"),
    ("queue", "list", "--held"),
    ("queue", "list", "--domain", "big.example"),
    ("queue", "list", "--sender", "nobody@"),
    ("queue", "list", "--recipient", "nobody@"),
    ("queue", "list", "--account", "nobody@example.com"),
    ("queue", "list", "--reason", "nothing of the kind"),
    ("queue", "list", "--older-than", "2d"),
    ("queue", "summary", "--account", "user5@example.com"),
    ("queue", "summary", "--domain", "big.example", "--older-than", "1d"),
    ("queue", "summary", "--reason", "refused"),
    ("status",),
)


class Full(Host):
    """The server with the queue."""

    def memory_megabytes(self) -> float:
        """Resident, at this moment."""
        assert self._process is not None, "it runs"
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = [it for it in status.splitlines() if it.startswith("VmRSS:")]
        return int(line.split()[1]) / 1000


def fill(directory: Path, count: int) -> None:
    """Put messages into a spool through its own door."""
    began, chance, room = datetime.now(UTC), random.Random(6), threading.Semaphore(IN_FLIGHT)
    at = began - timedelta(days=3)
    spool = Spool(directory, now=lambda: at)
    done: Done = lambda _: room.release()  # noqa: E731 - a word for it
    for number in range(count):
        at = began - timedelta(days=3) + number * timedelta(days=2.9) / count
        account = f"user{chance.randrange(2000)}"
        sender = ReversePath(Mailbox(account, "example.com"))
        to = Recipient(Mailbox(f"r{number}", destination(chance)))
        envelope = Envelope(sender, (to,), at, account=f"{account}@example.com")
        message_id, hold = spool.new_id(), "" if number % 100 else "looks-like-spam"
        room.acquire()
        intake = spool.open_intake()
        intake.write(CONTENT)
        intake.commit(envelope, id=message_id, done=done, hold=hold)
        if not hold:
            due = began + timedelta(hours=2, seconds=chance.randrange(20_000))
            again = Again(due, chance.choice(REPLIES), "mx.example", delay_told=True)
            spool.settle(message_id, {0: again})
    spool.flush()
    spool.close()


def destination(chance: random.Random) -> str:
    """A few large ones, and many with a message or two."""
    kind = chance.random()
    if kind < 0.3:
        return "big.example"
    if kind < 0.5:
        return f"mid{chance.randrange(20)}.example"
    return f"d{int(chance.paretovariate(0.35)) % 50_000}.example"


def timed(work: Callable[[], object]) -> float:
    """Return the seconds it took."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    """Fill, start, ask, print the best of some rounds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-") as name:
        host = Full("full", Path(name), CONFIGURATION)
        spool = Path(name) / "storage" / "spool"
        spool.mkdir()
        print(f"{count} messages put in: {timed(lambda: fill(spool, count)):.0f} s")
        print(f"start: {timed(host.start):.2f} s")
        try:
            print(f"memory: {host.memory_megabytes():.0f} MB")
            for words in COMMANDS:
                command = [sys.executable, "-m", "posthouse", "--config", f"{name}/posthouse.toml"]

                def asked(whole: tuple[str, ...] = (*command, *words)) -> None:
                    subprocess.run(whole, capture_output=True, check=False)

                seconds = min(timed(asked) for _ in range(ROUNDS))
                print(f"{seconds:5.2f} s  posthouse {' '.join(words)}")
        finally:
            host.stop()


if __name__ == "__main__":
    main()
