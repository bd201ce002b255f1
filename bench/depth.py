"""What a deep queue costs the spool: start, memory, and acceptance: ``python -m bench.depth [N]``.

N messages (100,000 by default) wait for 1,000 destinations. The peer is the same spool, empty.
"""

import gc
import os
import shutil
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.mail.envelope import Envelope, Recipient
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.records import Settled, StorageError

SENDER = ReversePath(Mailbox("ann", "example.com"))
CONTENT = b"Subject: weight\r\n\r\n" + b"x" * 4000
BATCH = 500


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def bring(spool: JournaledSpool, count: int, *, due: datetime, content: bytes = CONTENT) -> float:
    """Hand in so many messages, some hundreds at a time; how many a second."""
    began = time.perf_counter()
    for start in range(0, count, BATCH):
        safe = threading.Semaphore(0)

        def done(error: StorageError | None, safe: threading.Semaphore = safe) -> None:
            assert error is None, error
            safe.release()

        size = min(BATCH, count - start)
        for number in range(start, start + size):
            to = Recipient(Mailbox("bob", f"d{number % 1000}.example.net"))
            intake = spool.open_intake()
            intake.write(content)
            envelope = Envelope(SENDER, (to,), now(), release=due)
            intake.commit(envelope, id=spool.new_id(), done=done)
        for _ in range(size):
            safe.acquire()
    return count / (time.perf_counter() - began)


def deliver(spool: JournaledSpool, count: int) -> float:
    """Take and settle so many; how many a second."""
    began, settled = time.perf_counter(), 0
    while settled < count:
        for work in spool.take_due(now(), 200, each=40):
            spool.settle(work.id, dict.fromkeys(work.indices, Settled("delivered", "250 ok")))
            settled += 1
    spool.flush()
    return count / (time.perf_counter() - began)


def resident_octets() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(directory: Path, depth: int) -> None:
    """Fill a spool, open it again, and use it."""
    spool = JournaledSpool(directory, now=now)
    later = now() + timedelta(days=1)
    filled = bring(spool, depth, due=later, content=b"x") if depth else 0
    spool.close()
    gc.collect()
    before, began = resident_octets(), time.perf_counter()
    spool = JournaledSpool(directory, now=now)
    opened = time.perf_counter() - began
    memory = (resident_octets() - before) / depth if depth else 0
    accepted = bring(spool, 5000, due=now())
    delivered = deliver(spool, 5000)
    spool.close()
    print(
        f"{depth:>9,} queued: filled at {filled:,.0f}/s, opened in {opened:.2f} s,"
        f" {memory:.0f} octets of memory each, accepts {accepted:,.0f}/s,"
        f" settles {delivered:,.0f}/s"
    )


def main() -> None:
    """Measure an empty spool and a deep one, in turns."""
    depth = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for _ in range(2):
        for queued in (0, depth):
            directory = Path(tempfile.mkdtemp(prefix="posthouse-bench-"))
            try:
                measure(directory, queued)
            finally:
                shutil.rmtree(directory)


if __name__ == "__main__":
    main()
