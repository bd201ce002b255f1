"""Killed at any moment under load, the server delivers whatever it said 250 to."""

import os
import random
import smtplib
import threading
import time
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from posthouse.server.requests import QueueRetry
from tests.end_to_end.server import BOB, Server, configuration, door, running
from tests.end_to_end.sinks import Sink, sinking

pytestmark = pytest.mark.slow
CYCLES = int(os.environ.get("POSTHOUSE_KILLS", "5"))
LOAD_SECONDS = (0.3, 1.2)
SENDERS = 6
LARGE_OCTETS = 300_000  # has a file of its own in the spool


class Load:
    """Clients that send as fast as they can, each message with a token of its own."""

    def __init__(self, server: Server, cycle: int) -> None:
        self.promised: list[str] = []
        self._place = server.place("mx")
        self._threads = [
            threading.Thread(target=self._send, args=(f"token-{cycle}-{number}",))
            for number in range(SENDERS)
        ]
        for thread in self._threads:
            thread.start()

    def _send(self, name: str) -> None:
        with_bob = False
        try:
            with smtplib.SMTP(*self._place, timeout=10) as client:
                for count in range(10_000):
                    token = f"{name}-{count}."
                    large = b"x" * 70 + b"\r\n"
                    body = (
                        large * (LARGE_OCTETS // len(large)) if count % 20 == 7 else b"Hello.\r\n"
                    )
                    to = ["carol@adatum.com", *([BOB.name] if with_bob else [])]
                    with_bob = not with_bob
                    content = f"From: x@proseware.com\r\nSubject: {token}\r\n\r\n".encode() + body
                    client.sendmail("x@proseware.com", to, content)
                    self.promised.append(token)
        except (OSError, smtplib.SMTPException):
            return  # the server was killed

    def wait_ended(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


def subjects(sink: Sink) -> set[str]:
    heads = [mail.content[:2000].decode("latin-1") for mail in list(sink.mails)]
    return {head.partition("Subject: ")[2].partition("\r\n")[0] for head in heads}


def test_what_got_250_arrives_whenever_the_server_is_killed(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    promised: list[str] = []
    with sinking() as sink:
        text = configuration(
            door("network", networks='["127.0.0.1"]', sends_as='["*"]'),
            via=f"smtp://127.0.0.1:{sink.port}",
        )
        with running(tmp_path, text, BOB) as server:
            for cycle in range(CYCLES):
                load = Load(server, cycle)
                time.sleep(moments.uniform(*LOAD_SECONDS))
                server.kill()
                load.wait_ended()
                promised += load.promised
                server.start()
            server.ask(QueueRetry())
            missing = set(promised)

            def all_arrived() -> bool:
                missing.difference_update(subjects(sink))
                return not missing

            wait_for(all_arrived, 30)
            assert len(promised) > CYCLES * SENDERS, "there was load"
            assert not missing, f"{len(missing)} of {len(promised)} lost: {sorted(missing)[:5]}"
            local = [token for token in promised if int(token.rstrip(".").rpartition("-")[2]) % 2]
            wait_for(lambda: len(server.mailbox("bob")) >= len(local), 20)
            in_mailbox = b"\0".join(it[:2000] for it in server.mailbox("bob"))
            lost = [token for token in local if f"Subject: {token}\r\n".encode() not in in_mailbox
                    and f"Subject: {token}\n".encode() not in in_mailbox]  # fmt: skip
            assert not lost, f"{len(lost)} of {len(local)} are in no mailbox: {lost[:5]}"
            twice = len(sink.mails) - len(subjects(sink))
            print(f"{len(promised)} promised, {len(sink.mails)} arrived, {twice} of them again")
