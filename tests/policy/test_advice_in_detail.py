"""Suggestions change what they say and nothing else; listeners and ranges to the letter."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from msgspec.structs import replace

from posthouse.mail.address import ReversePath, parse_mailbox
from posthouse.policy.content import decide_content
from posthouse.policy.counterfactual import suggestions
from posthouse.policy.facts import Authorship, Request
from posthouse.policy.networks import NetworkError, parse_networks
from posthouse.policy.private_networks import gateway_of, is_loopback, is_private, reach_of
from posthouse.policy.questions import AssumedDirectory, default_listener
from posthouse.policy.relaying import decide_mail
from posthouse.policy.rules import Identity, ListenerRule, LocalDomain, Ownership, Service
from tests.policy.world import ANN, LISTENERS, SIGNED_IN, request, rules

ANNS, BOBS = parse_mailbox("ann@proseware.example"), parse_mailbox("bob@proseware.example")
FOREIGN = parse_mailbox("x@contoso.example")
OWN = Identity(reply_to=Ownership.OWN_ADDRESSES)


def suggested(asked: Request, *, at_mail: bool = False) -> Request:
    by = rules(SIGNED_IN, identity=OWN)
    decide = decide_mail if at_mail else decide_content
    (found,) = suggestions(asked, by, decide(asked, by))
    assert found.request is not None
    return found.request


def signed(authorship: Authorship) -> Request:
    return request(signed_in=ANN, listener="submission", authorship=authorship)


def test_another_reverse_path_brings_its_author_along() -> None:
    asked = request(sender="bob@proseware.example", signed_in=ANN, listener="submission")
    changed = suggested(asked, at_mail=True)
    assert changed == replace(asked, reverse_path=ReversePath(ANNS))
    with_author = replace(asked, authorship=Authorship((BOBS,), sender=BOBS))
    changed = suggested(with_author, at_mail=True)
    assert changed.authorship == Authorship((ANNS,))
    assert changed.reverse_path == ReversePath(ANNS)


@pytest.mark.parametrize(
    ("authorship", "better"),
    [
        (Authorship((FOREIGN,), reply_to=(ANNS,)), Authorship((ANNS,), reply_to=(ANNS,))),
        (Authorship((ANNS,), sender=FOREIGN), Authorship((ANNS,), sender=ANNS)),
        (
            Authorship((ANNS,), reply_to=(FOREIGN, BOBS)),
            Authorship((ANNS,), reply_to=(ANNS,)),
        ),
    ],
)
def test_only_the_field_at_fault_is_changed(authorship: Authorship, better: Authorship) -> None:
    asked = signed(authorship)
    assert suggested(asked) == replace(asked, authorship=better)


def test_the_default_listener_is_submission_for_those_who_sign_in() -> None:
    by = rules()
    assert default_listener(by, signed_in=True) == "submission"
    assert default_listener(by, signed_in=False) == "mx"
    swapped = dict(reversed(LISTENERS.items()))
    assert default_listener(rules(listeners=swapped), signed_in=False) == "mx"
    only = {"in": ListenerRule("in", Service.SMTP)}
    assert default_listener(rules(listeners=only), signed_in=True) == "in"
    assert default_listener(rules(listeners={}), signed_in=True) == "mx"


def test_an_assumed_directory_owns_what_is_kept_here_and_nothing_passed_on() -> None:
    domains = {
        "proseware.example": LocalDomain("proseware.example"),
        "school.example": LocalDomain("school.example", relayed=True),
    }
    directory = AssumedDirectory(rules(local_domains=domains))
    owner = directory.owner(parse_mailbox("Ann@proseware.example"))
    assert owner is not None
    assert (owner.name, owner.addresses) == ("Ann@proseware.example", frozenset({ANNS}))
    assert directory.owner(parse_mailbox("a@school.example")) is None
    assert directory.owner(FOREIGN) is None
    assert directory.exists(ANNS) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("192.0.2.9-192.0.2.1", "the range runs backwards: did you mean 192.0.2.1-192.0.2.9?"),
        (
            "2001:db8::9-2001:db8::1",
            "the range runs backwards: did you mean 2001:db8::1-2001:db8::9?",
        ),
        ("192.0.2.1-2001:db8::1", "a range stays in one family: IPv4-IPv4 or IPv6-IPv6"),
        (
            "192.0.2.1/24",
            (
                "192.0.2.1/24 has host bits set: did you mean 192.0.2.0/24 (256 addresses)"
                " or only 192.0.2.1?"
            ),
        ),
        (
            "here",
            "'here' is no network: write 192.0.2.0/24, 192.0.2.7 or 192.0.2.7-192.0.2.20",
        ),
    ],
)
def test_a_wrong_network_is_told_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(NetworkError) as told:
        parse_networks(text)
    assert str(told.value) == message


def test_ranges_of_one_and_of_mapped_addresses() -> None:
    assert parse_networks(" 192.0.2.7 - 192.0.2.7 ") == (ip_network("192.0.2.7/32"),)
    assert parse_networks("::ffff:192.0.2.0-::ffff:192.0.2.1") == (ip_network("192.0.2.0/31"),)
    assert parse_networks("2001:db8::-2001:db8::1") == (ip_network("2001:db8::/127"),)


@pytest.mark.parametrize(
    ("network", "private", "maker"),
    [
        ("10.0.0.0/8", True, ""),
        ("8.0.0.0/6", False, ""),
        ("10.255.255.255/32", True, ""),
        ("11.0.0.0/32", False, ""),
        ("172.16.0.0/12", True, ""),
        ("172.17.0.1/32", True, "Docker"),
        ("172.18.0.0/32", True, ""),
        ("192.168.65.0/24", True, "Docker Desktop"),
        ("10.88.0.7/32", True, "Podman"),
        ("10.0.2.2/32", True, "rootless containers"),
        ("100.64.0.0/10", True, ""),
        ("100.128.0.0/32", False, ""),
        ("fd00::/8", True, ""),
        ("fe80::1/128", True, ""),
        ("2001:db8::/32", False, ""),
        ("::1/128", True, ""),
    ],
)
def test_private_networks_and_container_gateways(
    network: str, maker: str, *, private: bool
) -> None:
    found = ip_network(network, strict=False)
    assert (is_private(found), gateway_of(found)) == (private, maker)


def test_what_a_network_reaches_is_counted_in_numbers() -> None:
    assert reach_of(ip_network("10.0.0.0/30")) == (4, 10 << 24, (10 << 24) + 3)
    assert reach_of(ip_network("::/127")) == (6, 0, 1)
    assert is_loopback(ip_network("127.0.0.0/8"))
    assert not is_loopback(ip_network("127.0.0.0/7", strict=False))
    assert is_loopback(ip_network(IPv6Address(1)))
    assert not is_loopback(ip_network(IPv4Address(1)))
