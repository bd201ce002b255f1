"""A Posthouse server of the lab: its own process, its own directory, stopped by its own id."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from posthouse.accounts.passwords import add_account
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.lab.clients import Account
from posthouse.mail.address import parse_mailbox
from posthouse.server.asking import AskError, ask
from posthouse.server.requests import AnyRequest, GrantsChanged, QueueList, Reload

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
_Found = TypeVar("_Found")


class LabError(Exception):
    """The lab cannot be set up; the message says what failed."""


class Host:
    """One server process.

    Args:
        name: For messages.
        directory: Where its configuration and storage live.
        configuration: The text of its configuration file.
    """

    def __init__(self, name: str, directory: Path, configuration: str) -> None:
        self.name = name
        self.directory = directory
        self._storage = directory / "storage"
        self._file = directory / "posthouse.toml"
        self._process: subprocess.Popen[bytes] | None = None
        self.listeners: dict[str, tuple[str, int]] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self._storage.mkdir(exist_ok=True, mode=0o700)
        self._file.write_text(configuration)

    def add_account(self, account: Account) -> None:
        """Add an account; the server sees it at once."""
        store = SqliteAccountStore(self._storage / "accounts.db")
        try:
            add_account(store, parse_mailbox(account.name), account.password)
        finally:
            store.close()

    def start(self) -> None:
        """Start the server and wait until it serves.

        Raises:
            LabError: If it does not.
        """
        self._log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen(  # noqa: S603 - our own program, with our own arguments
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        ready = self._ready_line(self._process)
        for name, places in ready["listeners"].items():
            address, _, port = places[0].rpartition(":")
            self.listeners[name] = (address.strip("[]"), int(port))

    def command(self) -> list[str]:
        """Return what starts the server."""
        return [sys.executable, "-m", "posthouse", "--config", str(self._file), "--json", "serve"]

    def _ready_line(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            readable, _, _ = select.select([process.stdout], [], [], 0.2)
            line = process.stdout.readline() if readable else b""
            if line:
                found: dict[str, Any] = json.loads(line)
                return found
            if process.poll() is not None:
                break
        self.stop()
        last = (self.directory / "log").read_text(errors="replace").strip().splitlines()[-5:]
        raise LabError(f"{self.name} did not start: {' / '.join(last) or 'no message'}")

    def stop(self) -> None:
        """Stop it, gracefully first."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._log.close()

    def grant(self, networks: str, hours: float = 8) -> int:
        """Do what `posthouse network add NETWORKS --for 8h` does; return the grant's number."""
        store = SqliteAccountStore(self._storage / "accounts.db")
        try:
            until = datetime.now(UTC) + timedelta(hours=hours)
            grant = store.add_grant(networks, name="lab", until=until, because="lab", by="lab")
        finally:
            store.close()
        self.ask(GrantsChanged())
        return grant.id

    def revoke(self, grant: int) -> None:
        """Take a grant back."""
        store = SqliteAccountStore(self._storage / "accounts.db")
        try:
            store.remove_grant(grant)
        finally:
            store.close()
        self.ask(GrantsChanged())

    def reconfigure(self, configuration: str) -> None:
        """Write another configuration and let the running server read it."""
        self._file.write_text(configuration)
        self.ask(Reload())

    def held(self) -> list[dict[str, Any]]:
        """Return the messages that are held."""
        found: list[dict[str, Any]] = self.ask(QueueList(held=True))
        return found

    def ask(self, request: AnyRequest) -> Any:  # noqa: ANN401 - JSON
        """Ask the server by its control socket.

        Raises:
            LabError: If it says no.
        """
        try:
            return ask(self._storage, request)
        except AskError as problem:
            raise LabError(f"{self.name}: {problem}") from None


def wait_for(look: Callable[[], _Found], seconds: float) -> _Found:
    """Look again and again until something is found or the time is over; return the last look."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() >= deadline:
            return found
        with contextlib.suppress(InterruptedError):
            time.sleep(0.1)
