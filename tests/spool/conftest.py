"""Fixtures of the spool's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.spool.spool import Spool
from tests.spool.ground import KIND, KINDS, Clock, opened


@pytest.fixture(params=KINDS, autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promise is kept with and without a journal; children of a test see which it is."""
    monkeypatch.setenv(KIND, request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    with opened(tmp_path, clock) as it:
        yield it
