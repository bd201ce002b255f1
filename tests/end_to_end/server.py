"""A server as an operator runs it: its own process, real sockets, a configuration of the test's."""

import json
import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posthouse.lab.clients import Account, fetch
from posthouse.lab.hosts import Host, wait_for
from posthouse.server.asking import stream
from posthouse.server.requests import AnyRequest

ANN = Account("ann@proseware.com", "six-blue-herons")
BOB = Account("bob@proseware.com", "four-red-kites")
ADDRESS = "127.0.0.1"
ELSEWHERE = "127.0.0.2"  # loopback too, but another client than 127.0.0.1
ARRIVES_SECONDS = 15.0

LISTENERS = """
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

[listen.pop3]
service = "pop3"
on = ["127.0.0.1:0"]

[listen.pop3s]
service = "pop3"
on = ["127.0.0.1:0"]
tls = "from-start"
"""


def configuration(
    *more: str, via: str = "capture", outbound: str = "", limits: str = "", top: str = ""
) -> str:
    """Return the text of a configuration of proseware.com; `more` are tables of their own."""
    return f"""
hostname = "mail.proseware.com"
{top}

[domains."proseware.com"]
{LISTENERS}
[outbound]
via = "{via}"
{outbound}

[limits]
sessions_per_address = 200
stop_wait = "3 s"
{limits}

[log]
level = "debug"
format = "json"

[storage]
directory = "storage"
""" + "\n".join(more)


def door(who: str, **keys: str) -> str:
    """Return a `[[may_relay]]` table; values are TOML."""
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f'\n[[may_relay]]\nwho = "{who}"\n{lines}'


SIGNED_IN = door("signed-in")


class Server(Host):
    """A running server, and what a test asks of it."""

    def __init__(self, directory: Path, text: str) -> None:
        super().__init__("the server under test", directory, text)
        self.storage = self._storage
        self.file = self._file

    def place(self, listener: str) -> tuple[str, int]:
        """Where a listener takes connections."""
        return self.listeners[listener]

    @property
    def process_id(self) -> int:
        assert self._process is not None, "it runs"
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would: nothing is flushed, nobody is told."""
        assert self._process is not None, "it runs"
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self.stop()

    def signal(self, number: int) -> None:
        os.kill(self.process_id, number)

    def wait_ended(self, seconds: float = 20) -> int:
        """Return the exit code."""
        assert self._process is not None, "it runs"
        return self._process.wait(seconds)

    def memory_octets(self) -> int:
        """Resident memory of the process and of its workers, what they share more than once."""
        children = Path(f"/proc/{self.process_id}/task/{self.process_id}/children").read_text()
        processes = (str(self.process_id), *children.split())
        texts = (Path(f"/proc/{it}/status").read_text() for it in processes)
        lines = (line for text in texts for line in text.splitlines())
        return sum(int(it.split()[1]) * 1024 for it in lines if it.startswith("VmRSS:"))

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log events of one kind."""
        found = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def wait_for_events(self, name: str, count: int = 1, **fields: str) -> list[dict[str, Any]]:
        """Wait until so many events of one kind, with these fields, are in the log."""

        def look() -> list[dict[str, Any]]:
            found = [
                event
                for event in self.events(name)
                if all(str(event.get(key)) == value for key, value in fields.items())
            ]
            return found if len(found) >= count else []

        found = wait_for(look, ARRIVES_SECONDS)
        assert found, f"no {count} x {name} {fields}: {self.log()[-3000:]}"
        return found

    def follow(self, request: AnyRequest) -> Generator[Any, None, None]:
        """Items of a stream of the control socket."""
        yield from stream(self.storage, request)

    def mailbox(self, name: str, domain: str = "proseware.com") -> list[bytes]:
        """What lies in the Maildir of an account."""
        new = self.storage / "mail" / domain / name / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.exists() else []

    def captured(self) -> list[bytes]:
        """Mail for other domains, under via = "capture"."""
        new = self.storage / "captured" / "new"
        return [path.read_bytes() for path in sorted(new.iterdir())] if new.exists() else []

    def wait_for_mail(self, name: str, count: int = 1) -> list[bytes]:
        """Wait until the Maildir of an account holds so many messages."""
        wait_for(lambda: len(self.mailbox(name)) >= count, ARRIVES_SECONDS)
        found = self.mailbox(name)
        assert len(found) >= count, f"{len(found)} messages: {self.log()[-3000:]}"
        return found

    def fetch(self, account: Account, place: str = ADDRESS) -> list[str]:
        """Fetch an account's mail by POP3."""
        return fetch(account, server=self.place("pop3"), place=place)


@contextmanager
def running(directory: Path, text: str, *accounts: Account) -> Iterator[Server]:
    """Start a server; at the end it is stopped, whatever happened, and may not have met a bug."""
    server = Server(directory, text)
    for account in accounts:
        server.add_account(account)
    server.start()
    try:
        yield server
    except BaseException:
        print(server.log()[-6000:])
        raise
    finally:
        server.stop()
    assert not server.events("bug-met"), server.events("bug-met")
    assert "Traceback" not in server.log()
