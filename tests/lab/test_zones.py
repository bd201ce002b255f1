"""The lab's DNS, asked by a resolver that is not ours."""

import asyncio
from collections.abc import AsyncIterator

import dns.asyncresolver
import dns.resolver
import pytest

from posthouse.lab.zones import Zones, ZoneServer


@pytest.fixture
async def zones() -> AsyncIterator[tuple[Zones, dns.asyncresolver.Resolver]]:
    zones = Zones()
    server = ZoneServer(zones, "127.0.0.1")
    await server.start()
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.port
    resolver.lifetime = 5
    resolver.cache = None
    try:
        yield zones, resolver
    finally:
        await server.stop()


Given = tuple[Zones, dns.asyncresolver.Resolver]


async def test_it_answers_by_udp_and_tcp_what_was_put(zones: Given) -> None:
    given, resolver = zones
    given.put("proseware.example", "MX", "10 mail.proseware.example.")
    given.put("mail.proseware.example", "A", "127.20.1.25")
    for tcp in (False, True):
        found = await resolver.resolve("proseware.example", "MX", tcp=tcp)
        assert [str(it) for it in found] == ["10 mail.proseware.example."]
    found = await resolver.resolve("MAIL.proseware.example", "A")
    assert [str(it) for it in found] == ["127.20.1.25"]


async def test_what_is_changed_is_answered_at_once_and_what_is_taken_away_is_gone(
    zones: Given,
) -> None:
    given, resolver = zones
    for addresses in (("127.0.0.2",), ("127.0.0.3", "127.0.0.4")):
        given.put("laptop.dyn.example", "A", *addresses)
        found = await resolver.resolve("laptop.dyn.example", "A")
        assert {str(it) for it in found} == set(addresses)
    given.put("laptop.dyn.example", "A")
    with pytest.raises((dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)):
        await resolver.resolve("laptop.dyn.example", "A")


async def test_no_such_name_and_no_such_kind_are_told_apart(zones: Given) -> None:
    given, resolver = zones
    given.put("mail.proseware.example", "A", "127.20.1.25")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve("nosuch.example", "A")
    with pytest.raises(dns.resolver.NoAnswer):
        await resolver.resolve("mail.proseware.example", "AAAA")


async def test_garbage_is_not_answered_and_does_no_harm(zones: Given) -> None:
    given, resolver = zones
    loop = asyncio.get_running_loop()
    for garbage in (b"", b"\0", b"garbage" * 50):
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", resolver.port)
        )
        transport.sendto(garbage)
        transport.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", resolver.port)
        writer.write(len(garbage).to_bytes(2, "big") + garbage)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await writer.wait_closed()
    given.put("still.example", "A", "127.0.0.2")
    assert len(await resolver.resolve("still.example", "A")) == 1
