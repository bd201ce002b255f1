"""Stopped, reloaded, and killed in the middle of things."""

import poplib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, running
from tests.end_to_end.talking import TRUSTING, Talk, signed_in

pytestmark = pytest.mark.slow
CONTENT = b"From: <ann@proseware.com>\r\nSubject: %s\r\n\r\nHello.\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, configuration(SIGNED_IN), ANN, BOB) as it:
        yield it


def in_data(server: Server) -> Talk:
    talk = Talk(server.place("mx"))
    talk.say("EHLO a.example")
    assert talk.say("MAIL FROM:<x@adatum.com>").code == 250
    assert talk.say(f"RCPT TO:<{ANN.name}>").code == 250
    assert talk.say("DATA").code == 354
    talk.send(b"Subject: half-way\r\n\r\nThe beginning")
    return talk


def test_sigterm_lets_a_message_end_and_tells_idle_sessions(server: Server) -> None:
    idle = Talk(server.place("mx"))
    idle.say("EHLO a.example")
    talk = in_data(server)
    server.signal(signal.SIGTERM)
    goodbye = idle.answer()
    assert goodbye.code == 421
    with pytest.raises(OSError, match="refused"):
        Talk(server.place("mx"))
    assert talk.say(b" and the end.\r\n.").code == 250
    assert talk.answer().code in {0, 421}
    assert server.wait_ended() == 0
    talk.close()
    idle.close()
    server.stop()
    server.start()
    assert any(b"The beginning and the end." in it for it in server.wait_for_mail("ann"))


def test_a_client_that_never_ends_its_message_does_not_keep_the_server(server: Server) -> None:
    talk = in_data(server)
    before = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait_ended() == 0
    assert time.monotonic() - before < 15
    answer = talk.answer()
    assert answer.code in {0, 421}
    talk.close()
    server.stop()
    server.start()
    assert server.mailbox("ann") == []


def test_sigterm_twice_and_sigint_end_it_too(server: Server) -> None:
    server.signal(signal.SIGINT)
    server.signal(signal.SIGTERM)
    assert server.wait_ended() == 0
    server.stop()
    server.start()


def test_sighup_keeps_every_session(server: Server) -> None:
    with signed_in(server.place("submissions"), ANN) as smtp, in_data(server) as halfway:
        pop3 = poplib.POP3_SSL(*server.place("pop3s"), context=TRUSTING, timeout=10)
        pop3.user(BOB.name)
        pop3.pass_(BOB.password)
        server.file.write_text(server.file.read_text() + "\n# changed\n")
        server.signal(signal.SIGHUP)
        server.wait_for_events("reloaded")
        assert smtp.mail(ANN.name, BOB.name, content=CONTENT % b"after-hup").code == 250
        assert halfway.say(b" and the end.\r\n.").code == 250
        assert pop3.stat() == (0, 0)
        server.file.write_text("hostname = ")
        server.signal(signal.SIGHUP)
        server.wait_for_events("reload-failed")
        assert smtp.mail(ANN.name, BOB.name, content=CONTENT % b"after-broken").code == 250
        pop3.quit()
    server.file.write_text(configuration(SIGNED_IN))
    server.wait_for_mail("bob", 2)


def test_many_reloads_under_load_lose_nothing(server: Server) -> None:
    taken: list[int] = []

    def send() -> None:
        with Talk(server.place("mx")) as talk:
            talk.say("EHLO a.example")
            load = CONTENT % b"load"
            taken.extend(talk.mail("x@adatum.com", ANN.name, content=load).code for _ in range(30))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        server.signal(signal.SIGHUP)
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert taken == [250] * 90
    wait_for(lambda: len(server.mailbox("ann")) == 90, 15)
    assert len(server.mailbox("ann")) == 90
