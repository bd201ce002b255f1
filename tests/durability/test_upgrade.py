"""What an older version left when it was killed is opened whole; a newer one's is left alone."""

import json
import sqlite3
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from posthouse.server.troubles import EXIT_UNAVAILABLE
from posthouse.spool import database
from posthouse.spool.journaled import JournaledSpool
from posthouse.spool.lane import MAGIC
from posthouse.spool.records import Settled
from tests.durability.fixtures.make import expected
from tests.end_to_end.server import Server, configuration
from tests.spool.ground import HOUR, NOON, Clock, accept, envelope

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.tar.xz"))


@pytest.fixture(params=FIXTURES, ids=lambda path: path.name.partition(".")[0])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The directory of a spool that an older version wrote; `fixtures/make.py` made it."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path / "spool", filter="data")
    return tmp_path / "spool"


def test_an_older_spool_that_was_killed_opens_with_all_its_messages(older: Path) -> None:
    wanted = json.loads((older / "expected.json").read_text())
    assert len(wanted) == 7
    for _ in range(2):  # opened again, nothing is doubled
        spool = JournaledSpool(older, now=Clock(), reserve_octets=0)
        try:
            assert expected(spool) == wanted
            assert spool.summary().messages == len(wanted)
        finally:
            spool.close()
    with closing(sqlite3.connect(older / "spool.db")) as sql:
        assert sql.execute("PRAGMA user_version").fetchone() == (len(database.UPGRADES),)


def test_what_waited_in_an_older_spool_is_delivered_and_new_mail_is_taken(older: Path) -> None:
    wanted = json.loads((older / "expected.json").read_text())
    spool = JournaledSpool(older, now=Clock(), reserve_octets=0)
    try:
        assert accept(spool, envelope("z@new.example")) > max(it["id"] for it in wanted)
        works = spool.take_due(NOON + 2 * HOUR, 100)
        waiting = {it["id"] for it in wanted if not it["hold"]}
        assert waiting < {work.id for work in works}
        for work in works:
            spool.settle(work.id, dict.fromkeys(work.indices, Settled("delivered")))
        spool.flush()
        assert [it.hold for it in spool.list_messages()] == ["looks odd"]
    finally:
        spool.close()


@pytest.mark.slow
@pytest.mark.parametrize("part", ["database", "journal"])
def test_a_server_does_not_touch_a_newer_spool_and_says_which_program_to_use(
    part: str, tmp_path: Path
) -> None:
    server = Server(tmp_path, configuration())
    spool = server.storage / "spool"
    JournaledSpool(spool, now=Clock()).close()
    path = spool / "spool.db"
    if part == "database":
        with closing(sqlite3.connect(path)) as sql:
            sql.execute("PRAGMA user_version = 99")
    else:
        path = spool / "journal" / "000000000001.journal"
        path.write_bytes(MAGIC[:-1] + b"9" + b"from the future")
    before = path.read_bytes()
    done = subprocess.run(server.command(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EXIT_UNAVAILABLE, done
    assert str(path) in done.stderr
    assert "newer Posthouse" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == before
