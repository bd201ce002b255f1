"""A process that fills and empties a spool until it is killed; it says what it was promised.

taken ID     `done(None)` came for the message
trying ID    it was taken for delivery: from now on it may be gone
"""

import hashlib
import os
import random
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from posthouse.spool.records import Again, Settled, StorageError
from posthouse.spool.spool import Spool
from tests.spool.ground import envelope, new_spool


def now() -> datetime:
    return datetime.now(UTC)


def content_of(message_id: str) -> bytes:
    """A content that can be told from the id: short, long or very long."""
    digest = hashlib.sha256(message_id.encode()).digest()
    return digest * (1 + digest[0] % 50 if digest[1] % 8 else 12_000)


def say(word: str, message_id: str) -> None:
    os.write(1, f"{word} {message_id}\n".encode())


def bring(spool: Spool) -> None:
    while True:
        came = threading.Event()
        intake, message_id = spool.open_intake(), spool.new_id()
        intake.write(content_of(message_id))

        def done(
            error: StorageError | None, came: threading.Event = came, it: str = message_id
        ) -> None:
            if error is None:
                say("taken", it)
            came.set()

        it = envelope(f"a@{random.randrange(9)}.example", "b@other.example", at=now())
        intake.commit(it, id=message_id, done=done)
        came.wait()


def deliver(spool: Spool) -> None:
    while True:
        for work in spool.take_due(now(), 5):
            say("trying", work.id)
            again = random.random() < 0.3
            result = Again(now() + timedelta(hours=1)) if again else Settled("delivered")
            spool.settle(work.id, dict.fromkeys(work.indices, result))
        threading.Event().wait(0.01)


def main() -> None:
    spool = new_spool(Path(sys.argv[1]), now=now)
    say("ready", "-")
    for target in (bring, bring, bring, deliver):
        threading.Thread(target=target, args=(spool,), daemon=True).start()
    threading.Event().wait(20)


if __name__ == "__main__":
    main()
