"""Over the wire, nobody unknown sends anything elsewhere: judged by what the next hop was given."""

import base64
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from posthouse.lab.clients import Account, Mail, send, trusting_context
from posthouse.lab.hosts import wait_for
from posthouse.server.listeners import has_ipv6
from posthouse.server.requests import QueueSummary, Status
from tests.end_to_end.relay_tricks import CATCHING, PASSED, L, R, T, X, tricks
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
STRANGER = "stranger@adatum.com"
FOREIGN = f"{T}@{X}"
AT_BOBS = "127.0.0.9"  # from where Bob fetches mail
WAYS = ("mx", "mx-tls", "submission", "submission-tls", "submissions")
CONTENT = b"From: <ann@proseware.com>\r\nTo: <%s>\r\nSubject: canary\r\n\r\nCanary.\r\n"


class Verdict(Struct, frozen=True):
    """How far a trick came."""

    command: str
    answer: Answer

    def __str__(self) -> str:
        return f"{self.command}: {self.answer.code} {self.answer.text}"


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with sinking() as it:
        yield it


@pytest.fixture(scope="module")
def server(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    via = f"smtp://127.0.0.1:{sink.port}"
    text = configuration(
        f'[domains."{CATCHING}"]\ncatch_all = "{ANN.name}"\n',
        f'[domains."{PASSED}"]\ndeliver_via = "{via}"\n',
        SIGNED_IN,
        door("pop-window", window='"10 min"'),
        door("network", networks='["192.0.2.0/24", "10.0.0.1"]'),
        door("network", networks='["10.20.0.0/24"]', sends_as='["scanner@proseware.com"]'),
        via=via,
    )
    with running(tmp_path_factory.mktemp("tricks"), text, ANN, BOB) as it:
        yield it


def talk_to(server: Server, way: str, hello: str = "EHLO laptop.example") -> Talk:
    listener = way.removesuffix("-tls")
    talk = Talk(server.place(listener), place=ELSEWHERE, tls=way == "submissions")
    talk.say(hello)
    if way.endswith("-tls"):
        talk.start_tls()
    return talk


def attempt(talk: Talk, mail: str, rcpt: str) -> Verdict:
    """Go on as far as the server lets us, to the final dot."""
    for command in (f"MAIL {mail}", f"RCPT {rcpt}"):
        answer = talk.say(command)
        if answer.code // 100 != 2:
            return Verdict(command[:4], answer)
    answer = talk.say("DATA")
    if answer.code != 354:
        return Verdict("DATA", answer)
    return Verdict("dot", talk.say(CONTENT % FOREIGN.encode() + b"."))


def wait_idle(server: Server) -> None:
    """Until nothing is under way any more."""
    empty = wait_for(lambda: server.ask(QueueSummary())["messages"] == 0, 20)
    assert empty, server.ask(QueueSummary())


@pytest.mark.parametrize("way", WAYS)
def test_no_trick_with_addresses_relays(server: Server, sink: Sink, way: str) -> None:
    asked = list(tricks())
    assert len(asked) > 200
    refused = 0
    for mail, rcpt in asked:
        with talk_to(server, way) as talk:
            verdict = attempt(talk, mail, rcpt)
        assert verdict.answer.code // 100 in {2, 5}, f"{mail} {rcpt}: {verdict}"
        refused += verdict.answer.code >= 500
    wait_idle(server)
    assert [mail.recipients for mail in sink.mails] == []
    assert refused > len(asked) - (30 if way.startswith("mx") else 1)


@pytest.mark.parametrize(
    "hello",
    [f"EHLO {R}", "EHLO [127.0.0.1]", f"EHLO {L}", "EHLO [192.0.2.1]", "HELO localhost", "HELO x",
     "HELO 10.0.0.1", "EHLO [IPv6:::ffff:192.0.2.1]"],
)  # fmt: skip
def test_no_name_in_ehlo_relays(server: Server, sink: Sink, hello: str) -> None:
    with talk_to(server, "mx", hello) as talk:
        assert attempt(talk, f"FROM:<{ANN.name}>", f"TO:<{FOREIGN}>").answer.code >= 500
    assert sink.mails == []


@pytest.mark.parametrize(
    "first",
    [
        b"PROXY TCP4 192.0.2.1 127.0.0.1 4242 25\r\n",
        b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4242 25\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x10\x92\x00\x19",
        b"EHLO a.example\r\nXCLIENT ADDR=192.0.2.1 NAME=a.example LOGIN=ann@proseware.com\r\n",
        b"EHLO a.example\r\nXFORWARD ADDR=192.0.2.1\r\n",
        b"POST / HTTP/1.1\r\nHost: mail.proseware.com\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
    ],
    ids=["proxy-1", "proxy-1-ipv6", "proxy-2", "xclient", "xforward", "http"],
)
def test_no_forged_client_address_relays(server: Server, sink: Sink, first: bytes) -> None:
    said = f"EHLO a.example\r\nMAIL FROM:<{ANN.name}>\r\nRCPT TO:<{FOREIGN}>\r\nDATA\r\n".encode()
    with talk_to(server, "mx") as talk:
        talk.send(first + said + CONTENT % FOREIGN.encode() + b".\r\nQUIT\r\n")
        answers = []
        while (answer := talk.answer()).code:
            answers.append(answer)
    assert not any(answer.code == 354 for answer in answers)
    assert sink.mails == []


def sasl(*parts: str) -> str:
    return base64.b64encode("\0".join(parts).encode()).decode()


@pytest.mark.parametrize(
    "auth",
    [
        "AUTH ANONYMOUS dGVzdA==",
        "AUTH EXTERNAL =",
        "AUTH NTLM TlRMTVNTUAABAAAA",
        "AUTH GSSAPI",
        f"AUTH PLAIN {sasl('', ANN.name, '')}",
        f"AUTH PLAIN {sasl('', '', '')}",
        f"AUTH PLAIN {sasl('', 'guest', 'guest')}",
        f"AUTH PLAIN {sasl(ANN.name, 'guest', 'guest')}",
        f"AUTH PLAIN {sasl('', ANN.name, 'x')}",
        f"AUTH PLAIN {sasl('', ANN.name, ANN.password + ' ')}",
        f"AUTH PLAIN {sasl('', ANN.name, '%')}",
        f"AUTH PLAIN {sasl('', ANN.name + chr(39) + ' OR 1=1 --', 'x')}",
        "AUTH PLAIN *",
        "AUTH LOGIN =",
        "AUTH",
    ],
)
def test_no_false_sign_in_relays(server: Server, sink: Sink, auth: str) -> None:
    with talk_to(server, "submissions") as talk:
        answer = talk.say(auth)
        assert answer.code != 235, answer
        while answer.code == 334:
            answer = talk.say("")
        assert answer.code >= 400
        verdict = attempt(talk, f"FROM:<{ANN.name}>", f"TO:<{FOREIGN}>")
        assert verdict.answer.code >= 500, verdict
    assert sink.mails == []


def test_nothing_carries_over_from_another_state(server: Server, sink: Sink) -> None:
    with talk_to(server, "mx") as talk:  # a local recipient opens nothing for the next one
        assert talk.say(f"MAIL FROM:<{STRANGER}>").code == 250
        assert talk.say(f"RCPT TO:<{ANN.name}>").code == 250
        assert talk.say(f"RCPT TO:<{FOREIGN}>").code == 550
        assert talk.say("DATA").code == 354
        assert talk.say(b"From: <x@adatum.com>\r\n\r\nFor Ann only.\r\n.").code == 250
    with talk_to(server, "mx") as talk:  # no MAIL, no EHLO, a second MAIL
        assert talk.say(f"RCPT TO:<{FOREIGN}>").code == 503
        assert talk.say("DATA").code == 503
        assert talk.say(f"MAIL FROM:<{STRANGER}>").code == 250
        assert talk.say(f"MAIL FROM:<{ANN.name}>").code == 503
        assert talk.say("DATA").code in {503, 554}
    with talk_to(server, "submission") as talk:  # what was said before TLS is forgotten
        talk.send(b"STARTTLS\r\nEHLO a\r\nMAIL FROM:<ann@proseware.com>\r\n")
        assert talk.answer().code == 220
    wait_idle(server)
    assert sink.mails == []
    assert any(b"For Ann only" in it for it in server.mailbox("ann"))


def test_all_in_one_packet_is_judged_command_by_command(server: Server, sink: Sink) -> None:
    mail = f"MAIL FROM:<{ANN.name}>\r\nRCPT TO:<{FOREIGN}>\r\n".encode()
    content = CONTENT % FOREIGN.encode()
    for end in (
        b"DATA\r\n" + content + b".\r\n",
        b"BDAT %d LAST\r\n%s" % (len(content), content),
        b"BDAT 5\r\nFrom:BDAT %d LAST\r\n%s" % (len(content), content),
    ):
        with talk_to(server, "mx") as talk:
            talk.send(mail + end)
            assert talk.answer().code == 250
            assert talk.answer().code == 550
            talk.send(b"QUIT\r\n")
            codes = []
            while (answer := talk.answer()).code:
                codes.append(answer.code)
            assert 250 not in codes, codes
    wait_idle(server)
    assert sink.mails == []


ENDS = (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n\0.\r\n",
        b"\r\n.\0\r\n", b"\n\r\n.\n")  # fmt: skip


@pytest.mark.parametrize("end", ENDS, ids=[repr(it) for it in ENDS])
def test_a_false_end_of_content_smuggles_nothing(server: Server, sink: Sink, end: bytes) -> None:
    smuggled = f"MAIL FROM:<admin@{L}>\r\nRCPT TO:<{FOREIGN}>\r\nDATA\r\nSubject: x\r\n\r\nx"
    content = b"From: <ann@proseware.com>\r\n\r\nfirst" + end + smuggled.encode()
    with signed_in(server.place("submissions"), ANN, place=ELSEWHERE) as talk:
        answer = talk.mail(ANN.name, FOREIGN, content=content)
        assert answer.code == 550, answer
        assert "breaks-format" in answer.text
        assert talk.say("NOOP").code == 250, "nothing of it was a command"
    wait_idle(server)
    assert sink.mails == []


def fetch_as(server: Server, *commands: str, place: str) -> list[str]:
    """Say something to POP3 with TLS; return the answers."""
    plain = socket.create_connection(server.place("pop3s"), 10, (place, 0))
    with TRUSTING.wrap_socket(plain) as stream, stream.makefile("rwb") as lines:
        answers = [lines.readline().decode()]
        for command in commands:
            lines.write(f"{command}\r\n".encode())
            lines.flush()
            answers.append(lines.readline().decode())
    return answers


def from_place(server: Server, sender: str, place: str) -> Answer:
    with Talk(server.place("mx"), place=place) as talk:
        talk.say("EHLO laptop.example")
        return attempt(talk, f"FROM:<{sender}>", f"TO:<{FOREIGN}>").answer


def test_only_a_finished_pop3_sign_in_opens_a_window_and_only_for_its_owner(
    server: Server, sink: Sink
) -> None:
    wrong = (f"USER {BOB.name}", "PASS wrong-password", "QUIT")
    assert fetch_as(server, *wrong, place=AT_BOBS)[2].startswith("-ERR")
    fetch_as(server, f"USER {BOB.name}", "QUIT", place=AT_BOBS)
    fetch_as(server, "APOP bob c4c9334bac560ecc979e58001b3e22fb", "QUIT", place=AT_BOBS)
    assert from_place(server, BOB.name, AT_BOBS).code == 550
    right = (f"USER {BOB.name}", f"PASS {BOB.password}", "STAT", "QUIT")
    assert fetch_as(server, *right, place=AT_BOBS)[2].startswith("+OK")
    for sender in (ANN.name, "", STRANGER, f"nosuch@{L}"):
        answer = from_place(server, sender, AT_BOBS)
        assert answer.code == 550, (sender, answer)
    assert from_place(server, BOB.name, ELSEWHERE).code == 550
    assert from_place(server, BOB.name, AT_BOBS).code == 550, "From is still Ann's"
    assert sink.mails == []


def test_a_bounce_never_carries_content_to_a_forged_sender(server: Server, sink: Sink) -> None:
    with talk_to(server, "mx") as talk:
        assert talk.say(f"MAIL FROM:<{FOREIGN}>").code == 250
        assert talk.say(f"RCPT TO:<nosuch@{L}>").code == 550
        assert talk.say(f"RCPT TO:<nosuch@sub.{L}>").code == 550
    wait_idle(server)
    assert sink.mails == []


def test_the_sink_would_have_seen_it(server: Server, sink: Sink) -> None:
    """The control: somebody who may relay does reach the sink, with the same content."""
    before = len(sink.mails)
    with signed_in(server.place("submissions"), ANN, place=ELSEWHERE) as talk:
        assert talk.mail(ANN.name, FOREIGN, content=CONTENT % FOREIGN.encode()).code == 250
    assert wait_for(lambda: len(sink.mails) == before + 1, 15)
    sink.mails.clear()


def test_python_s_own_client_is_told_why(server: Server) -> None:
    sent = send(Mail(STRANGER, FOREIGN, "x"), server=server.place("mx"), place=ELSEWHERE)
    assert (sent.accepted, sent.code) == (False, 550)
    assert "[not-recognised] case " in sent.reply
    account = Account(ANN.name, "wrong-password")
    with (
        pytest.raises(smtplib.SMTPAuthenticationError),
        smtplib.SMTP_SSL(
            *server.place("submissions"), context=trusting_context(), timeout=10
        ) as client,
    ):
        client.login(account.name, account.password)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6_is_no_way_round(sink: Sink, tmp_path: Path) -> None:
    text = configuration(
        '[listen.mx6]\nservice = "smtp"\non = ["[::1]:0", "[::]:0"]\n',
        SIGNED_IN,
        door("network", networks='["127.0.0.1", "10.0.0.1"]'),
        via=f"smtp://127.0.0.1:{sink.port}",
    )
    with running(tmp_path, text, ANN) as server:
        for address in server.ask(Status())["listeners"]["mx6"]:
            host, _, port = address.rpartition(":")
            host = {"[::]": "::1"}.get(host, host.strip("[]"))
            for mail, rcpt in list(tricks())[::5]:
                with Talk((host, int(port)), place="::1") as talk:
                    talk.say("EHLO [IPv6:::ffff:127.0.0.1]")
                    assert attempt(talk, mail, rcpt).answer.code // 100 in {2, 5}
        wait_idle(server)
    assert sink.mails == []
