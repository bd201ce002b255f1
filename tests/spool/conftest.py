"""Fixtures of the spool's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.spool.spool import Spool
from tests.spool.ground import Clock, opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    with opened(tmp_path, clock) as it:
        yield it
