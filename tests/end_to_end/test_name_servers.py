"""Real zones, signed by Knot and validated by Unbound: where mail goes, and how it is protected."""

import hashlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trustme
from cryptography import x509

from posthouse.delivery.dane import public_key_octets
from posthouse.lab.hosts import wait_for
from tests.end_to_end.name_servers import NEEDS_NAME_SERVERS, resolving
from tests.end_to_end.server import ANN, SIGNED_IN, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import signed_in

pytestmark = [pytest.mark.peer, pytest.mark.slow, NEEDS_NAME_SERVERS]
CONTENT = b"From: <ann@proseware.com>\r\nSubject: hello\r\n\r\nHello.\r\n"

# {port} is the sink's, {digest} of its key.
SIGNED = """\
@ 60 MX 20 down
@ 60 MX 10 mx
mx 60 A 127.0.0.1
down 60 A 127.0.0.9
_{port}._tcp.mx 60 TLSA 3 1 1 {digest}
wrong 60 MX 10 other
other 60 A 127.0.0.1
_{port}._tcp.other 60 TLSA 3 1 1 {wrong}
none 60 MX 0 .
round 60 CNAME and.round
and.round 60 CNAME round
implicit 60 A 127.0.0.1
"""
PLAIN = "@ 60 MX 10 mx\nmx 60 A 127.0.0.1\n"


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mx.adatum.com").configure_cert(tls)
    with sinking(Sink(tls=tls)) as it:
        yield it


@pytest.fixture(scope="module")
def server(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    digest = hashlib.sha256(public_key_octets(certificate_of(sink))).hexdigest()
    zones = {
        "adatum.com": SIGNED.format(port=sink.port, digest=digest, wrong="ab" * 32),
        "woodgrove.com": PLAIN + f"_{sink.port}._tcp.mx 60 TLSA 3 1 1 {'ab' * 32}\n",
        "fabrikam.com": PLAIN,
    }
    with resolving(
        zones, bogus=frozenset({"fabrikam.com"}), unsigned=frozenset({"woodgrove.com"})
    ) as dns:
        text = configuration(
            f'[dns]\nservers = ["{dns}"]\n', SIGNED_IN, via="mx", outbound=f"mx_port = {sink.port}"
        )
        with running(tmp_path_factory.mktemp("dns"), text, ANN) as it:
            yield it


def certificate_of(sink: Sink) -> x509.Certificate:
    """What the sink shows: it speaks STARTTLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", sink.port), 10) as plain:
        plain.recv(1000)
        for line in (b"EHLO x.example\r\n", b"STARTTLS\r\n"):
            plain.sendall(line)
            plain.recv(1000)
        with context.wrap_socket(plain) as encrypted:
            octets = encrypted.getpeercert(binary_form=True)
            with suppress(OSError):
                encrypted.sendall(b"QUIT\r\n")
    assert octets is not None
    return x509.load_der_x509_certificate(octets)


def submit(server: Server, to: str) -> None:
    with signed_in(server.place("submissions"), ANN) as talk:
        assert talk.mail(ANN.name, to, content=CONTENT).code == 250


def test_a_signed_zone_says_whose_certificate_is_right(server: Server, sink: Sink) -> None:
    submit(server, "carol@adatum.com")
    (event,) = server.wait_for_events("delivered", forward_path="carol@adatum.com")
    assert event["tls"].endswith("certificate verified (DANE)")
    assert any("carol@adatum.com" in str(mail.recipients) for mail in sink.mails)


def test_a_certificate_that_the_signed_zone_does_not_name_gets_no_mail(server: Server) -> None:
    submit(server, "carol@wrong.adatum.com")
    (event,) = server.wait_for_events("deferred", forward_path="carol@wrong.adatum.com")
    assert "DANE: the certificate does not match the TLSA records" in event["reply"]


def test_tlsa_records_that_nobody_signed_mean_nothing(server: Server) -> None:
    submit(server, "carol@woodgrove.com")
    (event,) = server.wait_for_events("delivered", forward_path="carol@woodgrove.com")
    assert "DANE" not in event["tls"]
    assert event["tls"].startswith("TLSv1.3")


def test_a_zone_whose_signatures_are_wrong_is_not_believed_and_its_mail_waits(
    server: Server, sink: Sink
) -> None:
    submit(server, "carol@fabrikam.com")
    (event,) = server.wait_for_events("deferred", forward_path="carol@fabrikam.com")
    assert "fabrikam.com" in event["reply"]
    assert not any("fabrikam.com" in str(mail.recipients) for mail in sink.mails)


def test_a_host_without_mx_record_is_its_own_exchanger(server: Server) -> None:
    submit(server, "carol@implicit.adatum.com")
    server.wait_for_events("delivered", forward_path="carol@implicit.adatum.com")


@pytest.mark.parametrize(
    ("domain", "words"),
    [("none.adatum.com", "takes no mail at all"), ("nowhere.adatum.com", "no domain")],
)
def test_what_takes_no_mail_or_does_not_exist_is_told_at_once(
    server: Server, domain: str, words: str
) -> None:
    submit(server, f"carol@{domain}")
    server.wait_for_events("failed", forward_path=f"carol@{domain}")
    assert wait_for(
        lambda: any(words.encode() in it and domain.encode() in it for it in server.mailbox("ann")),
        10,
    )


def test_names_that_run_in_circles_end(server: Server) -> None:
    submit(server, "carol@round.adatum.com")
    assert wait_for(
        lambda: [
            event
            for name in ("failed", "deferred")
            for event in server.events(name)
            if event["forward_path"] == "carol@round.adatum.com"
        ],
        15,
    )
