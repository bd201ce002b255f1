"""Two sets of rules and the same requests: every difference is found, and nothing else."""

from datetime import timedelta

from hypothesis import given
from msgspec.structs import replace

from posthouse.policy.comparison import EXAMPLES_EACH, Asked, compare
from posthouse.policy.decision import Stage
from posthouse.policy.rules import LocalDomain, Rules
from posthouse.policy.systematic import every_request
from tests.policy.test_properties import all_rules
from tests.policy.world import (
    ANN,
    DOMAINS,
    HOME,
    NOON,
    POP_WINDOW,
    SIGNED_IN,
    addresses,
    host_name,
    network,
    request,
    rules,
)

WIDE, HALF = (
    rules(SIGNED_IN, network("198.51.100.0/24")),
    rules(SIGNED_IN, network("198.51.100.0/25")),
)


def kinds(old: Rules, new: Rules) -> set[tuple[str, str]]:
    found = compare(map(Asked, every_request(old, new, NOON)), old, new)
    assert found.different == sum(it.times for it in found.kinds)
    return {(it.old, it.new) for it in found.kinds}


@given(all_rules)
def test_rules_never_differ_from_themselves(by: Rules) -> None:
    assert kinds(by, by) == set()


def test_a_narrower_network_is_found_though_no_recorded_client_was_there() -> None:
    assert ("accept network-may-relay", "refuse not-recognised") in kinds(WIDE, HALF)
    assert ("refuse not-recognised", "accept network-may-relay") in kinds(HALF, WIDE)


def test_a_window_a_second_longer_is_found() -> None:
    longer = replace(POP_WINDOW, window=POP_WINDOW.window + timedelta(seconds=2))
    found = kinds(rules(POP_WINDOW), rules(longer))
    assert found >= {("refuse pop-window-ended", "accept pop-window-open")}


def test_other_domains_recipients_names_and_listeners_are_found() -> None:
    more = {**DOMAINS, "new.example": LocalDomain("new.example")}
    assert ("refuse not-recognised", "accept local-recipient") in kinds(
        rules(SIGNED_IN), rules(SIGNED_IN, local_domains=more)
    )
    narrow = rules(network("198.51.100.0/24", sends_to=addresses("@archive.example")))
    assert ("accept network-may-relay", "refuse recipient-not-in-door") in kinds(
        rules(network("198.51.100.0/24")), narrow
    )
    assert ("refuse not-recognised", "accept host-name-may-relay") in kinds(
        rules(), rules(host_name())
    )
    elsewhere = rules(network("198.51.100.0/24", listeners=frozenset({"submission"})))
    assert ("accept network-may-relay", "refuse not-recognised") in kinds(
        rules(network("198.51.100.0/24")), elsewhere
    )
    passed_on = {"proseware.example": LocalDomain("proseware.example", relayed=True)}
    assert ("accept local-recipient", "refuse routed-recipient") in kinds(
        rules(), rules(local_domains=passed_on)
    )


def test_recorded_requests_are_decided_at_their_stage_and_counted_as_often_as_they_came() -> None:
    asked = [
        Asked(request(address="198.51.100.200"), Stage.RECIPIENT, times=40),
        Asked(request(address="198.51.100.200", sender="x@contoso.example"), Stage.MAIL),
        Asked(request(address=HOME), Stage.RECIPIENT, times=2),
        Asked(request(signed_in=ANN), Stage.CONNECTION),
    ]
    found = compare(asked, WIDE, HALF)
    assert (found.asked, found.different) == (44, 41)
    assert [(it.old, it.new, it.times) for it in found.kinds] == [
        ("refuse sender-not-own", "accept welcome", 1),
        ("accept network-may-relay", "refuse not-recognised", 40),
    ]


def test_what_newly_passes_is_told_first_and_examples_are_few() -> None:
    asked = [Asked(request(address="198.51.100.200")) for _ in range(20)]
    (kind,) = compare(asked, HALF, WIDE).kinds
    assert kind.opens
    assert (kind.times, len(kind.examples)) == (20, EXAMPLES_EACH)
    assert not compare(asked, WIDE, HALF).kinds[0].opens
