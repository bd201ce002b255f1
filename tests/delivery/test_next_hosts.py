"""The hosts of a next hop, and the reasons why there are none."""

import random
from ipaddress import ip_address

import pytest

from posthouse.delivery.next_hosts import TRIED_MAX, Host, HostFinder, group_of
from posthouse.delivery.outcomes import Deferred, Failed
from posthouse.delivery.routes import Exchangers, SmartHost, SmartHosts
from posthouse.dns.answers import (
    Address,
    AddressResult,
    Answer,
    MailExchanger,
    MailExchangerResult,
    NoData,
    NoSuchName,
    TemporaryFailure,
)
from posthouse.dns.exchangers import Ourselves
from posthouse.dns.resolver import Resolver

FOUR, SIX = ip_address("192.0.2.1"), ip_address("2001:db8::1")


class Zone(Resolver):
    """Answers from what the test wrote down."""

    def __init__(
        self, mx: dict[str, MailExchangerResult], addresses: dict[str, tuple[Address, ...]]
    ) -> None:
        self.exchangers = mx
        self.hosts = addresses

    async def mx(self, domain: str) -> MailExchangerResult:
        return self.exchangers.get(domain, NoSuchName(domain))

    async def addresses(self, name: str) -> AddressResult:
        if name.startswith("slow"):
            return TemporaryFailure(name, "no answer")
        found = self.hosts.get(name)
        return Answer(found, name, 60.0) if found else NoData(name)


def finder(
    mx: dict[str, MailExchangerResult] | None = None,
    addresses: dict[str, tuple[Address, ...]] | None = None,
    *,
    literals: bool = False,
) -> HostFinder:
    zone = Zone(mx or {}, addresses or {})
    ourselves = Ourselves(frozenset({"mx.ours.example"}))
    return HostFinder(zone, random.Random(1), ourselves, literals=literals)


def mx(*hosts: tuple[int, str]) -> MailExchangerResult:
    return Answer(tuple(MailExchanger(*it) for it in hosts), "x.example", 60.0)


async def test_exchangers_come_in_order_of_preference_with_all_addresses() -> None:
    find = finder(
        {"x.example": mx((20, "b.example"), (10, "a.example"))},
        {"a.example": (SIX, FOUR), "b.example": (FOUR,)},
    )
    assert await find.find(Exchangers(25), "x.example") == (
        Host("a.example", SIX, 25, 10),
        Host("a.example", FOUR, 25, 10),
        Host("b.example", FOUR, 25, 20),
    )


async def test_a_domain_without_mx_is_its_own_host() -> None:
    find = finder({"x.example": NoData("x.example")}, {"x.example": (FOUR,)})
    assert await find.find(Exchangers(2525), "x.example") == (Host("x.example", FOUR, 2525),)


@pytest.mark.parametrize(
    ("records", "kind", "status"),
    [
        (mx((0, "")), Failed, "5.1.10"),
        (NoSuchName("x.example"), Failed, "5.1.2"),
        (NoData("x.example"), Failed, "5.4.4"),
        (mx((10, "nowhere.example")), Failed, "5.4.4"),
        (mx((10, "mx.ours.example")), Failed, "5.4.6"),
        (TemporaryFailure("x.example", "SERVFAIL"), Deferred, "4.4.3"),
        (mx((10, "slow.example")), Deferred, "4.4.3"),
    ],
)
async def test_why_there_is_no_host_is_an_outcome(
    records: MailExchangerResult, kind: type, status: str
) -> None:
    found = await finder({"x.example": records}).find(Exchangers(25), "x.example")
    assert isinstance(found, kind)
    assert isinstance(found, Deferred | Failed)
    assert found.status == status


async def test_only_so_many_hosts_are_tried_in_one_attempt() -> None:
    many = tuple(ip_address(f"192.0.2.{n}") for n in range(1, 50))
    find = finder({"x.example": mx((10, "a.example"))}, {"a.example": many})
    found = await find.find(Exchangers(25), "x.example")
    assert isinstance(found, tuple)
    assert len(found) == TRIED_MAX


async def test_address_literals_are_hosts_only_where_that_is_allowed() -> None:
    assert isinstance(await finder().find(Exchangers(25), "[192.0.2.1]"), Failed)
    found = await finder(literals=True).find(Exchangers(25), "[192.0.2.1]")
    assert found == (Host("[192.0.2.1]", FOUR, 25),)


async def test_smart_hosts_are_names_or_addresses() -> None:
    find = finder(addresses={"relay.example": (SIX, FOUR)})
    relay = SmartHost("relay.example", 587)
    assert await find.find(relay, "x.example") == (
        Host("relay.example", SIX, 587),
        Host("relay.example", FOUR, 587),
    )
    there = await find.find(SmartHost("192.0.2.1", 26), "x.example")
    assert there == (Host("192.0.2.1", FOUR, 26),)


@pytest.mark.parametrize("name", ["gone.example", "slow.example"])
async def test_a_smart_host_that_is_not_found_defers_and_returns_nobodys_mail(name: str) -> None:
    found = await finder().find(SmartHost(name, 25), "x.example")
    assert isinstance(found, Deferred)
    assert found.unreachable


async def test_what_was_found_is_taken_again_for_a_moment_in_another_order() -> None:
    find = finder(
        {"x.example": mx((10, "a.example"), (10, "b.example"), (20, "c.example"))},
        dict.fromkeys(("a.example", "b.example", "c.example"), (FOUR, SIX)),
    )
    via = Exchangers(25)
    assert find.remembered(via, "x.example") is None
    await find.find(via, "x.example")
    orders = set()
    for _ in range(40):
        known = find.remembered(via, "x.example")
        assert isinstance(known, tuple)
        orders.add(tuple(it.name for it in known))
        assert [it.preference for it in known] == [10, 10, 10, 10, 20, 20]
        assert group_of(known) == "a.example:25"
    a, b, c = "a.example", "b.example", "c.example"
    assert orders == {(a, a, b, b, c, c), (b, b, a, a, c, c)}


async def test_of_several_smart_hosts_the_first_is_tried_first_and_the_others_after_it() -> None:
    find = finder(addresses={"a.example": (FOUR,), "b.example": (SIX,)})
    one, two, gone = (SmartHost(name, 25) for name in ("a.example", "b.example", "gone.example"))
    found = await find.find(SmartHosts((gone, one, two)), "x.example")
    assert found == (Host("a.example", FOUR, 25, 1), Host("b.example", SIX, 25, 2))
    nobody = await find.find(SmartHosts((gone, SmartHost("slow.example", 25))), "x.example")
    assert isinstance(nobody, Deferred)


async def test_weights_share_the_load_among_smart_hosts() -> None:
    find = finder(addresses={"a.example": (FOUR,), "b.example": (FOUR,)})
    via = SmartHosts((SmartHost("a.example", 25), SmartHost("b.example", 25)), (3, 1))
    first = []
    for _ in range(400):
        found = await find.find(via, "x.example")
        assert isinstance(found, tuple)
        first.append(found[0].name)
    assert 250 < first.count("a.example") < 350


async def test_a_unix_socket_is_a_host_without_an_address() -> None:
    found = await finder().find(SmartHost("/run/lmtp", 0, lmtp=True), "x.example")
    assert found == (Host("/run/lmtp", None, 0, lmtp=True),)
    assert str(found[0]) == "/run/lmtp"
