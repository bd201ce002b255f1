"""All that holds on asyncio's loop holds on uvloop, as the server runs, and with any disk."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from posthouse.mailbox import maildir
from posthouse.sessions.pop3_service import TlsRule
from tests.sessions import test_pop3

uvloop = pytest.importorskip("uvloop")
SCENARIOS = {
    name: scenario
    for name, scenario in vars(test_pop3).items()
    if name.startswith("test_") and inspect.iscoroutinefunction(scenario)
}


@pytest.mark.parametrize("disk", ["local", "network"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_on_uvloop(
    scenario: Callable[..., Coroutine[None, None, None]],
    disk: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if disk == "network":  # it cannot say what it has in memory: all is done by threads
        monkeypatch.setattr(maildir, "answers_from_memory", lambda _: False)
    arguments: dict[str, object] = {"tmp_path": tmp_path}
    if "rule" in inspect.signature(scenario).parameters:
        arguments["rule"] = TlsRule.FROM_START
    if "limit" in inspect.signature(scenario).parameters:
        arguments["limit"] = "sessions_max"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario(**arguments))
