"""A server as an operator meets it: started, asked, reloaded, stopped."""

import poplib
import signal
import smtplib
import socket
from pathlib import Path

import pytest

from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.server import requests
from posthouse.server.asking import AskError, ask, stream
from tests.server.serving import CONFIGURATION, PASSWORD, Served, served
from tests.sessions.post import trusting

MESSAGE = b"From: ann@proseware.com\r\nSubject: hello\r\n\r\nHi.\r\n"


def send(server: Served, *to: str, content: bytes = MESSAGE) -> None:
    with smtplib.SMTP_SSL(
        "127.0.0.1", server.ports["submissions"], timeout=10, context=trusting()
    ) as client:
        client.login("ann@proseware.com", PASSWORD)
        client.sendmail("ann@proseware.com", to, content)


def test_mail_goes_from_submission_to_a_pop3_mailbox_and_out(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.add_account("ann@proseware.com")
        send(server, "ann@proseware.com", "bob@adatum.com")
        server.wait_for_event("delivered", 2)
        mailbox = poplib.POP3_SSL(
            "127.0.0.1", server.ports["pop3s"], context=trusting(), timeout=10
        )
        mailbox.user("ann@proseware.com")
        mailbox.pass_(PASSWORD)
        assert mailbox.stat()[0] == 1
        assert b"Subject: hello" in mailbox.retr(1)[1]
        mailbox.quit()
        assert len(list((server.storage / "captured" / "new").iterdir())) == 1
        assert server.stop() == 0
        assert server.events("stopped")[0]["why"] == "SIGTERM"
        assert server.events("bug-met") == []


def test_mail_to_postmaster_is_kept_though_nobody_made_an_account(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=10) as client:
            to = ["postmaster@proseware.com", "postmaster@mail.proseware.com", "postmaster"]
            client.sendmail("x@adatum.com", to[:2], MESSAGE)
        server.wait_for_event("delivered", 1)
        kept = tmp_path / "storage" / "mail" / "proseware.com" / "postmaster" / "new"
        assert len(list(kept.iterdir())) == 1


def test_a_taken_port_is_one_sentence_and_exit_code_4(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = CONFIGURATION.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
        with Served(tmp_path, text) as server:
            assert server.process.wait(20) == 4
            assert f"port {port} on 127.0.0.1 (listener mx) is taken" in server.log()
            assert "Traceback" not in server.log()


def test_a_wrong_configuration_is_shown_with_its_line_and_exit_code_3(tmp_path: Path) -> None:
    with Served(tmp_path, CONFIGURATION.replace("service =", "servise =", 1)) as server:
        assert server.process.wait(20) == 3
        assert "posthouse.toml:5" in server.log()
        assert "Traceback" not in server.log()


def test_a_second_server_keeps_out_of_the_storage(tmp_path: Path) -> None:
    with served(tmp_path) as first, Served(tmp_path) as second:
        assert second.process.wait(20) == 4
        assert "another Posthouse" in second.log()
        assert first.process.poll() is None


@pytest.mark.parametrize("name", ["spool/spool.db", "accounts.db", "cases.db"])
def test_a_corrupt_store_is_told_and_left_as_it_was(tmp_path: Path, name: str) -> None:
    path = tmp_path / "storage" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"garbage" * 1000)
    with Served(tmp_path) as server:
        assert server.process.wait(20) == 4
        assert "Traceback" not in server.log()
        assert path.name in server.log()
        assert path.read_bytes() == b"garbage" * 1000


def test_a_broken_file_changes_nothing_and_a_right_one_holds_at_once(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.file.write_text("hostname = ")
        with pytest.raises(AskError, match=r"posthouse\.toml:1") as refused:
            ask(server.storage, requests.Reload())
        assert refused.value.exit_code == 3
        server.file.write_text(CONFIGURATION + '[refusals]\nwords = "qmail"\n')
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_event("reloaded")
        with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=10) as client:
            client.ehlo()
            client.mail("x@adatum.com")
            code, text = client.rcpt("y@adatum.com")
        assert (code, text.splitlines()[0]) == (
            553,
            b"sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        )


def test_a_reload_keeps_running_sessions(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.add_account("ann@proseware.com")
        with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=10) as client:
            client.ehlo()
            client.mail("x@adatum.com")
            assert ask(server.storage, requests.Reload()) == "reloaded"
            assert client.rcpt("ann@proseware.com")[0] == 250
            assert client.data(MESSAGE)[0] == 250


def test_a_grant_holds_at_once_and_ends_when_it_is_taken_back(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        store = SqliteAccountStore(server.storage / "accounts.db")
        grant = store.add_grant("127.0.0.1", name="", until=None, because="test", by="me")
        ask(server.storage, requests.GrantsChanged())

        def reply() -> int:
            with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=10) as client:
                client.ehlo()
                client.mail("ann@proseware.com")
                return client.rcpt("y@adatum.com")[0]

        assert reply() == 250
        store.remove_grant(grant.id)
        store.close()
        ask(server.storage, requests.GrantsChanged())
        assert reply() == 550


def test_held_mail_is_listed_shown_and_released(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.add_account("ann@proseware.com")
        spam = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
        send(server, "bob@adatum.com", content=MESSAGE + spam + b"\r\n")
        (held,) = ask(server.storage, requests.QueueList(held=True))
        assert held["hold"].startswith("looks-like-spam")
        shown = ask(server.storage, requests.QueueShow(held["id"], octets=10_000))
        assert "GTUBE" in shown["content"]
        server.wait_for_event("delivered")  # the notice to its sender
        assert ask(server.storage, requests.QueueRelease(id=held["id"])) is True
        server.wait_until(lambda: ask(server.storage, requests.QueueList()) == [])
        with pytest.raises(AskError, match="there is no message"):
            ask(server.storage, requests.QueueRelease(id=held["id"]))


def test_status_tells_how_it_is_and_who_asked_to_stop_is_in_the_log(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        status = ask(server.storage, requests.Status())
        assert status["hostname"] == "mail.proseware.com"
        assert status["problems"] == []
        assert (server.storage / "control.sock").stat().st_mode & 0o777 == 0o660
        assert ask(server.storage, requests.Stop()) == "stopping"
        assert server.process.wait(20) == 0
        assert "uid" in str(server.events("stopped")[0]["why"])
        with pytest.raises(AskError, match="no server is running") as refused:
            ask(server.storage, requests.Status())
        assert refused.value.exit_code == 4


def test_decisions_are_streamed_as_they_are_made(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        with smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=10) as client:
            client.ehlo()
            client.mail("x@adatum.com")
            client.rcpt("y@adatum.com")
        items = stream(server.storage, requests.DecisionsTail(past=10, reason="not-recognised"))
        assert next(items)["forward_path"] == "y@adatum.com"
        items.close()  # type: ignore[attr-defined]


def test_a_transaction_may_end_while_the_server_stops(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.add_account("ann@proseware.com")
        client = smtplib.SMTP("127.0.0.1", server.ports["mx"], timeout=10)
        client.ehlo()
        client.mail("x@adatum.com")
        client.rcpt("ann@proseware.com")
        ask(server.storage, requests.Stop())
        assert client.data(MESSAGE)[0] == 250
        client.close()
        assert server.process.wait(20) == 0


def test_what_got_250_survives_a_kill(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.add_account("ann@proseware.com")
        send(server, "ann@proseware.com")
        server.stop(signal.SIGKILL)
    with served(tmp_path) as again:
        again.wait_for_event("delivered")
        mail = tmp_path / "storage" / "mail" / "proseware.com" / "ann" / "new"
        assert len(list(mail.iterdir())) >= 1
