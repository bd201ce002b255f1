"""Home, work, hotel and every remedy, as `posthouse demo` plays them with three servers."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_every_situation_and_every_remedy_goes_as_it_should() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "posthouse", "demo", "--json"],
        capture_output=True,
        timeout=110,
        check=False,
    )
    played = json.loads(done.stdout or b"{}")
    wrong = [it for it in played.get("results", []) if not it["passed"]]
    assert (done.returncode, wrong) == (0, []), done.stderr.decode()
    assert played["schema"] == "posthouse.demo/1"
    assert played["failed"] == 0
    six = [it for it in played["results"] if not it["remedy"]]
    remedies = {it["remedy"] for it in played["results"] if it["remedy"]}
    assert len(six) >= 6
    assert len(remedies) >= 8, remedies
