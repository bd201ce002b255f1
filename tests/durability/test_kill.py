"""Killed at any moment under load, the server delivers whatever it said 250 to."""

import random
from pathlib import Path

import pytest

from tests.durability.killing import SENDERS, Run

pytestmark = pytest.mark.slow
CYCLES = 5  # `make kill` makes 50


def test_what_got_250_arrives_whole_whenever_the_process_tree_is_killed(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    outcome = Run(tmp_path, cycles=CYCLES, seed=seed).outcome()
    print(outcome)
    assert outcome.messages > CYCLES * SENDERS, "there was load"
    assert outcome.starts_killed
    assert not outcome.lost, f"{len(outcome.lost)} of {outcome.promised}: {outcome.lost[:5]}"
