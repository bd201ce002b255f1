"""The parts of protection together: a policy host on loopback, reports in a real spool."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import pytest
import trustme

from posthouse.delivery.mta_sts import Mode, Policy
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.sts_policies import Finding, StsPolicies
from posthouse.delivery.tls_report import Submitter
from posthouse.delivery.tls_reporter import TlsReporter
from posthouse.delivery.tls_results import TlsResults
from posthouse.delivery.tls_terms import OURS, Trouble
from posthouse.delivery.web import connector
from posthouse.dns.resolver import Resolver
from posthouse.dns.servers import ServerAddress
from posthouse.lab.zones import Zones, ZoneServer
from posthouse.mail.address import Mailbox
from posthouse.server.protection import HandIn
from posthouse.spool.spool import Spool
from posthouse.wire.https import Https, Streams

POLICY = b"version: STSv1\r\nmode: testing\r\nmx: mx.adatum.com\r\nmax_age: 86400\r\n"


class Webs:
    """A web server on loopback that has one page, and takes what is posted to it."""

    def __init__(self, name: str) -> None:
        self.authority = trustme.CA()
        self.posted: list[bytes] = []
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(self._tls)
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            self.posted.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
        writer.write(f"Content-Length: {len(POLICY)}\r\n\r\n".encode() + POLICY)
        await writer.drain()
        writer.close()

    def https(self, resolver: Resolver) -> Https:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        connect = connector(resolver)

        async def here(host: str, port: int, tls: ssl.SSLContext) -> Streams:
            assert port == 443
            return await connect(host, self.port, tls)

        return Https(here, context)


@pytest.fixture
def zones() -> Zones:
    zones = Zones()
    zones.put("_mta-sts.adatum.com", "TXT", '"v=STSv1; id=7;"')
    zones.put("mta-sts.adatum.com", "A", "127.0.0.1")
    places = "mailto:tls@adatum.com,https://mta-sts.adatum.com/in"
    zones.put("_smtp._tls.adatum.com", "TXT", f'"v=TLSRPTv1; rua={places}"')
    return zones


@pytest.fixture
async def resolver(zones: Zones) -> AsyncIterator[Resolver]:
    server = ZoneServer(zones, "127.0.0.1")
    await server.start()
    resolver = Resolver([ServerAddress("127.0.0.1", server.port)], timeout=2)
    yield resolver
    await resolver.close()
    await server.stop()


async def test_a_policy_is_found_by_dns_and_fetched_by_https(
    resolver: Resolver, tmp_path: Path
) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    async with Webs("mta-sts.adatum.com") as web:
        policies = StsPolicies(resolver, web.https(resolver), tmp_path / "kept", now=now)
        found = await policies.find("adatum.com")
    day = timedelta(days=1)
    assert found == Finding(Policy(Mode.TESTING, ("mx.adatum.com",), day))
    async with Webs("www.adatum.com") as web:
        policies = StsPolicies(resolver, web.https(resolver), tmp_path / "other", now=now)
        found = await policies.find("adatum.com")
    assert (found.policy, found.trouble) == (None, Trouble.STS_WEB_PKI)


async def test_a_report_lies_in_the_spool_and_at_the_web_server(
    resolver: Resolver, tmp_path: Path
) -> None:
    at = [datetime(2026, 5, 4, 12, tzinfo=UTC)]
    results = TlsResults(tmp_path / "results", now=lambda: at[0])
    results.note("adatum.com", Host("mx.adatum.com", ip_address("127.0.0.1"), 25), OURS, None, "")
    (tmp_path / "spool").mkdir()
    spool = Spool(tmp_path / "spool", now=lambda: at[0])
    async with Webs("mta-sts.adatum.com") as web:
        reporter = TlsReporter(
            results, resolver, web.https(resolver), HandIn(spool).hand,
            Submitter("mail.ours.example", Mailbox("postmaster", "ours.example"), "Ours"),
            new_id=spool.new_id, now=lambda: at[0], log=lambda _: None,
        )  # fmt: skip
        at[0] += timedelta(days=1)
        await reporter.report()
    (message,) = spool.list_messages()
    mail = message_from_bytes(spool.content_octets(message.id))
    attached = mail.get_payload()[1]  # type: ignore[index]
    octets = attached.get_payload(decode=True)  # type: ignore[union-attr]
    assert isinstance(octets, bytes)
    for report in (octets, *web.posted):
        policies = json.loads(gzip.decompress(report))["policies"]
        assert policies[0]["summary"]["total-successful-session-count"] == 1
    assert len(web.posted) == 1
    assert results.finished() == ()
    await asyncio.to_thread(spool.close)
