"""Mail programs of other makers, run as a person would."""

import shutil
import subprocess
from pathlib import Path

import pytest

PEERS = Path("/usr/local/lib/posthouse-peers")  # what tests/peers/install only unpacks


def needs(program: str) -> pytest.MarkDecorator:
    """Skip, visibly, where a program is not installed; `make peers` installs it."""
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is not installed (make peers)"
    )


def run(
    *arguments: str, given: str | bytes = "", cwd: Path | None = None, seconds: float = 30
) -> tuple[int, str]:
    """Run a program; return its exit code and all that it printed."""
    octets = given.encode() if isinstance(given, str) else given
    done = subprocess.run(
        arguments,
        input=octets,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        timeout=seconds,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")
