"""The relay proof: closed rules are proved closed, planted holes are found."""

from datetime import date, timedelta
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from posthouse.mail.address import parse_mailbox, parse_reverse_path
from posthouse.policy import proof
from posthouse.policy.address_classes import address_classes
from posthouse.policy.decision import Verdict
from posthouse.policy.facts import Client, Request
from posthouse.policy.networks import NetworkTable
from posthouse.policy.proof import prove
from posthouse.policy.relaying import decide_recipient
from posthouse.policy.rules import Door, LocalDomain, Rules
from tests.policy.test_properties import all_rules
from tests.policy.world import NOON, POP_WINDOW, SIGNED_IN, addresses, host_name, network, rules


def test_a_closed_server_is_proved_closed_and_its_doors_are_listed() -> None:
    by = rules(SIGNED_IN, POP_WINDOW, network("198.51.100.0/24", until=date(2026, 6, 30)))
    shown = prove(by, NOON)
    assert shown.closed
    assert [(it.kind, it.addresses, it.ended) for it in shown.passages] == [
        ("signed-in", None, False),
        ("pop-window", None, False),
        ("network", 256, False),
    ]
    assert shown.questions > 100


@pytest.mark.parametrize(
    "door",
    [
        network("0.0.0.0/1", "128.0.0.0/1"),
        network("::ffff:0:0/96"),
        network("::/1", "8000::/1"),
        network("11.0.0.0/8", "12.0.0.0/8"),
        network("0.0.0.0/0", sends_as=addresses("printer@proseware.example")),
        network("0.0.0.0/0", sends_to=addresses("@archive.example")),
        network("0.0.0.0/0", listeners=frozenset({"submission"})),
    ],
)
def test_everybody_by_networks_is_found_with_a_session_that_relays(door: Door) -> None:
    by = rules(SIGNED_IN, door)
    shown = prove(by, NOON)
    assert not shown.closed
    for witness in shown.witnesses:
        request = request_of(witness)
        assert decide_recipient(request, by).verdict is Verdict.ACCEPT
        assert witness.where == "posthouse.toml:17"


def request_of(witness: proof.Witness) -> Request:
    mail, recipient = witness.session[1:3]
    return Request(
        NOON,
        Client(ip_address(witness.client), witness.listener),
        parse_reverse_path(mail.removeprefix("MAIL FROM:")),
        parse_mailbox(recipient.removeprefix("RCPT TO:<").removesuffix(">")),
    )


def test_an_ended_entry_is_listed_as_ended_and_opens_nothing() -> None:
    shown = prove(rules(network("0.0.0.0/1", "128.0.0.0/1", until=date(2026, 5, 3))), NOON)
    assert shown.closed
    assert [it.ended for it in shown.passages] == [True]


def test_domains_that_are_passed_on_are_named() -> None:
    domains = {"school.example": LocalDomain("school.example", "posthouse.toml:9", relayed=True)}
    shown = prove(rules(SIGNED_IN, local_domains=domains), NOON)
    assert shown.passed_on == (("school.example", "posthouse.toml:9"),)


def test_a_policy_that_would_relay_for_strangers_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decide_recipient

    def careless(request: Request, by: Rules) -> object:
        decision = real(request, by)
        asked = request.forward_path
        if asked is not None and asked.domain.endswith("proseware.example"):
            return replace(decision, verdict=Verdict.ACCEPT)
        return decision

    monkeypatch.setattr(proof, "decide_recipient", careless)
    shown = prove(rules(SIGNED_IN), NOON)
    assert [it.session[2] for it in shown.witnesses] == ["RCPT TO:<someone@notproseware.example>"]


@given(all_rules, st.integers(0, 2**32 - 1), st.sampled_from(["mx", "submission"]))
def test_what_is_proved_closed_is_closed_by_brute_force(by: Rules, n: int, where: str) -> None:
    if not prove(by, NOON).closed:
        return
    address = IPv4Address(n)
    held = any(address in ip_network(text) for door in by.doors for text in door.networks)
    for sender in ("<>", "<ann@proseware.example>", "<x@contoso.example>"):
        request = Request(
            NOON,
            Client(address, where),
            parse_reverse_path(sender),
            parse_mailbox("someone@adatum.example"),
        )
        accepted = decide_recipient(request, by).verdict is Verdict.ACCEPT
        assert held or not accepted


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)), max_size=6))
def test_classes_divide_the_whole_space(nets: list[tuple[int, int]]) -> None:
    texts = [str(ip_network((n, length), strict=False)) for n, length in nets]
    classes = address_classes(rules(*map(network, texts), host_name()))
    for version, space in ((4, 2**32), (6, 2**128)):
        assert sum(it.width for it in classes if it.version == version) == space
    for it in classes:
        inside = any(it.example in ip_network(text) for text in texts)
        assert inside is bool(it.doors)


def test_a_hundred_thousand_networks_are_few_classes() -> None:
    door = network(name="many")
    entries = [(ip_network((n << 12, 24)), 0) for n in range(100_000)]
    by = replace(rules(door), networks=NetworkTable(entries))
    classes = address_classes(by)
    assert len(classes) == 3
    assert prove(by, NOON + timedelta(days=1)).closed is False
