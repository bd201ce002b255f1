"""Look-ups against a real, small name server on loopback."""

import asyncio
import socket
from ipaddress import ip_address

import dns.rcode
import pytest

from posthouse.dns.answers import (
    Answer,
    MailExchanger,
    NoData,
    NoSuchName,
    TemporaryFailure,
)
from posthouse.dns.resolver import RECORDS_MAX, Bounds, Resolver
from posthouse.dns.servers import ServerAddress
from tests.dns.toy_server import Ticks, ToyServer


async def addresses_of(resolver: Resolver, name: str) -> list[str]:
    found = await resolver.addresses(name)
    assert isinstance(found, Answer), found
    return [str(address) for address in found.values]


async def test_exchangers_come_by_preference(server: ToyServer, resolver: Resolver) -> None:
    server.add("example.net", "MX", "20 b.example.net.", "10 A.Example.NET.")
    found = await resolver.mx("Example.net")
    assert isinstance(found, Answer)
    assert found.values == (
        MailExchanger(10, "a.example.net"),
        MailExchanger(20, "b.example.net"),
    )


async def test_addresses_of_both_families_come_in_turn(
    server: ToyServer, resolver: Resolver
) -> None:
    server.add("a.example", "A", "192.0.2.1", "192.0.2.2")
    server.add("a.example", "AAAA", "2001:db8::1")
    first, *rest = await addresses_of(resolver, "a.example")
    assert first == "2001:db8::1"
    assert set(rest) == {"192.0.2.1", "192.0.2.2"}


async def test_texts_and_names_of_addresses(server: ToyServer, resolver: Resolver) -> None:
    server.add("t.example", "TXT", '"v=spf1 " "-all"')
    server.add("1.2.0.192.in-addr.arpa", "PTR", "mail.example.")
    text = await resolver.txt("t.example")
    name = await resolver.ptr(ip_address("192.0.2.1"))
    assert isinstance(text, Answer)
    assert isinstance(name, Answer)
    assert (text.values, name.values) == (("v=spf1 -all",), ("mail.example",))


async def test_the_three_ways_of_failing_are_told_apart(
    server: ToyServer, resolver: Resolver
) -> None:
    server.add("only.example", "TXT", "x")
    server.rcodes["sick.example"] = dns.rcode.SERVFAIL
    server.rcodes["strict.example"] = dns.rcode.REFUSED
    server.silent.add("silent.example")
    server.referring.add("other.example")
    for ask in (resolver.mx, resolver.addresses, resolver.txt):
        assert isinstance(await ask("none.example"), NoSuchName)
        for name in ("sick.example", "strict.example", "other.example"):
            assert isinstance(await ask(name), TemporaryFailure)
    assert isinstance(await resolver.mx("only.example"), NoData)
    assert isinstance(await resolver.addresses("only.example"), NoData)
    silent = await resolver.mx("silent.example")
    assert isinstance(silent, TemporaryFailure)
    assert "no answer" in silent.detail


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example", "x." * 200, "", "ü.example"])
async def test_an_impossible_name_does_not_exist(resolver: Resolver, name: str) -> None:
    assert isinstance(await resolver.mx(name), NoSuchName | NoData)


async def test_a_cut_answer_is_asked_for_over_tcp(server: ToyServer, resolver: Resolver) -> None:
    server.add("big.example", "TXT", *(f'"{i:0200}"' for i in range(40)))
    server.truncated.add("big.example")
    found = await resolver.txt("big.example")
    assert isinstance(found, Answer)
    assert len(found.values) == 40
    assert server.over_tcp == 1


async def test_a_huge_answer_is_cut(server: ToyServer, resolver: Resolver) -> None:
    server.add("huge.example", "MX", *(f"{i} mx{i}.huge.example." for i in range(500)))
    server.truncated.add("huge.example")
    found = await resolver.mx("huge.example")
    assert isinstance(found, Answer)
    assert len(found.values) == RECORDS_MAX


async def test_a_server_without_edns_is_asked_without(
    server: ToyServer, resolver: Resolver
) -> None:
    server.refuses_edns = True
    server.add("a.example", "A", "192.0.2.1")
    assert await addresses_of(resolver, "a.example") == ["192.0.2.1"]


async def test_an_answer_to_another_question_is_not_taken(
    server: ToyServer, resolver: Resolver
) -> None:
    server.add("a.example", "A", "192.0.2.1")
    server.lies_about_id = True
    assert isinstance(await resolver.addresses("a.example"), TemporaryFailure)


@pytest.mark.parametrize("follows", [True, False], ids=["in one answer", "step by step"])
async def test_aliases_are_followed(server: ToyServer, resolver: Resolver, follows: bool) -> None:
    server.follows_aliases = follows
    server.add("www.example", "CNAME", "web.example.", ttl=20)
    server.add("web.example", "CNAME", "host.example.")
    server.add("host.example", "A", "192.0.2.1")
    found = await resolver.addresses("www.example")
    assert isinstance(found, Answer)
    assert (found.name, found.ttl) == ("host.example", 20)
    server.add("lost.example", "CNAME", "nowhere.example.")
    assert isinstance(await resolver.addresses("lost.example"), NoSuchName)
    server.add("text.example", "TXT", "x")
    server.add("dry.example", "CNAME", "text.example.")
    assert isinstance(await resolver.addresses("dry.example"), NoData)


@pytest.mark.parametrize("follows", [True, False], ids=["in one answer", "step by step"])
async def test_alias_loops_and_long_chains_end(
    server: ToyServer, resolver: Resolver, follows: bool
) -> None:
    server.follows_aliases = follows
    server.add("a.example", "CNAME", "b.example.")
    server.add("b.example", "CNAME", "a.example.")
    server.add("self.example", "CNAME", "self.example.")
    for number in range(12):
        server.add(f"{number}.example", "CNAME", f"{number + 1}.example.")
    server.add("12.example", "A", "192.0.2.1")
    for name in ("a.example", "self.example", "0.example"):
        found = await resolver.addresses(name)
        assert isinstance(found, TemporaryFailure)
        assert "loop" in found.detail
    assert await addresses_of(resolver, "6.example") == ["192.0.2.1"]


async def test_answers_are_remembered_for_their_time(
    server: ToyServer, resolver: Resolver, ticks: Ticks
) -> None:
    server.add("a.example", "MX", "10 mx.example.", ttl=60)
    server.add("long.example", "MX", "10 mx.example.", ttl=10**6)
    for _ in range(3):
        await resolver.mx("a.example")
        await resolver.mx("A.EXAMPLE")
        await resolver.mx("no.example")
        await resolver.mx("long.example")
    assert set(server.asked.values()) == {1}
    ticks.at += 61
    await resolver.mx("a.example")
    await resolver.mx("no.example")
    await resolver.mx("long.example")
    assert server.asked["a.example", "MX"] == 2
    assert server.asked["no.example", "MX"] == 2, "as long as the SOA says"
    assert server.asked["long.example", "MX"] == 1
    ticks.at += 1000
    await resolver.mx("long.example")
    assert server.asked["long.example", "MX"] == 2, "never longer than the bound"
    resolver.forget()
    await resolver.mx("long.example")
    assert server.asked["long.example", "MX"] == 3


async def test_a_failure_is_hardly_remembered(
    server: ToyServer, resolver: Resolver, ticks: Ticks
) -> None:
    server.add("a.example", "A", "192.0.2.1")
    server.rcodes["a.example"] = dns.rcode.SERVFAIL
    assert isinstance(await resolver.addresses("a.example"), TemporaryFailure)
    asked = server.asked.total()
    assert isinstance(await resolver.addresses("a.example"), TemporaryFailure)
    assert server.asked.total() == asked
    del server.rcodes["a.example"]
    ticks.at += 3
    assert await addresses_of(resolver, "a.example") == ["192.0.2.1"]


async def test_memory_is_bounded(server: ToyServer, ticks: Ticks) -> None:
    resolver = Resolver([server.address], 0.4, bounds=Bounds(entries_max=3), clock=ticks)
    for number in range(10):
        await resolver.mx(f"{number}.example")
    await resolver.mx("9.example")
    await resolver.mx("0.example")
    assert server.asked["9.example", "MX"] == 1
    assert server.asked["0.example", "MX"] == 2
    await resolver.close()


async def test_who_asks_the_same_at_once_shares_one_question(
    server: ToyServer, resolver: Resolver
) -> None:
    server.add("a.example", "MX", "10 mx.example.")
    await asyncio.gather(*(resolver.mx("a.example") for _ in range(50)))
    assert server.asked["a.example", "MX"] == 1


async def test_one_who_gives_up_does_not_stop_the_others(
    server: ToyServer, resolver: Resolver
) -> None:
    server.add("a.example", "MX", "10 mx.example.")
    first, second = (asyncio.create_task(resolver.mx("a.example")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert isinstance(await second, Answer)
    assert first.cancelled()


async def test_a_dead_server_is_passed_over(server: ToyServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead:
        dead.bind(("127.0.0.1", 0))
        nobody = ServerAddress("127.0.0.1", dead.getsockname()[1])
        resolver = Resolver([nobody, server.address], timeout=0.8)
        for number in range(2):
            server.add(f"{number}.example", "MX", "10 mx.example.")
            assert isinstance(await resolver.mx(f"{number}.example"), Answer)
        await resolver.close()


async def test_a_sick_server_is_passed_over(server: ToyServer, ticks: Ticks) -> None:
    async with ToyServer().running() as sick:
        sick.rcodes["a.example"] = dns.rcode.SERVFAIL
        server.add("a.example", "MX", "10 mx.example.")
        resolver = Resolver([sick.address, server.address], timeout=1)
        assert isinstance(await resolver.mx("a.example"), Answer)
        await resolver.close()


async def test_one_family_may_fail_and_the_answer_says_so(
    server: ToyServer, resolver: Resolver
) -> None:
    server.add("a.example", "A", "192.0.2.1")
    server.silent_types.add("AAAA")
    found = await resolver.addresses("a.example")
    assert isinstance(found, Answer)
    assert found.complete is False


async def test_look_ups_under_way_can_be_stopped(server: ToyServer) -> None:
    server.silent.add("a.example")
    resolver = Resolver([server.address], timeout=30)
    task = asyncio.create_task(resolver.mx("a.example"))
    await asyncio.sleep(0.02)
    await resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_places_of_a_service_come_by_priority_and_weight(
    server: ToyServer, resolver: Resolver
) -> None:
    server.add(
        "_submission._tcp.a.example", "SRV",
        "20 0 587 last.a.example.", "10 1 587 light.a.example.", "10 9 2587 heavy.a.example.",
    )  # fmt: skip
    server.add("_pop3._tcp.a.example", "SRV", "0 0 0 .")
    found = await resolver.srv("_submission._tcp.a.example")
    assert isinstance(found, Answer)
    places = [(it.host, it.port) for it in found.values]
    assert places == [("heavy.a.example", 2587), ("light.a.example", 587), ("last.a.example", 587)]
    none = await resolver.srv("_pop3._tcp.a.example")
    assert isinstance(none, Answer)
    assert none.values[0].host in {"", "."}
    assert isinstance(await resolver.srv("_imap._tcp.a.example"), NoSuchName)
