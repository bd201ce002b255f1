"""Postfix and Exim send to us and take from us: nothing is lost, changed, or taken in the clear."""

from pathlib import Path

import pytest

from posthouse.lab.clients import Account
from posthouse.lab.hosts import wait_for
from tests.end_to_end.exim import NEEDS_EXIM, exim
from tests.end_to_end.receivers import NEEDS_POSTFIX, postfix
from tests.end_to_end.server import ANN, SIGNED_IN, configuration, running
from tests.end_to_end.sinks import sinking
from tests.end_to_end.talking import Talk, signed_in

pytestmark = [pytest.mark.peer, pytest.mark.slow]
CAROL = Account("carol@adatum.com", "three-grey-geese")
OURS_TOO = '\n[domains."adatum.com"]\n'
CONTENT = (
    b"From: <x@stranger.example>\r\nSubject: gr\xc3\xbc\xc3\x9fe\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b".a dot\r\n..two dots\r\n" + b"long " * 190 + b"\r\nBl\xc3\xa4tter\r\n\r\n"
)
BODY = CONTENT.partition(b"\r\n\r\n")[2].rstrip()
STRANGER = "x@stranger.example"


def body_of(message: bytes) -> bytes:
    return message.replace(b"\r\n", b"\n").partition(b"\n\n")[2].replace(b"\n", b"\r\n").rstrip()


@NEEDS_POSTFIX
def test_postfix_sends_to_us(tmp_path: Path) -> None:
    text = configuration(SIGNED_IN, OURS_TOO)
    encrypted = "smtp_tls_security_level = encrypt\nsmtp_tls_loglevel = 1\n"
    with (
        running(tmp_path, text, CAROL) as server,
        postfix(server.place("mx")[1], more=encrypted) as (port, log),
        Talk(("127.0.0.1", port)) as talk,
    ):
        talk.say("EHLO stranger.example")
        stuffed = CONTENT.replace(b"\r\n.", b"\r\n..").removesuffix(b"\r\n")
        # We have a carol and no dora; Postfix believes in both.
        answer = talk.mail(STRANGER, CAROL.name, "dora@adatum.com", content=stuffed)
        assert answer.code == 250
        (message,) = wait_for(lambda: server.mailbox("carol", "adatum.com"), 20)
        assert body_of(message) == BODY
        assert b"with ESMTPS" in message
        assert wait_for(lambda: "status=bounced" in log.read_text(), 20)
        assert "550 5.1.1" in log.read_text()
        assert log.read_text().count("status=sent") == 1


@NEEDS_EXIM
def test_exim_sends_to_us_encrypted_and_is_told_who_is_not_here(tmp_path: Path) -> None:
    text = configuration(SIGNED_IN, OURS_TOO)
    with (
        running(tmp_path, text, CAROL) as server,
        exim(server.place("mx")[1], tls="*") as sender,
    ):
        sender.send(STRANGER, CAROL.name, "dora@adatum.com", content=CONTENT)
        (message,) = wait_for(lambda: server.mailbox("carol", "adatum.com"), 20)
        assert body_of(message) == BODY
        assert b"with ESMTPS" in message
        assert "=> carol@adatum.com" in sender.log(), sender.log()
        assert "** dora@adatum.com" in sender.log()
        assert "550 5.1.1" in sender.log()
        assert "X=TLS1.3" in sender.log()
        assert " K " in sender.log(), "it used CHUNKING"


@NEEDS_EXIM
def test_exim_signs_in_and_relays(tmp_path: Path) -> None:
    with sinking() as sink:
        text = configuration(SIGNED_IN, via=f"smtp://127.0.0.1:{sink.port}")
        with (
            running(tmp_path, text, ANN) as server,
            exim(server.place("submission")[1], tls="*") as sender,
        ):
            sender.send(ANN.name, "dora@fabrikam.example", content=CONTENT.replace(
                STRANGER.encode(), ANN.name.encode()))  # fmt: skip
            assert wait_for(lambda: len(sink.mails) == 1, 20), sender.log()
            assert b"A=plain" in sender.log().encode()
            assert body_of(sink.mails[0].content) == BODY


@NEEDS_EXIM
def test_exim_without_a_sign_in_is_refused_and_returns_the_mail(tmp_path: Path) -> None:
    text = configuration(SIGNED_IN)
    with running(tmp_path, text, ANN) as server, exim(server.place("mx")[1]) as sender:
        sender.send(STRANGER, "dora@fabrikam.example", content=CONTENT)
        assert "** dora@fabrikam.example" in sender.log()
        assert "[not-recognised] case" in sender.log()
        assert server.captured() == []


@NEEDS_EXIM
def test_exim_takes_from_us_and_its_refusals_come_back(tmp_path: Path) -> None:
    with sinking() as sink, exim(sink.port) as taker, taker.serving():
        route = f'to = ["adatum.com"]\nvia = "smtp://127.0.0.1:{taker.port}"\ntls = "required"'
        text = configuration(SIGNED_IN) + f"\n[[outbound.route]]\n{route}\n"
        with (
            running(tmp_path, text, ANN) as server,
            signed_in(server.place("submissions"), ANN) as talk,
        ):
            content = CONTENT.replace(STRANGER.encode(), ANN.name.encode())
            stuffed = content.replace(b"\r\n.", b"\r\n..").removesuffix(b"\r\n")
            answer = talk.mail(ANN.name, CAROL.name, "nobody@adatum.com", content=stuffed)
            assert answer.code == 250
            assert wait_for(lambda: len(sink.mails) == 1, 20), taker.log()
            assert body_of(sink.mails[0].content) == BODY
            assert "P=esmtps" in taker.log()
            (report,) = server.wait_for_mail("ann")
            assert b"nobody of this name here" in report
            server.wait_for_events("delivered", 1)
