"""A full disk: who waits is told, nothing accepted is lost, and it recovers by itself."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.spool.disk import Disk
from posthouse.spool.records import Offspring, Settled, StorageError
from posthouse.spool.spool import RESERVE_OCTETS
from posthouse.spool.writer import GROUP_CHANGES_MAX, Change
from tests.spool.ground import LARGE, NOON, accept, envelope, offer, opened, take

ROOT = Path(__file__).parents[2]


class FillingDisk(Disk):
    """Has room, or has none."""

    full = False

    def write(self, handle: int, octets: bytes) -> None:
        if self.full:
            raise OSError(28, os.strerror(28))
        super().write(handle, octets)

    def commit(self, connection: sqlite3.Connection) -> None:
        if self.full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        super().commit(connection)


@pytest.mark.parametrize("content", [b"short\r\n", LARGE], ids=["short", "large"])
def test_a_full_disk_is_told_and_recovers_by_itself(tmp_path: Path, content: bytes) -> None:
    disk = FillingDisk()
    with opened(tmp_path, disk=disk) as spool:
        before = accept(spool, envelope("a@example.net"), content)
        disk.full = True
        _, answer = offer(spool, envelope("b@example.org"), content)
        error = answer.wait()
        assert error is not None
        assert error.kind == "full"
        assert spool.trouble is None
        disk.full = False
        after = accept(spool, envelope("c@example.org"), content)
        assert [it.id for it in spool.list_messages()] == [before, after]
        assert len(list((tmp_path / "large").iterdir())) == (2 if content is LARGE else 0)


def test_who_asks_is_answered_also_behind_more_outcomes_than_a_group_holds(tmp_path: Path) -> None:
    disk, answers = FillingDisk(), list[StorageError | None]()
    with opened(tmp_path, disk=disk) as spool:
        disk.full = True
        for _ in range(2 * GROUP_CHANGES_MAX):
            spool._writer.submit(Change(lambda: None, answers.append, lazy=True))
        asked = threading.Event()
        spool._writer.submit(Change(lambda: None, lambda _: asked.set()))
        told = asked.wait(5)
        disk.full = False
        assert told
    assert answers == [None] * (2 * GROUP_CHANGES_MAX), "and the outcomes are kept"


def test_no_outcome_is_lost_on_a_full_disk(tmp_path: Path) -> None:
    disk = FillingDisk()
    with opened(tmp_path, disk=disk) as spool:
        it = accept(spool, envelope("a@example.net", "b@example.org"))
        (work,) = take(spool)["example.net"]
        disk.full = True
        spool.settle(it, dict.fromkeys(work.indices, Settled("delivered")))
        with pytest.raises(StorageError) as caught:
            spool.flush()
        assert caught.value.kind == "full"
        assert "example.net" not in take(spool), "it is not tried twice meanwhile"
        disk.full = False
        spool.flush()
        message = spool.message(it)
        assert message is not None
        assert message.recipients[0].state == "delivered"


def test_a_large_copy_waits_for_room_with_its_outcome(tmp_path: Path) -> None:
    disk = FillingDisk()
    with opened(tmp_path, disk=disk) as spool:
        it = accept(spool, envelope("a@example.net"))
        disk.full = True
        copy = Offspring(spool.new_id(), envelope("b@example.org"), LARGE)
        spool.settle(it, {0: Settled("expanded")}, offspring=[copy])
        with pytest.raises(StorageError):
            spool.flush()
        disk.full = False
        spool.flush()
        assert spool.message(it) is None
        assert spool.content_octets(copy.id) == LARGE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Memory as a disk."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    with opened(small_disk, reserve_octets=RESERVE_OCTETS) as spool:
        accepted = []
        while True:
            message_id, answer = offer(spool, envelope("a@example.net"), b"x" * 100_000)
            error = answer.wait()
            if error is not None:
                break
            accepted.append(message_id)
        assert error.kind == "full"
        assert len(accepted) > 10
        _, answer = offer(spool, envelope("a@example.net"), b"x" * 70_000_000)
        large = answer.wait()
        assert large is not None
        assert large.kind == "full"
        for message_id in accepted:
            assert spool.content_octets(message_id) == b"x" * 100_000
        # Outcomes can be recorded, and recording them makes room.
        while works := spool.take_due(NOON, 1000, each=1000):
            for work in works:
                spool.settle(work.id, {0: Settled("delivered")})
            spool.flush()
        assert spool.summary().messages == 0
        for _ in range(3):  # the first are refused, and make the files small
            _, answer = offer(spool, envelope("b@example.org"), b"x" * 100_000)
            if answer.wait() is None:
                break
            spool.flush()
        assert answer.wait() is None
    with opened(small_disk) as spool:
        assert "example.org" in take(spool)


LIMITED = """
import resource, sys
from pathlib import Path
from tests.spool.ground import *
with opened(Path(sys.argv[1])) as spool:
    first = accept(spool, envelope("a@example.net"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, resource.RLIM_INFINITY))
    kinds = set()
    for _ in range(40):
        error = offer(spool, envelope("a@example.net"), b"x" * 50_000)[1].wait()
        kinds.add(error.kind if error else "")
    assert kinds == {"", "full"}, kinds
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert spool.trouble is None
    accept(spool, envelope("b@example.org"))
    assert spool.content_octets(first) == b"hello\\r\\n"
"""


def test_a_limit_on_file_size_counts_as_full(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], check=True, cwd=ROOT, timeout=60)
    with opened(tmp_path) as spool:
        assert "example.org" in {work.destination for work in spool.take_due(NOON, 100)}
