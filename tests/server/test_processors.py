"""How many workers a server has where the file says no number."""

import os
from pathlib import Path

import pytest

from posthouse.config.load import load
from posthouse.server.lifecycle import serve
from posthouse.server.processors import AUTO_MAX, processors, workers_of
from posthouse.server.troubles import StartError

HEAD = 'hostname = "mail.proseware.com"\n'


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


def workers(text: str) -> int:
    return workers_of(load(HEAD + text).configuration)


@pytest.mark.usefixtures("four")
def test_there_are_as_many_as_processors_unless_the_file_says_how_many() -> None:
    assert workers("") == workers('workers = "auto"\n') == 4
    assert workers("workers = 7\n") == 7


def test_there_are_not_more_than_was_ever_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert workers("") == AUTO_MAX


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("missing", ["memfd_create", "pidfd_open"])
def test_a_python_that_cannot_have_several_has_one(
    monkeypatch: pytest.MonkeyPatch, missing: str, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, missing)
    assert workers("") == 1
    file = tmp_path / "posthouse.toml"
    file.write_text(HEAD + "workers = 2\n")
    with pytest.raises(StartError, match="workers = 1"):
        serve(file)


@pytest.mark.usefixtures("four")
def test_a_next_hop_never_gets_more_sessions_than_it_is_to_get() -> None:
    assert workers("[outbound]\nsessions_per_host = 1\n") == 1
    assert workers("[outbound]\nsessions = 2\n") == 2
    route = '[[outbound.route]]\nto = ["adatum.com"]\nsessions_per_host = 3\n'
    assert workers(route) == 3


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("quota", "of_parent", "count"),
    [
        ("max 100000", "max 100000", 4),
        ("150000 100000", "max 100000", 1),
        ("50000 100000", "max 100000", 1),
        ("300000 100000", "200000 100000", 2),
        ("garbage", "", 4),
    ],
)
def test_a_quota_of_a_control_group_counts_in_whole_processors(
    tmp_path: Path, quota: str, of_parent: str, count: int
) -> None:
    group = tmp_path / "sys/fs/cgroup/system.slice/posthouse.service"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text(quota + "\n")
    (group.parent / "cpu.max").write_text(of_parent)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(
        "1:cpu:/elsewhere\n0::/system.slice/posthouse.service\n"
    )
    assert processors(tmp_path) == count
    assert processors(tmp_path / "nothing") == 4
