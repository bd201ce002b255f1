"""A process that is killed at any moment loses nothing that was `done`."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.spool.ground import opened
from tests.spool.victim import content_of

ROOT = Path(__file__).parents[2]


def killed_after(seconds: float, directory: Path) -> tuple[set[str], set[str]]:
    """Run the victim, kill it, and return what it was promised and what it may have delivered."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.spool.victim", str(directory)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines()
    said: dict[str, set[str]] = {"taken": set(), "trying": set()}
    for line in lines:
        word, _, message_id = line.partition(" ")
        if len(message_id) == 11:
            said[word].add(message_id)
    return said["taken"], said["trying"]


@pytest.mark.slow
def test_a_process_killed_at_any_moment_loses_nothing_that_was_done(tmp_path: Path) -> None:
    promised: set[str] = set()
    tried: set[str] = set()
    for _ in range(6):
        taken, trying = killed_after(random.uniform(0.02, 0.2), tmp_path)
        promised |= taken
        tried |= trying
        with opened(tmp_path) as spool:
            for message_id in promised - tried:
                assert spool.content_octets(message_id) == content_of(message_id)
            for it in spool.list_messages(limit=100_000):
                if it.id not in tried:
                    assert all(recipient.state == "waiting" for recipient in it.recipients)
            summary = spool.summary(limit=1000)
            waiting = sum(
                recipient.state == "waiting"
                for it in spool.list_messages(limit=100_000)
                for recipient in it.recipients
            )
            assert sum(it.waiting for it in summary.destinations) == waiting
    assert len(promised) > 20
