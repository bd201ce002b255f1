"""What got 250 arrives, whatever happens; and root is given up."""

import contextlib
import os
import shutil
import signal
import smtplib
import subprocess
import threading
import time
from pathlib import Path

import pytest

from posthouse.server import requests
from posthouse.server.asking import AskError, ask
from posthouse.server.loading import utc_now
from posthouse.server.tls import own_certificate
from tests.server.serving import CONFIGURATION, PASSWORD, Served, served

SENDERS = 8


def test_everything_that_got_250_arrives_though_the_server_was_killed(tmp_path: Path) -> None:
    promised: list[str] = []
    lock = threading.Lock()

    def sender(number: int, port: int) -> None:
        count = 0
        with contextlib.suppress(OSError, smtplib.SMTPException):
            client = smtplib.SMTP("127.0.0.1", port, timeout=10)
            while True:
                mark = f"mark-{number}-{count}-"
                size = 400_000 if count % 5 == 4 else 500
                text = f"Subject: {mark}\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72)
                client.sendmail("x@adatum.com", ["ann@proseware.com"], text)
                with lock:
                    promised.append(mark)
                count += 1

    with served(tmp_path) as server:
        server.add_account("ann@proseware.com")
        port = server.ports["mx"]
        threads = [threading.Thread(target=sender, args=(it, port)) for it in range(SENDERS)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 10
        while len(promised) < 60 and time.monotonic() < deadline:
            time.sleep(0.02)
        server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert len(promised) >= 60
    with served(tmp_path) as again:
        deadline = time.monotonic() + 20
        while ask(again.storage, requests.QueueList()) and time.monotonic() < deadline:
            time.sleep(0.1)
    mailbox = tmp_path / "storage" / "mail" / "proseware.com" / "ann" / "new"
    arrived = "".join(
        path.read_bytes()[:1000].decode("ascii", "replace") for path in mailbox.iterdir()
    )
    assert [mark for mark in promised if mark not in arrived] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root up")
def test_root_is_given_up_after_the_ports_are_open_and_the_key_is_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent not in (Path("/"), Path("/tmp")):
            parent.chmod(0o755)
    certificate, key = own_certificate(tmp_path / "tls", "mail.proseware.com", utc_now())
    text = CONFIGURATION.replace('hostname = "mail', 'user = "nobody"\nhostname = "mail', 1)
    text += f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    with served(tmp_path, text) as server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert "0" not in uids
        with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=10) as client:
            assert client.ehlo()[0] == 250
        with pytest.raises(AskError, match="cannot be read: permission denied"):
            ask(server.storage, requests.Reload())  # the key is root's: the old one stays
        assert server.stop() == 0


def test_an_unknown_user_is_told(tmp_path: Path) -> None:
    text = CONFIGURATION.replace('hostname = "mail', 'user = "nobody-here"\nhostname = "mail', 1)
    with Served(tmp_path, text) as server:
        if os.geteuid() == 0:
            assert server.process.wait(20) == 3
            assert "there is no user nobody-here" in server.log()


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")
def test_swaks_signs_in_after_starttls_and_a_stranger_is_refused(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.add_account("ann@proseware.com")
        sent = swaks(
            server.ports["submission"],
            *("--tls", "--auth", "LOGIN", "--auth-user", "ann@proseware.com"),
            *("--auth-password", PASSWORD, "--from", "ann@proseware.com"),
        )
        assert "250 2.6.0 Message accepted as" in sent
        assert "[not-recognised] case" in swaks(server.ports["mx"], "--from", "x@y.example")
        refused = swaks(server.ports["submission"], "--from", "ann@proseware.com")
        assert "530-5.7.0 Please sign in first" in refused


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_sends_and_fetches(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.add_account("ann@proseware.com")
        mail = tmp_path / "mail"
        mail.write_bytes(b"From: ann@proseware.com\r\nSubject: curl\r\n\r\nhi\r\n")
        user = ("--user", f"ann@proseware.com:{PASSWORD}")
        curl(
            f"smtps://127.0.0.1:{server.ports['submissions']}",
            *user,
            *("--mail-from", "ann@proseware.com", "--mail-rcpt", "ann@proseware.com"),
            *("--upload-file", str(mail)),
        )
        server.wait_for_event("delivered")
        fetched = curl(f"pop3s://127.0.0.1:{server.ports['pop3s']}/1", *user)
        assert "Subject: curl" in fetched


def swaks(port: int, *arguments: str) -> str:
    command = ["swaks", "--server", f"127.0.0.1:{port}", "--to", "bob@adatum.com", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout


def curl(url: str, *arguments: str) -> str:
    command = ["curl", "-sS", "-k", "--url", url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
