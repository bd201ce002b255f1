"""What domains demand of TLS, on a running server: a Postfix with TLSA records, a kept policy."""

import hashlib
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from posthouse.delivery.dane import public_key_octets
from posthouse.lab.hosts import wait_for
from posthouse.lab.zones import Zones
from tests.cli.commands import command
from tests.delivery.sink import EXTENSIONS
from tests.end_to_end.receivers import NEEDS_POSTFIX, postfix
from tests.end_to_end.server import ANN, SIGNED_IN, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking, zoning
from tests.end_to_end.talking import signed_in

pytestmark = [pytest.mark.slow]
CONTENT = b"From: <ann@proseware.com>\r\nSubject: hello\r\n\r\nHello.\r\n"
MX = "mx.adatum.com"


@pytest.fixture
def zones() -> Zones:
    zones = Zones()
    zones.put("adatum.com", "MX", f"10 {MX}.")
    zones.put(MX, "A", "127.0.0.1")
    return zones


@pytest.fixture
def sink() -> Iterator[Sink]:
    with sinking() as it:
        yield it


def by_dns(dns: str, port: int) -> str:
    return configuration(
        f'[dns]\nservers = ["{dns}"]\n', SIGNED_IN, via="mx", outbound=f"mx_port = {port}"
    )


def submit(server: Server, *, more: bytes = b"", requiretls: bool = False) -> None:
    with signed_in(server.place("submissions"), ANN) as talk:
        words = " REQUIRETLS" if requiretls else ""
        for line in (f"MAIL FROM:<{ANN.name}>{words}", "RCPT TO:<carol@adatum.com>", "DATA"):
            answer = talk.say(line)
            assert answer.code in (250, 354), answer
        assert talk.say((more + CONTENT).decode() + ".").code == 250


def published(zones: Zones, port: int, digest: str) -> None:
    name = f"_{port}._tcp.{MX}"
    zones.put(name, "TLSA", f"3 1 1 {digest}")
    zones.authentic |= {"adatum.com", MX, name}


@NEEDS_POSTFIX
@pytest.mark.peer
def test_postfix_gets_mail_while_its_certificate_is_what_its_dns_says(
    zones: Zones, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        postfix(sink.port, "encrypt") as (port, log),
        zoning(zones) as dns,
        running(tmp_path, by_dns(dns, port), ANN) as server,
    ):
        monkeypatch.setenv("POSTHOUSE_CONFIG", str(server.file))
        certificate = x509.load_pem_x509_certificate((log.parent / "certificate").read_bytes())
        right = hashlib.sha256(public_key_octets(certificate)).hexdigest()
        published(zones, port, right)
        submit(server)
        assert wait_for(lambda: len(sink.mails) == 1, 20)
        (event,) = server.wait_for_events("delivered")
        assert event["tls"] == "TLSv1.3 TLS_AES_256_GCM_SHA384, certificate verified (DANE)"
        told = command("journey", "carol@adatum.com").out
        assert "TLSv1.3 TLS_AES_256_GCM_SHA384, certificate verified (DANE)" in " ".join(
            told.split()
        )
        published(zones, port, "ab" * 32)

        def refused() -> bool:
            submit(server)
            return bool(server.events("deferred"))

        assert wait_for(refused, 20)  # the records may be remembered for a second
        event = server.events("deferred")[0]
        assert "DANE: the certificate does not match the TLSA records" in event["reply"]


def test_where_tlsa_records_cannot_be_looked_up_mail_waits(
    zones: Zones, sink: Sink, tmp_path: Path
) -> None:
    published(zones, sink.port, "ab" * 32)
    zones.fail(f"_{sink.port}._tcp.{MX}", "TLSA")
    with zoning(zones) as dns, running(tmp_path, by_dns(dns, sink.port), ANN) as server:
        submit(server)
        (event,) = server.wait_for_events("deferred")
        assert "TLSA" in event["reply"]
        assert sink.sessions == 0
        submit(server, more=b"TLS-Required: No\r\n")
        assert wait_for(lambda: len(sink.mails) == 1, 15)


def test_a_kept_policy_and_requiretls_hold_after_a_restart(
    zones: Zones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(MX).configure_cert(tls)
    policy = {"mode": "enforce", "patterns": [MX], "max_age": "P7D"}
    kept = {"id": "1", "policy": policy, "fetched": datetime.now(UTC).isoformat()}
    (tmp_path / "storage").mkdir(exist_ok=True)
    (tmp_path / "storage" / "mta_sts.json").write_text(json.dumps({"adatum.com": kept}))
    with (
        sinking(Sink(tls=tls, extensions=(*EXTENSIONS, "REQUIRETLS"))) as sink,
        zoning(zones) as dns,
        running(tmp_path, by_dns(dns, sink.port), ANN) as server,
    ):
        submit(server, requiretls=True)
        assert wait_for(lambda: len(sink.mails) == 1, 15)
        assert sink.mails[0].encrypted
        assert sink.mails[0].sender.endswith(" REQUIRETLS")
        sink.tls = None
        server.wait_for_events("delivered")

        def refused() -> bool:
            submit(server)
            return bool(server.events("deferred"))

        assert wait_for(refused, 15)  # the open session is used again for a while
        assert "(MTA-STS) demands it" in server.events("deferred")[0]["reply"]
