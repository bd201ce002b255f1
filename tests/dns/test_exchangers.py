"""Which hosts take mail for a domain (RFC 5321 section 5.1, RFC 7505)."""

import random
from ipaddress import ip_address

import dns.rcode
import pytest

from posthouse.dns import exchangers
from posthouse.dns.exchangers import (
    Exchangers,
    Finding,
    LoopsBack,
    NoExchanger,
    NoSuchDomain,
    NullMx,
    Ourselves,
    Temporary,
)
from posthouse.dns.resolver import Resolver
from tests.dns.toy_server import ToyServer

US = Ourselves(frozenset({"mx1.us.example"}), frozenset({ip_address("192.0.2.99")}))


async def find(resolver: Resolver, domain: str, seed: int = 0) -> Finding:
    return await exchangers.find(resolver, domain, shuffle=random.Random(seed), ourselves=US)


def names(finding: Finding) -> list[str]:
    assert isinstance(finding, Exchangers), finding
    return [it.host for it in finding.hosts]


@pytest.fixture
def zone(server: ToyServer) -> ToyServer:
    for number in range(5):
        server.add(f"mx{number}.example", "A", f"192.0.2.{number}")
    server.add("mx0.example", "AAAA", "2001:db8::1")
    return server


async def test_hosts_come_by_preference_with_their_addresses(
    zone: ToyServer, resolver: Resolver
) -> None:
    zone.add("a.example", "MX", "20 mx0.example.", "10 mx1.example.", "30 mx2.example.")
    found = await find(resolver, "a.example")
    assert names(found) == ["mx1.example", "mx0.example", "mx2.example"]
    assert isinstance(found, Exchangers)
    assert [str(it) for it in found.hosts[1].addresses] == ["2001:db8::1", "192.0.2.0"]
    assert not found.implicit


async def test_equal_ones_are_shuffled_by_the_source_given(
    zone: ToyServer, resolver: Resolver
) -> None:
    zone.add("a.example", "MX", "5 mx4.example.", *(f"10 mx{i}.example." for i in range(4)))
    orders = {tuple(names(await find(resolver, "a.example", seed))) for seed in range(20)}
    assert len(orders) > 5
    assert {order[0] for order in orders} == {"mx4.example"}
    assert names(await find(resolver, "a.example", 7)) == names(
        await find(resolver, "a.example", 7)
    )


async def test_a_domain_without_mx_is_its_own_host(zone: ToyServer, resolver: Resolver) -> None:
    found = await find(resolver, "mx1.example")
    assert names(found) == ["mx1.example"]
    assert isinstance(found, Exchangers)
    assert found.implicit


async def test_the_null_mx_takes_no_mail(zone: ToyServer, resolver: Resolver) -> None:
    zone.add("null.example", "MX", "0 .")
    zone.add("null.example", "A", "192.0.2.1")
    assert await find(resolver, "null.example") == NullMx("null.example")
    zone.add("mixed.example", "MX", "0 .", "10 mx1.example.")
    assert names(await find(resolver, "mixed.example")) == ["mx1.example"]


async def test_what_does_not_exist_is_told_apart_from_what_cannot_take_mail(
    zone: ToyServer, resolver: Resolver
) -> None:
    zone.add("text.example", "TXT", "x")
    zone.add("lost.example", "MX", "10 nowhere.example.", "20 text.example.")
    assert await find(resolver, "none.example") == NoSuchDomain("none.example")
    no_host = await find(resolver, "text.example")
    no_address = await find(resolver, "lost.example")
    assert isinstance(no_host, NoExchanger)
    assert isinstance(no_address, NoExchanger)
    assert "nowhere.example" in no_address.detail


async def test_a_temporary_failure_is_never_an_end(zone: ToyServer, resolver: Resolver) -> None:
    zone.rcodes |= dict.fromkeys(("sick.example", "mx9.example"), dns.rcode.SERVFAIL)
    assert isinstance(await find(resolver, "sick.example"), Temporary)
    zone.add("half.example", "MX", "10 mx9.example.", "20 nowhere.example.")
    assert isinstance(await find(resolver, "half.example"), Temporary)
    zone.add("whole.example", "MX", "10 mx9.example.", "20 mx1.example.")
    assert names(await find(resolver, "whole.example")) == ["mx1.example"]


async def test_an_mx_that_is_an_alias_is_tolerated(zone: ToyServer, resolver: Resolver) -> None:
    zone.add("a.example", "MX", "10 alias.example.")
    zone.add("alias.example", "CNAME", "mx1.example.")
    found = await find(resolver, "a.example")
    assert isinstance(found, Exchangers)
    assert str(found.hosts[0].addresses[0]) == "192.0.2.1"


async def test_a_domain_that_is_an_alias_is_followed(zone: ToyServer, resolver: Resolver) -> None:
    zone.add("alias.example", "CNAME", "a.example.")
    zone.add("a.example", "MX", "10 mx1.example.")
    assert names(await find(resolver, "alias.example")) == ["mx1.example"]


async def test_the_list_is_cut_at_ourselves(zone: ToyServer, resolver: Resolver) -> None:
    zone.add(
        "a.example",
        "MX",
        "10 mx1.example.",
        "20 mx1.us.example.",
        "20 mx2.example.",
        "30 mx3.example.",
    )
    assert names(await find(resolver, "a.example")) == ["mx1.example"]
    zone.add("b.example", "MX", "10 mx1.us.example.", "20 mx2.example.")
    assert await find(resolver, "b.example") == LoopsBack("b.example", "mx1.us.example")
    zone.add("other-name.example", "A", "192.0.2.99")
    zone.add("c.example", "MX", "10 other-name.example.", "20 mx2.example.")
    assert await find(resolver, "c.example") == LoopsBack("c.example", "other-name.example")
    assert await find(resolver, "other-name.example") == LoopsBack(
        "other-name.example", "other-name.example"
    )


async def test_address_literals_are_the_callers_choice(resolver: Resolver) -> None:
    assert isinstance(await find(resolver, "[192.0.2.1]"), NoExchanger)
    source = random.Random(0)
    for text, address in (("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:db8::1]", "2001:db8::1")):
        found = await exchangers.find(resolver, text, shuffle=source, literals=True)
        assert isinstance(found, Exchangers)
        assert [str(it) for it in found.hosts[0].addresses] == [address]
    bad = await exchangers.find(resolver, "[nonsense]", shuffle=source, literals=True)
    assert isinstance(bad, NoExchanger)
