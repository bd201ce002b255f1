"""What a sender is told when mail cannot go further, and when nobody is told anything."""

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from posthouse.lab.hosts import wait_for
from posthouse.server.requests import QueueList, QueueRetry, QueueShow
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, door, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Talk, signed_in

pytestmark = pytest.mark.slow
UNKNOWN, LATER, GOOD = "nosuch@adatum.com", "later@adatum.com", "carol@adatum.com"
SCRIPT = {
    f"RCPT TO:<{UNKNOWN}>": "550 5.1.1 no such user here",
    f"RCPT TO:<{LATER}>": "451 4.7.1 greylisted, come again",
}
CONTENT = b"From: <ann@proseware.com>\r\nTo: <x@adatum.com>\r\nSubject: %s\r\n\r\nHello.\r\n"


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with sinking(Sink(script=SCRIPT)) as it:
        yield it


@pytest.fixture(scope="module")
def server(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(
        SIGNED_IN,
        door("network", networks='["127.0.0.3"]', sends_as='["*"]'),
        via=f"smtp://127.0.0.1:{sink.port}",
        outbound='tell_sender_after = "1 s"\ngive_up_after = "4 s"',
        limits="hops = 5",
    )
    with running(tmp_path_factory.mktemp("bounces"), text, ANN, BOB) as it:
        yield it


def parts_of(octets: bytes) -> tuple[EmailMessage, list[EmailMessage]]:
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message, [part for part in message.iter_parts() if isinstance(part, EmailMessage)]


def reports(server: Server, account: str, about: str) -> list[bytes]:
    return [it for it in server.mailbox(account) if about.encode() in it]


def wait_for_report(server: Server, account: str, about: str) -> bytes:
    wait_for(lambda: reports(server, account, about), 15)
    found = reports(server, account, about)
    assert len(found) == 1, server.log()[-3000:]
    return found[0]


def test_an_unknown_user_elsewhere_gives_a_report_in_the_sender_s_mailbox(
    server: Server, sink: Sink
) -> None:
    with signed_in(server.place("submissions"), ANN) as talk:
        answer = talk.mail(ANN.name, UNKNOWN, GOOD, content=CONTENT % b"to-unknown")
        assert answer.code == 250
    report, parts = parts_of(wait_for_report(server, "ann", "to-unknown"))
    assert report["Return-Path"] in (None, "<>")
    assert report["Auto-Submitted"] == "auto-replied"
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    human, machine, returned = parts
    assert UNKNOWN in human.get_content()
    assert "no such user here" in human.get_content()
    assert machine.get_content_type() == "message/delivery-status"
    status = machine.as_bytes().decode()
    assert f"Final-Recipient: rfc822; {UNKNOWN}" in status
    assert "Action: failed" in status
    assert "Status: 5.1.1" in status
    assert "550 5.1.1 no such user here" in status
    assert GOOD not in status, "the other recipient got it"
    assert returned.get_content_type() in ("message/rfc822", "text/rfc822-headers")
    assert b"Subject: to-unknown" in returned.as_bytes()
    assert wait_for(lambda: any(b"to-unknown" in it.content for it in sink.mails), 10)
    assert not any(UNKNOWN in str(it.recipients) for it in sink.mails)


def test_what_has_no_sender_comes_back_to_nobody_but_our_postmaster(
    server: Server, sink: Sink
) -> None:
    with Talk(server.place("mx"), place="127.0.0.3") as talk:
        talk.say("EHLO laptop.example")
        assert talk.mail("", UNKNOWN, content=CONTENT % b"from-nobody").code == 250
    assert wait_for(lambda: not server.ask(QueueList(recipient=UNKNOWN)), 10)
    (told,) = server.wait_for_mail("postmaster")
    assert b"from-nobody" in told
    assert UNKNOWN.encode() in told
    assert not reports(server, "ann", "from-nobody")
    assert not any(b"from-nobody" in mail.content for mail in sink.mails)


def test_notify_never_asks_for_no_report(server: Server) -> None:
    with signed_in(server.place("submissions"), BOB) as talk:
        assert talk.say(f"MAIL FROM:<{BOB.name}>").code == 250
        assert talk.say(f"RCPT TO:<{UNKNOWN}> NOTIFY=NEVER").code == 250
        assert talk.say("DATA").code == 354
        content = (CONTENT % b"never").replace(b"ann@", b"bob@")
        assert talk.say(content + b".").code == 250
    assert wait_for(lambda: not server.ask(QueueList(recipient=UNKNOWN)), 10)
    assert not reports(server, "bob", "never")


def test_mail_that_runs_in_circles_is_refused(server: Server) -> None:
    received = b"Received: from a by b; Tue, 1 Jul 2003 10:52:37 +0200\r\n" * 6
    with Talk(server.place("mx")) as talk:
        talk.say("EHLO laptop.example")
        answer = talk.mail("x@adatum.com", ANN.name, content=received + CONTENT % b"loop")
    assert answer.code == 554
    assert "5.4.6" in answer.text
    assert "[mail-loop]" in answer.text


def test_the_sender_is_told_of_a_delay_once_and_then_of_the_end(server: Server) -> None:
    with signed_in(server.place("submissions"), ANN) as talk:
        answer = talk.mail(ANN.name, LATER, content=CONTENT % b"greylisted-one")
        message_id = answer.text.partition(" accepted as ")[2].split()[0]
    (waiting,) = server.ask(QueueList(recipient=LATER))
    assert waiting["id"] == message_id
    assert wait_for(lambda: reports(server, "ann", "greylisted-one"), 15), server.log()
    server.ask(QueueRetry())  # and no second warning for it
    assert wait_for(lambda: not server.ask(QueueList(recipient=LATER)), 10)
    assert wait_for(lambda: len(reports(server, "ann", "greylisted-one")) >= 2, 15), server.log()
    delayed, failed = sorted(
        reports(server, "ann", "greylisted-one"), key=lambda it: b"Action: failed" in it
    )
    assert b"Action: delayed" in delayed
    assert b"Will-Retry-Until:" in delayed
    assert b"Action: failed" in failed
    assert b"451 4.7.1 greylisted, come again" in failed
    journey = server.ask(QueueShow(message_id))["journey"]
    assert journey
