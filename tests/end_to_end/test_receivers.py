"""Postfix and Dovecot as next hops: what they say is told, and mail arrives as it was sent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from tests.cli.commands import command
from tests.end_to_end.receivers import (
    NEEDS_DOVECOT,
    NEEDS_POSTFIX,
    dovecot_lmtp,
    postfix,
    smtp_sink,
)
from tests.end_to_end.server import ANN, SIGNED_IN, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Talk, signed_in

pytestmark = [pytest.mark.peer, pytest.mark.slow]
CONTENT = b"From: <ann@proseware.com>\r\nSubject: hello\r\n\r\n..A dot.\r\nBye.\r\n"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with sinking() as it:
        yield it


def submit(server: Server, *to: str) -> None:
    with signed_in(server.place("submissions"), ANN) as talk:
        assert talk.mail(ANN.name, *to, content=CONTENT).code == 250


def stored(directory: Path, *users: str) -> list[bytes]:
    """What lies in Dovecot's mailboxes, with lines that end in LF."""
    paths = [path for user in users for path in (directory / "mail" / user).glob("new/*")]
    return [path.read_bytes().replace(b"\r\n", b"\n") for path in paths]


def outbound(port: int, tls: str = "opportunistic") -> str:
    route = f'to = ["adatum.com"]\nvia = "smtp://127.0.0.1:{port}"\ntls = "{tls}"'
    return f"\n[[outbound.route]]\n{route}\n"


@NEEDS_POSTFIX
@pytest.mark.parametrize("level", ["may", "encrypt"])
def test_postfix_takes_mail_encrypted_and_its_refusals_come_back(
    level: str, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        postfix(sink.port, level) as (port, _),
        running(tmp_path, configuration(SIGNED_IN) + outbound(port), ANN) as server,
    ):
        monkeypatch.setenv("POSTHOUSE_CONFIG", str(server.file))
        submit(server, "carol@adatum.com", "nobody@adatum.com")
        assert wait_for(lambda: len(sink.mails) == 1, 20)
        assert b"\r\n\r\n.A dot.\r\nBye.\r\n" in sink.mails[0].content
        assert b"using TLSv1.3" in sink.mails[0].content, "Postfix tells so in its Received field"
        (report,) = server.wait_for_mail("ann")
        assert b"has no mailbox of this name" in report
        assert b"User unknown in relay recipient table" in report
        told = command("journey", "carol@adatum.com").out
        assert "delivered (127.0.0.1 [127.0.0.1], TLSv1.3" in told, told
        assert "250 2.0.0 Ok: queued as" in told


@NEEDS_POSTFIX
def test_a_route_that_demands_tls_never_goes_without(sink: Sink, tmp_path: Path) -> None:
    with (
        postfix(sink.port, "none") as (port, _),
        running(tmp_path, configuration(SIGNED_IN) + outbound(port, "required"), ANN) as server,
    ):
        submit(server, "carol@adatum.com")
        (event,) = server.wait_for_events("deferred")
        assert "no TLS" in event["reply"]
        assert sink.mails == []


@NEEDS_POSTFIX
def test_many_messages_reach_postfix_over_few_connections(sink: Sink, tmp_path: Path) -> None:
    with (
        postfix(sink.port) as (port, log),
        running(tmp_path, configuration(SIGNED_IN) + outbound(port), ANN) as server,
    ):
        with signed_in(server.place("submissions"), ANN) as talk:
            for _ in range(60):
                assert talk.mail(ANN.name, "carol@adatum.com", content=CONTENT).code == 250
        server.wait_for_events("delivered", 60)
        assert wait_for(lambda: len(sink.mails) == 60, 30)
        assert log.read_text().count(" connect from ") < 30


@NEEDS_POSTFIX
@pytest.mark.parametrize("options", [(), ("-p",), ("-e",)], ids=["esmtp", "no pipelining", "smtp"])
def test_smtp_sink_takes_many_messages(options: tuple[str, ...], tmp_path: Path) -> None:
    with (
        smtp_sink(*options) as port,
        running(tmp_path, configuration(SIGNED_IN) + outbound(port), ANN) as server,
    ):
        with signed_in(server.place("submissions"), ANN) as talk:
            for _ in range(40):
                answer = talk.mail(ANN.name, "a@adatum.com", "b@adatum.com", content=CONTENT)
                assert answer.code == 250
        server.wait_for_events("delivered", 80)
        assert server.events("deferred") == []


@NEEDS_POSTFIX
@pytest.mark.parametrize(
    ("options", "event", "words"),
    [
        (("-f", "rcpt"), "failed", "500 5.3.0"),
        (("-r", "mail"), "deferred", "450 4.3.0"),
        (("-f", "data"), "failed", "500 5.3.0"),
        (("-r", "."), "deferred", "450 4.3.0"),
        (("-q", "data"), "deferred", "closed"),
        (("-q", "."), "deferred", "twice"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_smtp_sink_refuses_defers_and_hangs_up(
    options: tuple[str, ...], event: str, words: str, tmp_path: Path
) -> None:
    with (
        smtp_sink(*options) as port,
        running(tmp_path, configuration(SIGNED_IN) + outbound(port), ANN) as server,
    ):
        submit(server, "carol@adatum.com")
        (told,) = server.wait_for_events(event, forward_path="carol@adatum.com")
        assert words in told["reply"], told


@NEEDS_DOVECOT
@pytest.mark.parametrize("way", ["port", "socket"])
def test_dovecot_takes_mail_by_lmtp_and_answers_for_each_recipient(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dovecot_lmtp("carol", "dora") as (port, directory):
        via = f"lmtp://127.0.0.1:{port}" if way == "port" else f"lmtp://{directory}/lmtp.sock"
        text = configuration(SIGNED_IN) + (
            f'\n[domains."adatum.com"]\ndeliver_via = "{via}"\nverify_recipients = true\n'
        )
        with running(tmp_path, text, ANN) as server, Talk(server.place("mx")) as talk:
            monkeypatch.setenv("POSTHOUSE_CONFIG", str(server.file))
            talk.say("EHLO stranger.example")
            assert talk.say("MAIL FROM:<x@stranger.example>").code == 250
            assert talk.say("RCPT TO:<carol@adatum.com>").code == 250
            assert talk.say("RCPT TO:<nobody@adatum.com>").code == 550
            assert talk.say("RCPT TO:<dora@adatum.com>").code == 250
            assert talk.say("DATA").code == 354
            assert talk.say(CONTENT.decode() + ".").code == 250
            for user in ("carol", "dora"):
                assert wait_for(lambda: len(stored(directory, "carol", "dora")) == 2, 20)
                octets = stored(directory, user)[0]
                assert octets.endswith(b"\n\n.A dot.\nBye.\n")
                assert b"Return-Path: <x@stranger.example>" in octets
            told = command("journey", "dora@adatum.com").out
            protection = "not encrypted" if way == "port" else "on this machine"
            assert protection in told, told
            assert "<dora@adatum.com>" in told
