"""An address that stands for many clients is noticed, and then opens nothing."""

from ipaddress import ip_address, ip_network

import pytest
from msgspec.structs import replace

from posthouse.policy.counterfactual import suggestions, would_help
from posthouse.policy.decision import Step
from posthouse.policy.facts import Request
from posthouse.policy.lost_address import (
    LostAddressRule,
    Traffic,
    evidence_of_loss,
    owner_of_name,
)
from posthouse.policy.networks import NetworkTable
from posthouse.policy.recognition import ADDRESS
from posthouse.policy.relaying import decide_mail, decide_recipient
from tests.policy.world import (
    ANN,
    HOME,
    POP_WINDOW,
    SIGNED_IN,
    host_name,
    network,
    recipient,
    request,
    rules,
    told,
)

RULE = LostAddressRule()
GATEWAY = ip_address("172.17.0.1")
WHY = "172.17.0.1, the gateway of Docker, brought 12 unrelated EHLO names"


def lost(asked: Request) -> Request:
    return replace(asked, client=replace(asked.client, address_lost=WHY))


def names(count: int) -> frozenset[str]:
    return frozenset(f"company{number}.example" for number in range(count))


@pytest.mark.parametrize(
    "asked",
    [
        request(address=HOME),
        request(fetched=(ANN, 3)),
        request(name=("shop.dyn.example", 1)),
    ],
)
def test_a_lost_address_opens_no_door_and_the_reason_is_its_own(asked: Request) -> None:
    by = rules(SIGNED_IN, POP_WINDOW, network("198.51.100.0/24"), host_name())
    assert recipient(asked, by)[0] == "accept"
    decision = decide_recipient(lost(asked), by)
    assert told(decision) == ("refuse", "address-lost")
    assert decision.trace[-1] == Step(ADDRESS, answer=False, because=WHY)


def test_on_submission_it_is_told_at_mail() -> None:
    by = rules(SIGNED_IN, network("198.51.100.0/24"))
    asked = lost(request(address=HOME, listener="submission"))
    assert told(decide_mail(asked, by)) == ("refuse", "address-lost")


def test_signing_in_still_works_from_a_lost_address() -> None:
    by = rules(SIGNED_IN, network("198.51.100.0/24"))
    asked = lost(request(address=HOME, signed_in=ANN, listener="submission"))
    assert recipient(asked, by) == ("accept", "signed-in")


def test_a_stranger_at_a_lost_address_is_a_stranger_as_before() -> None:
    by = rules(SIGNED_IN, POP_WINDOW, network("198.51.100.0/24"))
    assert recipient(lost(request()), by) == ("refuse", "not-recognised")
    unreadable = lost(request(unreadable=frozenset({"pop-window"})))
    assert recipient(unreadable, by) == ("refuse", "not-recognised")


def test_only_signing_in_or_another_network_helps_against_a_lost_address() -> None:
    by = rules(SIGNED_IN, POP_WINDOW, network("198.51.100.0/24"))
    asked = lost(request(address=HOME))
    found = suggestions(asked, by, decide_recipient(asked, by))
    assert [it.kind for it in found] == ["sign-in"]
    assert would_help(asked, by, decide_recipient(asked, by)) == tuple(it.text for it in found)


def test_many_unrelated_names_from_a_private_address_are_evidence() -> None:
    assert evidence_of_loss(Traffic(GATEWAY, names(9)), RULE) == ""
    told_of = evidence_of_loss(Traffic(GATEWAY, names(10)), RULE)
    assert told_of == "172.17.0.1, the gateway of Docker, brought 10 unrelated EHLO names"


def test_all_that_was_seen_is_told() -> None:
    traffic = Traffic(
        ip_address("10.1.2.3"),
        names(12),
        accounts=frozenset({"ann"}),
        senders=frozenset({"a.example", "b.example"}),
        recipients=frozenset({"c.example"}),
        transactions=190,
        transactions_in_all=200,
    )
    assert evidence_of_loss(traffic, RULE) == (
        "10.1.2.3, a private address, brought 12 unrelated EHLO names, 1 account,"
        " 2 sender domains, 1 recipient domain, 190 of 200 mail transactions"
    )


@pytest.mark.parametrize(("count", "found"), [(4, False), (5, True)])
def test_half_as_many_names_are_enough_where_many_sign_in(count: int, *, found: bool) -> None:
    accounts = frozenset(str(number) for number in range(5))
    assert bool(evidence_of_loss(Traffic(GATEWAY, names(count), accounts), RULE)) is found
    fewer = frozenset(list(accounts)[:4])
    assert evidence_of_loss(Traffic(GATEWAY, names(count), fewer), RULE) == ""


def test_webmail_and_smart_hosts_have_one_name_and_are_not_suspected() -> None:
    accounts = frozenset(f"person{number}" for number in range(50))
    traffic = Traffic(GATEWAY, names(1), accounts, senders=names(40), recipients=names(40))
    assert evidence_of_loss(traffic, RULE) == ""


@pytest.mark.parametrize(
    ("mine", "all_of_them", "found"),
    [(95, 100, True), (94, 100, False), (99, 99, False), (100, 100, True)],
)
def test_a_public_address_is_lost_only_if_nearly_everything_comes_from_it(
    mine: int, all_of_them: int, *, found: bool
) -> None:
    traffic = Traffic(
        ip_address("203.0.113.9"),
        names(10),
        transactions=mine,
        transactions_in_all=all_of_them,
    )
    assert evidence_of_loss(traffic, RULE).startswith("203.0.113.9 brought") is found


def test_an_address_that_is_meant_to_be_shared_is_never_lost() -> None:
    rule = LostAddressRule(shared=NetworkTable([(ip_network("172.17.0.0/16"), 0)]))
    assert evidence_of_loss(Traffic(GATEWAY, names(50)), rule) == ""


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("mail3.Example.COM.", "example.com"),
        ("a.b.example.com", "example.com"),
        ("mx.firma.co.uk", "firma.co.uk"),
        ("mx.example.de", "example.de"),
        ("mx.abcd.de", "abcd.de"),
        ("a.mx.abc.de", "mx.abc.de"),
        ("abc.de", "abc.de"),
        ("mx.abc.com", "abc.com"),
        ("x.localdomain", ""),
        ("x.y.lan", ""),
        ("x.internal", ""),
        ("[IPv6:fd00::1]", ""),
        ("[198.51.100.7]", "198.51.100.7"),
        ("[IPv6:2600::1]", "2600::1"),
        ("[192.168.1.5]", ""),
        ("[nonsense]", ""),
        ("DESKTOP-4711", ""),
        ("printer.local", ""),
        ("localhost", ""),
        ("", ""),
    ],
)
def test_related_names_have_one_owner(name: str, owner: str) -> None:
    assert owner_of_name(name, ip_address("10.1.2.3")) == owner


def test_behind_a_container_gateway_every_name_counts() -> None:
    assert owner_of_name("DESKTOP-4711", GATEWAY) == "desktop-4711"
    assert owner_of_name("[192.168.1.5]", GATEWAY) == "192.168.1.5"
    assert owner_of_name("localhost", GATEWAY) == ""
    assert owner_of_name("x.lan", GATEWAY) == "x.lan"
    assert owner_of_name("", GATEWAY) == ""
    assert owner_of_name("mx.example.com", GATEWAY) == "example.com"
