"""What holds for each command: help, JSON, exit codes, and never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from posthouse import __version__
from posthouse.cli.exits import Exit
from posthouse.cli.main import COMMANDS
from tests.cli.commands import command, every_command


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_a_command_explains_itself(path: tuple[str, ...]) -> None:
    ran = command(*path, "--help")
    assert ran.code == Exit.DONE
    assert ran.out.startswith(f"Usage: posthouse {' '.join(path)}")
    assert len(ran.out.splitlines()) > 3


def test_the_version_is_told_without_loading_what_is_not_needed() -> None:
    ran = command("--version")
    assert (ran.code, ran.out) == (Exit.DONE, f"posthouse {__version__}\n")
    code = "import sys; from posthouse.cli.main import run; sys.argv[1:] = ['--version']\n"
    code += "try: run()\nexcept SystemExit: print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"pydantic", "asyncio", "cryptography", "dns", "sqlite3", "rich"}


@pytest.mark.parametrize(
    "arguments",
    [("nosuch",), ("account", "nosuch"), ("serve", "--nosuch"), ("explain",), ("queue", "show"),
     ("ask", "--client", "192.0.2.1"), ("network", "add"), ("queue", "list", "-n", "many")],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_command_line_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert ran.code == Exit.USAGE
    assert "Error" in ran.err
    assert "Traceback" not in ran.err


NEED_CONFIGURATION = [
    ("serve",), ("check",), ("config", "show"), ("reload",), ("status",), ("prove",),
    ("ask", "--client", "192.0.2.1", "--from", "a@b.example", "--to", "c@d.example"),
    ("explain", "7Q4KX2MB"), ("decisions", "tail"), ("decisions", "search"), ("journey", "x"),
    ("account", "list"), ("account", "add", "ann@proseware.com"), ("network", "list"),
    ("network", "add", "192.0.2.1", "--for", "8h"), ("queue", "list"), ("queue", "summary"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", NEED_CONFIGURATION, ids=" ".join)
def test_without_a_configuration_it_is_exit_code_3_and_says_where_it_looked(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSTHOUSE_CONFIG", raising=False)
    ran = command(*arguments)
    assert ran.code == Exit.CONFIGURATION
    assert "posthouse init" in ran.err


@pytest.mark.parametrize("arguments", NEED_CONFIGURATION, ids=" ".join)
def test_with_a_wrong_configuration_it_is_exit_code_3_and_shows_the_line(
    arguments: tuple[str, ...], installation: Path
) -> None:
    file = installation / "posthouse.toml"
    file.write_text(file.read_text().replace('who = "signed-in"', 'who = "everybody"'))
    ran = command(*arguments)
    assert ran.code == Exit.CONFIGURATION
    shown = ran.out + ran.err
    assert "posthouse.toml:" in shown
    assert "there is no door for everybody" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("reload",), ("queue", "list"), ("queue", "summary"), ("queue", "show", "x"),
     ("queue", "retry", "--all"), ("queue", "hold", "x"), ("queue", "release", "x"),
     ("queue", "bounce", "x"), ("queue", "drop", "x", "--yes"), ("journey", "x")],
    ids=" ".join,
)  # fmt: skip
def test_without_a_running_server_it_is_exit_code_4(
    arguments: tuple[str, ...], installation: Path
) -> None:
    ran = command(*arguments)
    assert ran.code == Exit.UNREACHABLE
    assert "posthouse serve" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [("account", "list"), ("network", "list"), ("network", "who", "192.0.2.1"),
     ("ask", "--client", "192.0.2.1", "--from", "a@b.example", "--to", "c@d.example")],
    ids=" ".join,
)  # fmt: skip
def test_a_storage_directory_that_cannot_be_used_is_exit_code_4(
    arguments: tuple[str, ...], installation: Path
) -> None:
    (installation / "storage").rmdir()
    (installation / "storage").touch()
    ran = command(*arguments)
    assert ran.code == Exit.UNREACHABLE
    assert "storage" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [("explain", "7Q4KX2MB"), ("decisions", "tail", "--no-follow"), ("decisions", "search")],
    ids=" ".join,
)
def test_damaged_cases_are_exit_code_4(arguments: tuple[str, ...], installation: Path) -> None:
    (installation / "storage" / "cases.db").write_bytes(b"garbage" * 1000)
    ran = command(*arguments)
    assert ran.code == Exit.UNREACHABLE
    assert "cases.db" in ran.err
    assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.usefixtures("installation")
def test_no_decisions_yet_is_told() -> None:
    ran = command("decisions", "search")
    assert (ran.code, "no decisions were made yet" in ran.err) == (Exit.UNREACHABLE, True)


def test_every_command_of_the_table_exists() -> None:
    assert {path[0] for path in every_command()} == set(COMMANDS)


def test_text_from_outside_steers_no_terminal(installation: Path) -> None:
    ran = command("explain", "\x1b[31m\x07evil")
    assert ran.code == Exit.NO
    assert "\x1b" not in ran.err
    assert "\x07" not in ran.err
    ran = command("account", "add", "\x1b]0;x\x07@proseware.com")
    assert ran.code == Exit.USAGE
    assert "\x1b" not in ran.err
