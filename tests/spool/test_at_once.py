"""Many threads at the same door."""

import threading
from collections import Counter
from datetime import timedelta

from posthouse.spool.records import Again, Settled
from posthouse.spool.spool import Spool
from tests.spool.ground import NOON, envelope, offer

MESSAGES, THREADS = 300, 4


def test_what_many_take_at_once_is_tried_once_by_one(spool: Spool) -> None:
    tried: Counter[tuple[str, int]] = Counter()
    lock, ready = threading.Lock(), threading.Event()

    def bring(number: int) -> None:
        for i in range(MESSAGES // THREADS):
            offer(spool, envelope(f"a@{i % 7}.example", f"b@{i % 3}.example", "c@x.example"))

    def deliver() -> None:
        idle = 0
        while idle < 20:
            works = spool.take_due(NOON, 10)
            idle = 0 if works else idle + ready.is_set()
            for work in works:
                with lock:
                    tried.update((work.id, index) for index in work.indices)
                spool.settle(work.id, dict.fromkeys(work.indices, Settled("delivered")))
            if not works:
                spool.flush()

    bringers = [threading.Thread(target=bring, args=(n,)) for n in range(THREADS)]
    takers = [threading.Thread(target=deliver) for _ in range(THREADS)]
    for thread in (*bringers, *takers):
        thread.start()
    for thread in bringers:
        thread.join()
    spool.flush()
    ready.set()
    for thread in takers:
        thread.join()
    assert len(tried) == 3 * MESSAGES
    assert set(tried.values()) == {1}
    assert spool.summary().messages == 0


def test_attempts_that_fail_are_counted_once_each(spool: Spool) -> None:
    message_id, answer = offer(spool, envelope("a@example.net"))
    assert answer.wait() is None
    for attempt in range(30):
        (work,) = spool.take_due(NOON, 10)
        assert work.recipients[0].attempts == attempt
        spool.settle(message_id, {0: Again(NOON - timedelta(seconds=1), "451")})
        spool.flush()
