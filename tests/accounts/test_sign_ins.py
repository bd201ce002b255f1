import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from posthouse.accounts import sign_ins as module
from posthouse.accounts.sign_ins import PopSignIns
from posthouse.accounts.store import StoreError
from posthouse.accounts.usage import UsageCounters
from posthouse.telemetry.cases import CaseReader, CaseStore

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOME, MAPPED = ip_address("192.0.2.7"), ip_address("::ffff:192.0.2.7")


class Clock:
    time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sign-ins.db"


def test_the_last_command_of_each_account_counts(path: Path, clock: Clock) -> None:
    sign_ins = PopSignIns(path, now=clock)
    sign_ins.note(HOME, "ann@example.com", NOON)
    sign_ins.note(MAPPED, "ann@example.com", NOON - timedelta(hours=1))
    sign_ins.note(MAPPED, "bob@example.com", NOON - timedelta(minutes=5))
    assert sign_ins.sessions_from(HOME) == (
        ("ann@example.com", NOON),
        ("bob@example.com", NOON - timedelta(minutes=5)),
    )
    assert sign_ins.sessions_from(MAPPED) == sign_ins.sessions_from(HOME)
    assert sign_ins.sessions_from(ip_address("192.0.2.8")) == ()
    sign_ins.close()


def test_a_restart_keeps_them(path: Path, clock: Clock) -> None:
    sign_ins = PopSignIns(path, now=clock)
    sign_ins.note(HOME, "ann@example.com", NOON)
    sign_ins.close()
    sign_ins = PopSignIns(path, now=clock)
    assert sign_ins.sessions_from(HOME) == (("ann@example.com", NOON),)
    sign_ins.close()


def test_an_ended_window_is_remembered_for_a_day(path: Path, clock: Clock) -> None:
    sign_ins = PopSignIns(path, keep=timedelta(days=1), now=clock)
    sign_ins.note(HOME, "ann@example.com", NOON)
    clock.time = NOON + timedelta(hours=23)
    assert sign_ins.sessions_from(HOME)
    clock.time = NOON + timedelta(hours=24)
    assert not sign_ins.sessions_from(HOME)
    sign_ins._forgot = NOON
    sign_ins._save()
    assert sign_ins._sessions == {}
    sign_ins.close()
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    file.close()


def test_memory_is_bounded(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SESSIONS_MAX", 100)
    monkeypatch.setattr(module, "ADDRESS_SESSIONS_MAX", 10)
    sign_ins = PopSignIns(path, now=clock)
    for number in range(500):
        address = ip_address(0x0A000000 + number % 40)
        sign_ins.note(address, f"p{number}", NOON + timedelta(seconds=number))
    assert sign_ins._count == sum(map(len, sign_ins._sessions.values())) <= 100
    assert sign_ins.sessions_from(ip_address(0x0A000000 + 499 % 40))[0][0] == "p499"
    sign_ins.close()


def test_a_file_that_cannot_be_read_closes_the_door_until_it_can(path: Path, clock: Clock) -> None:
    path.write_bytes(b"garbage " * 1000)
    sign_ins = PopSignIns(path, now=clock)
    sign_ins.note(HOME, "ann@example.com", NOON)
    with pytest.raises(StoreError, match="move it away"):
        sign_ins.sessions_from(HOME)
    assert "not a database" in sign_ins.problem
    path.unlink()
    clock.time = NOON + timedelta(minutes=1)
    assert sign_ins.sessions_from(HOME) == (("ann@example.com", NOON),)
    assert sign_ins.problem == ""
    sign_ins.close()
    sign_ins = PopSignIns(path, now=clock)
    assert sign_ins.sessions_from(HOME) == (("ann@example.com", NOON),), "noted meanwhile"
    sign_ins.close()


def test_a_row_that_makes_no_sense_is_told(path: Path, clock: Clock) -> None:
    PopSignIns(path, now=clock).close()
    with sqlite3.connect(path) as file:
        file.execute("INSERT INTO sessions VALUES ('nowhere', 'ann', 'never')")
    file.close()
    sign_ins = PopSignIns(path, now=clock)
    with pytest.raises(StoreError, match="cannot be read"):
        sign_ins.sessions_from(HOME)
    sign_ins.close()


KILLED = """
import sys, time
from datetime import datetime, UTC
from ipaddress import ip_address
from pathlib import Path
from posthouse.accounts import saving
saving.SAVE_AFTER_SECONDS = 0.01
from posthouse.accounts.sign_ins import PopSignIns
from posthouse.accounts.usage import UsageCounters
from posthouse.mail.address import Mailbox
from posthouse.telemetry.cases import *
from posthouse.policy.decision import Stage, Verdict
from posthouse.policy.reasons import Reason
at = Path(sys.argv[1])
sign_ins, usage, cases = PopSignIns(at / "s.db"), UsageCounters(at / "u.db"), CaseStore(at / "c.db")
for number in range(10_000_000):
    now = datetime.now(UTC)
    address = ip_address(0x0A000000 + number % 1000)
    sign_ins.note(address, "ann@example.com", now)
    usage.record("ann@example.com", address, [Mailbox(str(number), "far.example")], now)
    cases.record(Case(cases.new_id(), now, Stage.MAIL, Verdict.ACCEPT, Reason.WELCOME))
    if number % 100 == 0:
        print(cases.newest(), flush=True)
"""


def test_a_process_that_was_killed_leaves_readable_files(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) > 500:
                break
        os.kill(process.pid, signal.SIGKILL)

    sign_ins = PopSignIns(tmp_path / "s.db")
    assert sign_ins.problem == ""
    sign_ins.close()
    UsageCounters(tmp_path / "u.db").close()
    reader = CaseReader(tmp_path / "c.db")
    assert reader.newest() > 500
    reader.close()
    cases = CaseStore(tmp_path / "c.db")
    assert cases.newest() > 500
    cases.close()
