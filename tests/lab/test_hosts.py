"""Servers of the lab: started, found, asked, stopped by their own id."""

import time
from pathlib import Path

import pytest

from posthouse.lab.clients import Account, Mail, fetch, send
from posthouse.lab.hosts import Host, LabError, wait_for
from posthouse.server.requests import QueueShow, Status
from tests.end_to_end.server import ANN, SIGNED_IN, configuration


def test_waiting_ends_with_what_is_found_or_with_the_time() -> None:
    looks = iter([0, 0, 3])
    assert wait_for(lambda: next(looks), 5) == 3
    begun = time.monotonic()
    assert wait_for(lambda: "", 0.15) == ""
    assert time.monotonic() - begun >= 0.15


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    host = Host("home", tmp_path, "hostname = ")
    with pytest.raises(LabError, match=r"home did not start: .*posthouse explain C001"):
        host.start()
    host.stop()


def test_a_server_that_does_not_run_cannot_be_asked(tmp_path: Path) -> None:
    host = Host("home", tmp_path, configuration(SIGNED_IN))
    with pytest.raises(LabError, match="no server is running"):
        host.ask(Status())


@pytest.mark.slow
def test_clients_send_and_fetch_and_are_told_no(tmp_path: Path) -> None:
    host = Host("home", tmp_path, configuration(SIGNED_IN))
    host.add_account(ANN)
    host.start()
    try:
        submission, pop3 = host.listeners["submission"], host.listeners["pop3"]
        mail = Mail(ANN.name, ANN.name, "token-1", reply_to="ann@proseware.com")
        sent = send(mail, server=submission, place="127.0.0.1", sign_in=ANN)
        assert (sent.accepted, sent.code) == (True, 250)
        found = wait_for(lambda: fetch(ANN, server=pop3, place="127.0.0.3"), 10)
        assert "Subject: token-1" in found[0]
        foreign = Mail(ANN.name, "carol@adatum.com", "token-2")
        refused = send(foreign, server=host.listeners["mx"], place="127.0.0.2")
        assert (refused.accepted, refused.code) == (False, 550)
        grant = host.grant("127.0.0.2")
        assert send(foreign, server=host.listeners["mx"], place="127.0.0.2").accepted
        host.revoke(grant)
        assert not send(foreign, server=host.listeners["mx"], place="127.0.0.2").accepted
        wrong = send(mail, server=submission, place="127.0.0.1", sign_in=Account(ANN.name, "x"))
        assert (wrong.accepted, wrong.code) == (False, 535)
        with pytest.raises(LabError, match="there is no message"):
            host.ask(QueueShow("nosuch"))
        assert host.held() == []
    finally:
        host.stop()
    with pytest.raises(LabError, match="no server is running"):
        host.ask(Status())
