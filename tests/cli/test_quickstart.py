"""`posthouse quickstart`, as a newcomer meets it: a first mail, a first refusal, what next."""

import contextlib
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.cli.exits import Exit
from posthouse.config.load import load
from posthouse.lab.clients import Account, fetch
from tests.cli.commands import command

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def quickstart(directory: Path, *more: str) -> Iterator[list[str]]:
    """Run it until it serves; the lines it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "posthouse", "quickstart", "--directory", str(directory), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = []
    try:
        for line in process.stdout:
            printed.append(line.rstrip("\n"))
            if "Serving until Ctrl-C" in line:
                break
        else:
            raise AssertionError("\n".join(printed))
        yield printed
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert "Traceback" not in rest
    assert process.returncode == Exit.DONE, rest


def test_it_serves_sends_two_mails_and_tells_how_to_connect(tmp_path: Path) -> None:
    directory = tmp_path / "dev"
    with quickstart(directory) as printed:
        shown = "\n".join(printed)
        for words in (
            "250 accepted",
            "delivered: bob@example.test fetched it by POP3",
            "550 5.7.1",
            "[not-recognised] case ",
            "would pass if",
            "user name  ann@example.test",
            "export POSTHOUSE_CONFIG=",
        ):
            assert words in shown, shown
        listen = load((directory / "posthouse.toml").read_text(), "posthouse.toml")
        places = {name: it.on[0] for name, it in listen.configuration.listen.items()}
        kept = (directory / "passwords").read_text().split()
        bob = Account("bob@example.test", kept[kept.index("bob@example.test") + 1])
        place = ("127.0.0.1", places["pop3"].port)
        assert len(fetch(bob, server=place, place="127.0.0.1")) == 1
        case = shown.partition("[not-recognised] case ")[2].split()[0]
        assert command("--config", str(directory / "posthouse.toml"), "explain", case).code == 0
        with smtplib.SMTP("127.0.0.1", places["mx"].port, timeout=10) as client:
            assert client.noop()[0] == 250
    assert (directory / "passwords").stat().st_mode & 0o777 == 0o600
    before = (directory / "posthouse.toml").read_text()
    with quickstart(directory, "--no-mail") as printed:
        assert "user name  ann@example.test" in "\n".join(printed)
    assert (directory / "posthouse.toml").read_text() == before


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    ran = command("quickstart", "--directory", str(tmp_path), "--domain", "a b")
    assert ran.code == Exit.USAGE
    (tmp_path / "file").touch()
    ran = command("quickstart", "--directory", str(tmp_path / "file" / "below"))
    assert ran.code == Exit.UNREACHABLE
    (tmp_path / "posthouse.toml").write_text("hostname = ")
    ran = command("quickstart", "--directory", str(tmp_path))
    assert ran.code == Exit.CONFIGURATION
    assert "correct it or remove it" in ran.err
