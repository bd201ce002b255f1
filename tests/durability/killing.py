"""Kill a server's whole process tree at random moments under load, and count what arrives.

    python -m tests.durability.killing --cycles 50 [--workers N] [--seed N]

Six clients send short and large mail for a mailbox here and for two next hops, one of which says
"not now" in every other cycle. Some cycles kill the server a second time while it starts. At the
end every recipient that a client got a 250 for must have the message, whole.
"""

import argparse
import hashlib
import os
import random
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from msgspec import Struct

from posthouse.lab.hosts import wait_for
from posthouse.server.requests import QueueRetry
from tests.end_to_end.server import BOB, Server, configuration, door
from tests.end_to_end.sinks import Sink, sinking

LOAD_SECONDS = (0.05, 1.2)
START_SECONDS = (0.0, 1.0)  # of a start that is killed as well
SENDERS = 6
LARGE_OCTETS = 300_000  # has a file of its own in the spool
WAIT_SECONDS = 60.0
STEADY, FICKLE = "carol@adatum.com", "dave@contoso.com"
NOT_NOW = {f"RCPT TO:<{FICKLE}": "451 4.3.0 not now"}
_Copy = tuple[str, str, str]  # recipient, token, digest of what follows the header


class Outcome(Struct, frozen=True):
    """What became of all that was promised.

    Attributes:
        cycles: How often the server was killed under load.
        starts_killed: How often it was killed while it started.
        messages: That got 250.
        promised: Recipients of these.
        lost: Recipients that have nothing, or not what was sent.
        again: Copies that came more than once.
        surplus: Copies whose 250 never reached the client.
    """

    cycles: int
    starts_killed: int
    messages: int
    promised: int
    lost: list[_Copy]
    again: int
    surplus: int


class KilledServer(Server):
    """A server in a process group of its own, which is killed as a whole."""

    def command(self) -> list[str]:
        return ["setsid", *super().command()]

    def kill(self) -> None:
        assert self._process is not None, "it runs"
        kill_group(self._process)
        self.stop()

    def start_and_kill(self, seconds: float) -> None:
        """Kill it while it begins."""
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=log)
            time.sleep(seconds)
            kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # not even `setsid` has begun
        process.kill()
    process.wait(10)


class Load:
    """Clients that send as fast as they can, each message with a token of its own."""

    def __init__(self, server: Server, cycle: int) -> None:
        self.promised: list[_Copy] = []
        self.messages = 0
        self._place = server.place("mx")
        self._threads = [
            threading.Thread(target=self._send, args=(f"token-{cycle}-{number}",))
            for number in range(SENDERS)
        ]
        for thread in self._threads:
            thread.start()

    def _send(self, name: str) -> None:
        large = b"x" * 70 + b"\r\n"
        try:
            with smtplib.SMTP(*self._place, timeout=10) as client:
                for count in range(10_000):
                    token = f"{name}-{count}."
                    body = large * (LARGE_OCTETS // len(large)) if count % 20 == 7 else b""
                    body += f"This is {token}\r\n".encode()
                    to = [STEADY, *((FICKLE, BOB.name)[: count % 3])]
                    content = f"From: x@proseware.com\r\nSubject: {token}\r\n\r\n".encode() + body
                    client.sendmail("x@proseware.com", to, content)
                    self.promised += [(it, token, digest(body)) for it in to]
                    self.messages += 1
        except (OSError, smtplib.SMTPException):
            return  # the server was killed

    def wait_ended(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


def digest(body: bytes) -> str:
    return hashlib.sha256(body.replace(b"\r\n", b"\n")).hexdigest()[:16]


def copy(recipient: str, content: bytes) -> _Copy:
    head, _, body = content.replace(b"\r\n", b"\n").partition(b"\n\n")
    token = head.rpartition(b"Subject: ")[2].partition(b"\n")[0].decode()
    return recipient, token, digest(body)


class Arrived:
    """Copies that are there, at the next hops and in the mailbox; each is read once."""

    def __init__(self, server: Server, sink: Sink) -> None:
        self.copies: Counter[_Copy] = Counter()
        self._mailbox = server.storage / "mail" / "proseware.com" / "bob" / "new"
        self._sink = sink
        self._mails = 0
        self._files: set[Path] = set()

    def look(self) -> None:
        for mail in self._sink.mails[self._mails :]:
            self._mails += 1
            for path in mail.recipients:
                recipient = path.partition("<")[2].partition(">")[0]
                self.copies[copy(recipient, mail.content)] += 1
        for file in set(self._mailbox.iterdir()) - self._files:
            self._files.add(file)
            self.copies[copy(BOB.name, file.read_bytes())] += 1


class Run:
    """All cycles."""

    def __init__(self, directory: Path, *, cycles: int, seed: int, workers: int = 0) -> None:
        self._cycles = cycles
        self._moments = random.Random(seed)
        self._directory = directory
        self._top = f"workers = {workers}" if workers else ""
        self._promised: list[_Copy] = []
        self._messages = self._starts_killed = 0

    def outcome(self) -> Outcome:
        """Do it."""
        with sinking() as sink:
            via = f"smtp://127.0.0.1:{sink.port}"
            networks = door("network", networks='["127.0.0.1"]', sends_as='["*"]')
            server = KilledServer(self._directory, configuration(networks, via=via, top=self._top))
            server.add_account(BOB)
            server.start()
            try:
                for cycle in range(self._cycles):
                    self._cycle(server, sink, cycle)
                return self._counted(server, sink)
            finally:
                server.stop()

    def _cycle(self, server: KilledServer, sink: Sink, cycle: int) -> None:
        sink.script = NOT_NOW if cycle % 2 else {}
        load = Load(server, cycle)
        time.sleep(self._moments.uniform(*LOAD_SECONDS))
        server.kill()
        load.wait_ended()
        self._promised += load.promised
        self._messages += load.messages
        if cycle % 3 == 1:
            server.start_and_kill(self._moments.uniform(*START_SECONDS))
            self._starts_killed += 1
        server.start()

    def _counted(self, server: Server, sink: Sink) -> Outcome:
        sink.script = {}
        server.ask(QueueRetry())
        promised, arrived = set(self._promised), Arrived(server, sink)

        def all_arrived() -> bool:
            arrived.look()
            return promised <= arrived.copies.keys()

        wait_for(all_arrived, WAIT_SECONDS)
        return Outcome(
            self._cycles,
            self._starts_killed,
            self._messages,
            len(self._promised),
            sorted(promised - arrived.copies.keys()),
            arrived.copies.total() - len(arrived.copies),
            len(arrived.copies.keys() - promised),
        )


def main() -> int:
    """Run it from the command line."""
    options = argparse.ArgumentParser(prog="tests.durability.killing", description=__doc__)
    options.add_argument("--cycles", type=int, default=50)
    options.add_argument("--workers", type=int, default=0, help="the key `workers`; 0: not given")
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    chosen = options.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="posthouse-kill-") as directory:
        run = Run(Path(directory), cycles=chosen.cycles, seed=chosen.seed, workers=chosen.workers)
        it = run.outcome()
    print(
        f"{it.cycles} kills under load, {it.starts_killed} while starting: {it.messages} messages"
        f" for {it.promised} recipients promised, {len(it.lost)} lost, {it.again} came again,"
        f" {it.surplus} arrived though no 250 reached the client"
    )
    for lost in it.lost[:20]:
        print("lost:", *lost)
    return bool(it.lost)


if __name__ == "__main__":
    sys.exit(main())
