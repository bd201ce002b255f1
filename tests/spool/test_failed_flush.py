"""After a failed flush nothing is promised any more until a restart."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from posthouse.spool import lane
from posthouse.spool.disk import Disk
from posthouse.spool.records import Settled, StorageError
from tests.spool.ground import KIND, LARGE, NOON, accept, envelope, offer, opened, take

ROOT = Path(__file__).parents[2]


class DyingDisk(Disk):
    """Fails every flush once it is dying."""

    dying = False

    def flush(self, handle: int) -> None:
        if self.dying:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().flush(handle)

    def commit(self, connection: sqlite3.Connection) -> None:
        if self.dying:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        super().commit(connection)


@pytest.mark.parametrize("content", [b"short\r\n", LARGE], ids=["short", "large"])
def test_after_a_failed_flush_no_mail_is_taken_until_a_restart(
    tmp_path: Path, content: bytes
) -> None:
    disk = DyingDisk()
    with opened(tmp_path, disk=disk) as spool:
        first = accept(spool, envelope("a@example.net"))
        disk.dying = True
        error = offer(spool, envelope("b@example.net"), content)[1].wait()
        assert error is not None
        assert error.kind == "broken"
        disk.dying = False  # a second flush that succeeds would prove nothing
        again = offer(spool, envelope("c@example.net"))[1].wait()
        assert again is not None
        assert again.kind == "broken"
        assert spool.trouble is not None
        assert take(spool) == {}, "what cannot be recorded is not delivered"
        spool.settle(first, {0: Settled("delivered")})
        with pytest.raises(StorageError, match="restart"):
            spool.flush()
        assert spool.message(first) is not None, "one can still look"
    with opened(tmp_path) as spool:
        assert first in {work.id for work in spool.take_due(NOON, 10)}
        accept(spool, envelope("d@example.net"))


class ReadOnlyDisk(Disk):
    """Turns read-only before a flush: nobody can tell what of it was written."""

    def flush(self, handle: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_large_mail_whose_flush_failed_stops_the_mail_whatever_the_reason(tmp_path: Path) -> None:
    with opened(tmp_path, disk=ReadOnlyDisk()) as spool:
        error = offer(spool, envelope("a@example.net"), LARGE)[1].wait()
        assert error is not None
        assert error.kind == "broken"
        assert spool.trouble is not None


class DyingInTheMiddle(Disk):
    """Takes the beginning of a side file."""

    writes = 2

    def write(self, handle: int, octets: bytes) -> None:
        self.writes -= len(octets) > 1000
        if self.writes < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().write(handle, octets)


@pytest.mark.parametrize("disk", [ReadOnlyDisk, DyingInTheMiddle], ids=["flush", "write"])
def test_a_client_is_answered_though_what_it_began_cannot_even_be_removed(
    tmp_path: Path, disk: type[Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with opened(tmp_path, disk=disk()) as spool:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink)
            error = offer(spool, envelope("a@example.net"), 2 * LARGE)[1].wait()
        assert error is not None
        assert error.kind == "broken"


class FullAtAFlush(Disk):
    """Finds only in a flush that there is no room, and only once."""

    until = 3

    def flush_journal(self, handle: int) -> None:
        self.until -= 1
        if self.until == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().flush_journal(handle)


@pytest.mark.parametrize("flushes", [1, 2])
def test_a_flush_of_the_journal_that_found_no_room_proves_nothing_when_repeated(
    tmp_path: Path, flushes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.environ[KIND] != "journal":
        pytest.skip("there is none")
    monkeypatch.setattr(lane, "SEGMENT_OCTETS", 100)
    disk = FullAtAFlush()
    disk.until = flushes  # of a group, or of a segment that ends
    with opened(tmp_path, disk=disk) as spool:
        offer(spool, envelope("a@example.net"))[1].wait()
        error = offer(spool, envelope("b@example.net"))[1].wait()
        assert error is not None
        assert error.kind == "broken"
        assert offer(spool, envelope("b@example.net"))[1].wait() is not None


def test_a_failed_checkpoint_stops_the_mail_too(tmp_path: Path) -> None:
    class DyingLater(DyingDisk):
        def checkpoint(self, connection: sqlite3.Connection) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error

    with opened(tmp_path, disk=DyingLater()) as spool:
        answers = [offer(spool, envelope("a@example.net"), b"x" * 200_000)[1] for _ in range(100)]
        assert answers[0].wait() is None
        for answer in answers:
            answer.wait()
        with pytest.raises(StorageError, match="restart"):
            spool.flush()


FAILING = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int dying(void) { return access(getenv("DYING"), F_OK) == 0; }
static int flush(int call, int fd) { return dying() ? (errno = EIO, -1) : syscall(call, fd); }
int fdatasync(int fd) { return flush(SYS_fdatasync, fd); }
int fsync(int fd) { return flush(SYS_fsync, fd); }
"""

VICTIM = """
import os, sys
from pathlib import Path
from tests.spool.ground import *
content = LARGE if sys.argv[2] == "large" else b"short"
with opened(Path(sys.argv[1])) as spool:
    accept(spool, envelope("a@example.net"), content)
    Path(os.environ["DYING"]).touch()
    error = offer(spool, envelope("b@example.net"), content)[1].wait()
    assert error and error.kind == "broken", error
    Path(os.environ["DYING"]).unlink()
    error = offer(spool, envelope("b@example.net"), content)[1].wait()
    assert error and error.kind == "broken", error
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", ["short", "large"])
def test_a_flush_that_really_fails(tmp_path: Path, size: str) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    (tmp_path / "failing.c").write_text(FAILING)
    library = tmp_path / "failing.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, tmp_path / "failing.c"], check=True
    )
    environment = os.environ | {"LD_PRELOAD": str(library), "DYING": str(tmp_path / "dying")}
    subprocess.run(
        [sys.executable, "-c", VICTIM, str(tmp_path / "spool"), size],
        check=True,
        cwd=ROOT,
        env=environment,
        timeout=60,
    )
    with opened(tmp_path / "spool") as spool:
        works = spool.take_due(NOON, 10)
        assert all(spool.content_octets(work.id) for work in works)
        assert "a@example.net" in {str(work.envelope.recipients[0].mailbox) for work in works}
