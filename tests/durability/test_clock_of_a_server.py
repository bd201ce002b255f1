"""The clock of a running server is set: mail goes on, and nothing is tried in a storm."""

from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from posthouse.server.requests import QueueList, QueueRetry
from tests.durability.disks import preloaded
from tests.end_to_end.server import BOB, configuration, door, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Talk

pytestmark = pytest.mark.slow
YEAR = 365 * 86_400
SET_BY = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t which, struct timespec *at) {
    char by[32] = {0};
    int done = syscall(SYS_clock_gettime, which, at);
    if (which == CLOCK_REALTIME && readlink(getenv("SET_BY"), by, sizeof by - 1) > 0)
        at->tv_sec += atol(by);
    return done;
}
"""


@pytest.mark.parametrize("by", [YEAR, -YEAR], ids=["forward", "back"])
def test_a_clock_that_is_set_by_a_year_loses_nothing_and_starts_no_storm(
    by: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_by = tmp_path / "set-by"
    monkeypatch.setenv("LD_PRELOAD", preloaded(tmp_path, SET_BY))
    monkeypatch.setenv("SET_BY", str(set_by))
    with sinking(Sink({"RCPT": "451 4.3.0 not now"})) as sink:
        networks = door("network", networks='["127.0.0.1"]', sends_as='["*"]')
        text = configuration(networks, via=f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path, text, BOB) as server:

            def send(to: str) -> None:
                with Talk(server.place("mx")) as talk:
                    talk.say("EHLO laptop.example")
                    content = b"From: x@adatum.com\r\nSubject: x\r\n\r\nHello.\r\n"
                    assert talk.mail("x@adatum.com", to, content=content).code == 250

            for number in range(3):
                send(f"carol{number}@adatum.com")
            server.wait_for_events("deferred", 3)
            set_by.symlink_to(str(by))
            assert wait_for(lambda: "the clock was set" in server.log(), 15)
            send(BOB.name)
            server.wait_for_mail("bob")
            assert len(server.events("deferred")) == 3, "what was deferred waits as before"
            assert len(server.ask(QueueList())) == 3
            sink.script = {}
            server.ask(QueueRetry())
            assert wait_for(lambda: len(sink.mails) == 3, 15)
            assert wait_for(lambda: not server.ask(QueueList()), 15)
