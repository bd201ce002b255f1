"""What a restart keeps: mail, the queue, UIDLs, POP windows, grants, passwords, counters, cases."""

import poplib
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from posthouse.server.requests import QueueHold, QueueList, QueueRetry
from tests.cli.commands import command
from tests.end_to_end.server import (
    ANN,
    BOB,
    ELSEWHERE,
    SIGNED_IN,
    Server,
    configuration,
    door,
    running,
)
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import TRUSTING, Answer, Talk, signed_in

pytestmark = pytest.mark.slow
FOREIGN = "carol@adatum.com"
AT_BOBS, LISTED = "127.0.0.9", "127.0.0.10"
CONTENT = b"From: <%s>\r\nSubject: %s\r\n\r\nHello.\r\n"


def uidls(server: Server) -> list[bytes]:
    box = poplib.POP3_SSL(*server.place("pop3s"), context=TRUSTING, timeout=10)
    try:
        box.user(ANN.name)
        box.pass_(ANN.password)
        return box.uidl()[1]
    finally:
        box.quit()


def from_place(server: Server, sender: str, place: str) -> Answer:
    with Talk(server.place("mx"), place=place) as talk:
        talk.say("EHLO laptop.example")
        assert talk.say(f"MAIL FROM:<{sender}>").code == 250
        return talk.say(f"RCPT TO:<{FOREIGN}>")


@pytest.mark.parametrize("how", ["gracefully", "by kill"])
def test_a_restart_keeps_everything(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sinking(Sink(script={"MAIL": "451 4.3.0 not now"})) as sink:
        text = configuration(
            SIGNED_IN,
            door("pop-window", window='"10 min"'),
            via=f"smtp://127.0.0.1:{sink.port}",
            limits='each_account = { recipients = "3 per day" }',
        )
        with running(tmp_path, text, ANN, BOB) as server:
            monkeypatch.setenv("POSTHOUSE_CONFIG", str(server.file))
            for token in (b"one", b"two"):
                with Talk(server.place("mx")) as talk:
                    talk.say("EHLO a.example")
                    content = CONTENT % (b"x@adatum.com", token)
                    assert talk.mail("x@adatum.com", ANN.name, content=content).code == 250
            server.wait_for_mail("ann", 2)
            before = uidls(server)
            server.fetch(BOB, AT_BOBS)
            server.grant(LISTED)
            with signed_in(server.place("submissions"), ANN) as talk:
                for token in (b"waits", b"held"):
                    content = CONTENT % (ANN.name.encode(), token)
                    assert talk.mail(ANN.name, FOREIGN, content=content).code == 250
            queued = server.ask(QueueList())
            assert len(queued) == 2
            server.ask(QueueHold(id=queued[1]["id"], because="ticket 12"))
            refused = from_place(server, BOB.name, ELSEWHERE)
            case = refused.text.partition("] case ")[2].split()[0]
            assert refused.code == 550
            assert from_place(server, BOB.name, AT_BOBS).code == 250
            assert from_place(server, BOB.name, LISTED).code == 250
            assert wait_for(lambda: command("explain", case).code == 0, 5)
            if how == "by kill":
                server.kill()
            else:
                server.stop()

            server.start()
            assert uidls(server) == before
            again = server.ask(QueueList())
            assert [it["id"] for it in again] == [it["id"] for it in queued]
            assert again[1]["hold"] == "ticket 12"
            assert from_place(server, BOB.name, LISTED).code == 250
            assert from_place(server, BOB.name, ELSEWHERE).code == 550
            assert command("explain", case).code == 0
            if how == "gracefully":  # a kill may cost the last seconds of windows and counters
                assert from_place(server, BOB.name, AT_BOBS).code == 250
                with signed_in(server.place("submissions"), ANN) as talk:
                    assert talk.say(f"MAIL FROM:<{ANN.name}>").code == 250
                    assert talk.say(f"RCPT TO:<{FOREIGN}>").code == 250
                    assert talk.say(f"RCPT TO:<{FOREIGN}>").code == 450, "three were allowed"
            sink.script = {}
            server.ask(QueueRetry())
            assert wait_for(lambda: len(server.ask(QueueList())) == 1, 10)
            assert wait_for(lambda: any(b"Subject: waits" in it.content for it in sink.mails), 10)
