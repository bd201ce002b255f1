"""After any power cut, at any moment, with any failure before it: all that was promised."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.lane import frame
from posthouse.spool.records import Again, Settled, StorageError
from posthouse.spool.recovery import records_in
from tests.spool.ground import HOUR, NOON, Answer, Clock, envelope, offer
from tests.spool.power import PowerDisk

OPERATIONS = 40


@pytest.fixture(autouse=True)
def kind() -> None:
    """Once is enough here: the spool is named below."""


@given(
    promised=st.lists(st.binary(max_size=40)),
    in_flight=st.lists(st.binary(max_size=40)),
    kept=st.integers(0, 400),
    garbage=st.binary(max_size=20),
)
def test_a_power_cut_costs_only_what_was_in_flight(
    promised: list[bytes], in_flight: list[bytes], kept: int, garbage: bytes
) -> None:
    safe = b"".join(frame(record) for record in promised)
    volatile = b"".join(frame(record) for record in in_flight)[:kept]
    found = list(records_in(safe + volatile + garbage))
    assert found[: len(promised)] == promised
    surplus = found[len(promised) :]
    assert surplus[: len(in_flight)] == in_flight[: len(surplus)]


class Life:
    """A spool in use, and what was promised of it."""

    def __init__(self, directory: Path, seed: int, *, failures: float, full: float) -> None:
        self.chance = random.Random(seed)
        self.disk = PowerDisk(random.Random(seed + 1), failures=failures, full=full)
        self.spool = JournaledSpool(
            directory,
            now=Clock(),
            disk=self.disk,
            reserve_octets=0,
            memory_octets=self.chance.choice([0, 3_000, 1_000_000]),
        )
        self.offered: dict[str, tuple[bytes, Answer]] = {}
        self.tried: set[str] = set()

    def go_on(self) -> None:
        for _ in range(self.chance.randrange(OPERATIONS)):
            self.chance.choices(
                (self.bring, self.deliver, self.look, self.wait), weights=(10, 5, 1, 3)
            )[0]()

    def bring(self) -> None:
        to = [f"a{i}@{self.chance.choice('abc')}.example" for i in range(self.chance.randint(1, 3))]
        sizes = [0, 10, 4000, 60_000, 300_000]
        content = self.chance.randbytes(self.chance.choices(sizes, weights=(4, 4, 4, 4, 1))[0])
        message_id, answer = offer(self.spool, envelope(*to), content)
        self.offered[message_id] = (content, answer)

    def deliver(self) -> None:
        for work in self.spool.take_due(NOON, self.chance.randint(1, 5)):
            self.tried.add(work.id)
            again = self.chance.random() < 0.3
            result = Again(NOON + HOUR, "451") if again else Settled("delivered", "250 ok")
            self.spool.settle(work.id, dict.fromkeys(work.indices, result))

    def look(self) -> None:
        self.spool.summary()

    def wait(self) -> None:
        if self.offered:
            self.chance.choice(list(self.offered.values()))[1].came.wait(5)

    def promised(self) -> dict[str, bytes]:
        return {
            message_id: content
            for message_id, (content, answer) in self.offered.items()
            if answer.calls == [None]
        }


@pytest.mark.parametrize(
    ("failures", "full"), [(0.0, 0.0), (0.03, 0.0), (0.0, 0.2)], ids=["sound", "failing", "filling"]
)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_promised_is_lost_or_torn_by_a_power_cut(
    failures: float, full: float, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        try:
            life = Life(directory / "spool", seed, failures=failures, full=full)
        except StorageError:
            return  # it could not even be opened: nothing was promised
        try:
            life.go_on()
            promised, tried = life.promised(), set(life.tried)
            life.disk.after_power_cut(directory / "spool", directory / "found")
        finally:
            life.spool.close()
        compare(directory / "found", promised, tried, life)
        compare(directory / "found", promised, tried, life)  # found again, nothing doubled


def compare(directory: Path, promised: dict[str, bytes], tried: set[str], life: Life) -> None:
    found = JournaledSpool(directory, now=Clock(), reserve_octets=0)
    try:
        there = {it.id: it for it in found.list_messages(limit=1000)}
        for message_id in promised.keys() - tried:
            assert found.content_octets(message_id) == promised[message_id]
            assert all(it.state == "waiting" for it in there[message_id].recipients)
        for message_id in there:
            assert found.content_octets(message_id) == life.offered[message_id][0]
        assert found.summary().messages == len(there)
    finally:
        found.close()
