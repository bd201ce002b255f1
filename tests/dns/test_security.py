"""What DNSSEC vouches for: TLSA records, and whose word counts."""

import random
from collections.abc import AsyncIterator

import pytest

from posthouse.dns import exchangers
from posthouse.dns.answers import Answer, NoSuchName, TemporaryFailure, TlsaRecord
from posthouse.dns.resolver import Resolver
from posthouse.dns.servers import ServerAddress
from posthouse.lab.zones import Zones, ZoneServer

DIGEST = "ab" * 32


@pytest.fixture
def zones() -> Zones:
    zones = Zones()
    zones.put("adatum.com", "MX", "10 mx.adatum.com.")
    zones.put("mx.adatum.com", "A", "127.0.0.1")
    zones.put("_25._tcp.mx.adatum.com", "TLSA", f"3 1 1 {DIGEST}")
    zones.authentic |= {"adatum.com", "mx.adatum.com", "_25._tcp.mx.adatum.com"}
    return zones


@pytest.fixture
async def resolver(zones: Zones) -> AsyncIterator[Resolver]:
    server = ZoneServer(zones, "127.0.0.1")
    await server.start()
    resolver = Resolver([ServerAddress("127.0.0.1", server.port)], timeout=2)
    yield resolver
    await resolver.close()
    await server.stop()


async def test_tlsa_records_come_with_the_word_of_the_resolver(
    resolver: Resolver, zones: Zones
) -> None:
    found = await resolver.tlsa("_25._tcp.mx.adatum.com")
    assert isinstance(found, Answer)
    assert found.values == (TlsaRecord(3, 1, 1, bytes.fromhex(DIGEST)),)
    assert found.authentic
    assert str(found.values[0]) == f"3 1 1 {DIGEST}"
    zones.authentic.clear()
    resolver.forget()
    found = await resolver.tlsa("_25._tcp.mx.adatum.com")
    assert isinstance(found, Answer)
    assert not found.authentic


async def test_no_tlsa_record_and_no_answer_are_different(resolver: Resolver, zones: Zones) -> None:
    assert isinstance(await resolver.tlsa("_25._tcp.other.com"), NoSuchName)
    zones.fail("_25._tcp.mx.adatum.com", "TLSA")
    assert isinstance(await resolver.tlsa("_25._tcp.mx.adatum.com"), TemporaryFailure)


async def test_a_resolver_elsewhere_is_believed_only_where_the_configuration_says_so(
    zones: Zones, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ZoneServer(zones, "127.0.0.1")
    await server.start()
    monkeypatch.setattr(ServerAddress, "is_here", False)  # as if it were another machine
    for trust_ad in (False, True):
        resolver = Resolver([ServerAddress("127.0.0.1", server.port)], timeout=2, trust_ad=trust_ad)
        found = await resolver.tlsa("_25._tcp.mx.adatum.com")
        assert isinstance(found, Answer)
        assert found.authentic is trust_ad
        await resolver.close()
    await server.stop()


def test_loopback_is_here_and_nothing_else() -> None:
    assert ServerAddress("127.0.0.53").is_here
    assert ServerAddress("::1").is_here
    assert not ServerAddress("192.0.2.53").is_here


@pytest.mark.parametrize(
    ("checked", "secure"),
    [
        ({"adatum.com", "mx.adatum.com"}, True),
        ({"adatum.com"}, False),
        ({"mx.adatum.com"}, False),
        (set(), False),
    ],
)
async def test_an_exchanger_is_secure_if_its_name_and_its_addresses_are(
    resolver: Resolver, zones: Zones, checked: set[str], secure: bool
) -> None:
    zones.authentic = checked
    found = await exchangers.find(resolver, "adatum.com", shuffle=random.Random(1))
    assert isinstance(found, exchangers.Exchangers)
    assert [it.secure for it in found.hosts] == [secure]


async def test_a_domain_that_is_its_own_exchanger_is_secure_by_its_addresses(
    resolver: Resolver, zones: Zones
) -> None:
    zones.put("alone.com", "A", "127.0.0.1")
    for secure in (False, True):
        found = await exchangers.find(resolver, "alone.com", shuffle=random.Random(1))
        assert isinstance(found, exchangers.Exchangers)
        assert found.implicit
        assert [it.secure for it in found.hosts] == [secure]
        zones.authentic.add("alone.com")
        resolver.forget()
