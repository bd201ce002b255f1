"""An installation for commands to work on; a server where they need one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, door, running

OFFICE = "198.51.100.0/24"


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with posthouse.toml and an empty storage; commands find it by themselves."""
    monkeypatch.delenv("POSTHOUSE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    text = configuration(SIGNED_IN, door("network", name='"office"', networks=f'["{OFFICE}"]'))
    (tmp_path / "posthouse.toml").write_text(text)
    (tmp_path / "storage").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(SIGNED_IN, door("network", name='"office"', networks=f'["{OFFICE}"]'))
    with running(tmp_path_factory.mktemp("cli"), text, ANN, BOB) as server:
        yield server


@pytest.fixture
def server(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A running server that commands work on."""
    monkeypatch.setenv("POSTHOUSE_CONFIG", str(one_server.file))
    return one_server
