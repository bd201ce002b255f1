"""A server in a process of its own, as `posthouse serve` runs it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from posthouse.accounts.passwords import hash_generated
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.mail.address import parse_mailbox

PASSWORD = "abcd-efgh-ijkl-mnop-qrst-uvwx"
PROGRAM = """
import json, sys
from pathlib import Path
from posthouse.server.lifecycle import serve
from posthouse.server.troubles import StartError
try:
    serve(Path(sys.argv[1]), ready=lambda them: print(json.dumps(them), flush=True))
except StartError as problem:
    print(problem, file=sys.stderr)
    sys.exit(problem.exit_code)
"""
CONFIGURATION = """
hostname = "mail.proseware.com"
[domains."proseware.com"]
[listen.mx]
service = "smtp"
on = ["127.0.0.1:0"]
[listen.submission]
service = "submission"
on = ["127.0.0.1:0"]
[listen.submissions]
service = "submission"
on = ["127.0.0.1:0"]
tls = "from-start"
[listen.pop3s]
service = "pop3"
on = ["127.0.0.1:0"]
tls = "from-start"
[outbound]
via = "capture"
[log]
level = "debug"
format = "json"
[storage]
directory = "storage"
"""


class Served:
    """A running server."""

    program = PROGRAM

    def __init__(self, directory: Path, configuration: str = CONFIGURATION) -> None:
        self.directory = directory
        self.storage = directory / "storage"
        self.file = directory / "posthouse.toml"
        self.file.write_text(configuration)
        self._log = (directory / "log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.program, str(self.file)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.ports: dict[str, int] = {}

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], 20)
        line = self.process.stdout.readline() if readable else b""
        if not line:
            self.process.kill()
            raise AssertionError(f"did not start: {self.log()}")
        for name, places in json.loads(line).items():
            self.ports[name] = int(places[0].rpartition(":")[2])

    def add_account(self, name: str) -> None:
        store = SqliteAccountStore(self.storage / "accounts.db")
        store.add(parse_mailbox(name), hash_generated(PASSWORD))
        store.close()

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def events(self, name: str) -> list[dict[str, object]]:
        found = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def wait_for_event(self, name: str, count: int = 1) -> dict[str, object]:
        self.wait_until(lambda: len(self.events(name)) >= count)
        return self.events(name)[-1]

    def wait_until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"it never happened; the log: {self.log()[-3000:]}")
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(20)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGKILL)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()


@contextmanager
def served(directory: Path, configuration: str = CONFIGURATION) -> Iterator[Served]:
    """Start a server and wait until it serves."""
    with Served(directory, configuration) as server:
        server.wait_ready()
        yield server
