"""Mail finds its way by DNS, routes and smart hosts, and no dead host keeps another's mail."""

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from posthouse.lab.hosts import wait_for
from posthouse.lab.zones import Zones
from posthouse.server.requests import QueueList
from tests.delivery.sink import HANG
from tests.end_to_end.server import ANN, SIGNED_IN, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking, zoning
from tests.end_to_end.talking import signed_in

pytestmark = pytest.mark.slow
CONTENT = "From: <ann@proseware.com>\r\nSubject: {}\r\n\r\nHello.\r\n"
SIGN_IN = 'sign_in = { user = "isp", password_file = "secret" }\n'
DEAD = "127.0.0.99"  # where nothing listens


def world() -> Zones:
    zones = Zones()
    for name, kind, *records in (
        ("adatum.com", "MX", "10 mx.adatum.com."),
        ("mx.adatum.com", "A", "127.0.0.1"),
        ("implicit.com", "A", "127.0.0.1"),
        ("null.com", "MX", "0 ."),
        ("second.com", "MX", "10 dead.second.com.", "20 mx.adatum.com."),
        ("dead.second.com", "A", DEAD),
        ("down.com", "MX", "10 dead.second.com."),
        ("loop.com", "MX", "10 mail.proseware.com."),
        ("mail.proseware.com", "A", "127.0.0.1"),
        ("nowhere.com", "MX", "10 nosuch.nowhere.com."),
        ("nowhere.com", "TXT", '"a name"'),
    ):
        zones.put(name, kind, *records)
    return zones


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with sinking() as it:
        yield it


@pytest.fixture(scope="module")
def hanging() -> Iterator[Sink]:
    with sinking(Sink(script={"MAIL": HANG})) as it:
        yield it


@pytest.fixture(scope="module")
def smart() -> Iterator[Sink]:
    """A smart host that wants a sign-in, and has TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("smart.example").configure_cert(tls)
    with sinking(Sink(tls=tls, extensions=("AUTH PLAIN LOGIN", "8BITMIME"))) as it:
        yield it


@pytest.fixture(scope="module")
def server(
    sink: Sink,
    hanging: Sink,
    smart: Sink,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("outbound")
    (directory / "secret").write_text("two-grey-geese\n")
    with zoning(world()) as dns:
        text = configuration(
            f'[dns]\nservers = ["{dns}"]\ntimeout = "2 s"\n',
            f'[[outbound.route]]\nto = ["hanging.com"]\nvia = "smtp://127.0.0.1:{hanging.port}"\n',
            f'[[outbound.route]]\nto = ["*.jp"]\nvia = "smtp://127.0.0.1:{smart.port}"\n{SIGN_IN}',
            f'[[outbound.route]]\nto = ["strict.jp"]\nvia = "smtp://127.0.0.1:{sink.port}"\n'
            'tls = "required"\n',
            SIGNED_IN,
            via="mx",
            outbound=f"mx_port = {sink.port}",
            limits="recipients_per_message = 1000",
        )
        with running(directory, text, ANN) as it:
            yield it


def submit(server: Server, subject: str, *to: str) -> None:
    with signed_in(server.place("submissions"), ANN) as talk:
        answer = talk.mail(ANN.name, *to, content=CONTENT.format(subject).encode())
    assert answer.code == 250, answer


def arrived(sink: Sink, subject: str) -> list[list[str]]:
    return [it.recipients for it in sink.mails if f"Subject: {subject}\r\n".encode() in it.content]


def returned(server: Server, about: str) -> str:
    """The report about a message, once it is there."""

    def look() -> list[bytes]:
        return [it for it in server.mailbox("ann") if f"Subject: {about}".encode() in it]

    found = wait_for(look, 15)
    assert found, server.log()[-3000:]
    return found[0].decode()


@pytest.mark.parametrize("domain", ["adatum.com", "implicit.com", "second.com"])
def test_mail_goes_to_the_exchanger_that_answers(server: Server, sink: Sink, domain: str) -> None:
    submit(server, f"to-{domain}", f"carol@{domain}")
    assert wait_for(lambda: arrived(sink, f"to-{domain}"), 15)


@pytest.mark.parametrize(
    ("domain", "status"),
    [("null.com", "5.1.10"), ("nosuch.com", "5.1.2"), ("loop.com", "5.4.6")],
)
def test_a_domain_that_takes_no_mail_is_told_at_once(
    server: Server, domain: str, status: str
) -> None:
    submit(server, f"to-{domain}", f"carol@{domain}")
    assert f"Status: {status}" in returned(server, f"to-{domain}")


def test_a_host_that_is_down_is_tried_again_later(server: Server) -> None:
    submit(server, "to-down", "carol@down.com")
    server.wait_for_events("deferred", forward_path="carol@down.com")
    (waiting,) = server.ask(QueueList(destination="down.com"))
    assert DEAD in str(waiting["recipients"])


def test_recipients_at_one_host_share_a_transaction(server: Server, sink: Sink) -> None:
    to = [f"p{number}@adatum.com" for number in range(150)]
    submit(server, "to-many", *to)
    assert wait_for(lambda: sum(map(len, arrived(sink, "to-many"))) == 150, 15)
    assert len(arrived(sink, "to-many")) <= 2, "at most 100 recipients each"


def test_a_smart_host_is_signed_in_to(server: Server, smart: Sink) -> None:
    submit(server, "to-jp", "carol@a.jp")
    assert wait_for(lambda: arrived(smart, "to-jp"), 15)
    mail = next(it for it in smart.mails if b"Subject: to-jp" in it.content)
    assert mail.encrypted
    secret = base64.b64encode(b"\0isp\0two-grey-geese").decode()
    assert mail.signed_in == f"AUTH PLAIN {secret}"


def test_required_tls_never_goes_plain(server: Server, sink: Sink) -> None:
    submit(server, "to-strict", "carol@strict.jp")
    server.wait_for_events("deferred", forward_path="carol@strict.jp")
    assert arrived(sink, "to-strict") == []
    assert server.ask(QueueList(destination="strict.jp"))


def test_a_host_that_hangs_keeps_nobody_else_s_mail(server: Server, sink: Sink) -> None:
    for number in range(5):
        submit(server, f"to-hanging-{number}", "carol@hanging.com")
    submit(server, "past-hanging", "carol@adatum.com")
    assert wait_for(lambda: arrived(sink, "past-hanging"), 5)
    assert len(server.ask(QueueList(destination="hanging.com"))) == 5


def test_a_stop_does_not_wait_for_a_host_that_hangs_and_loses_nothing(tmp_path: Path) -> None:
    with sinking(Sink(script={".": HANG})) as sink:
        text = configuration(SIGNED_IN, via=f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path, text, ANN) as server:
            submit(server, "in-flight", "carol@adatum.com")
            assert wait_for(lambda: arrived(sink, "in-flight"), 10)
            server.stop()
            sink.script, before = {}, len(sink.mails)
            server.start()
            assert wait_for(lambda: len(sink.mails) > before, 10), "tried again: it had no 250"
            assert wait_for(lambda: server.ask(QueueList()) == [], 10)
