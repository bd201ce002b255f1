"""Remembered advice is the advice the policy would give."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from posthouse.policy.counterfactual import would_help
from posthouse.policy.facts import Request
from posthouse.policy.relaying import decide_recipient
from posthouse.policy.rules import Rules
from posthouse.sessions import advice
from posthouse.sessions.advice import Advice
from tests.policy.test_properties import all_rules, requests
from tests.policy.world import POP_WINDOW, SIGNED_IN, network, request, rules


@given(all_rules, st.lists(requests, min_size=2, max_size=8))
def test_what_is_remembered_is_what_would_be_found(by: Rules, asked: list[Request]) -> None:
    remembered = Advice()
    for one in asked:
        decision = decide_recipient(one, by)
        if not decision.accepted:
            expected = would_help(one, by, decision)
            assert remembered.would_help(one, by, decision) == expected


def test_each_stranger_reads_their_own_address() -> None:
    by, remembered = rules(SIGNED_IN, POP_WINDOW, network("198.51.100.0/24")), Advice()
    for text in ("203.0.113.9", "203.0.113.10", "2001:db8:9::1"):
        asked = request()
        asked = replace(asked, client=replace(asked.client, address=ip_address(text)))
        told = remembered.would_help(asked, by, decide_recipient(asked, by))
        assert f"an administrator runs: posthouse network add {text} --for 8h" in told
    assert len(remembered._known) == 1


def test_other_rules_are_asked_anew() -> None:
    remembered, asked = Advice(), request()
    for by in (rules(SIGNED_IN), rules(POP_WINDOW)):
        decision = decide_recipient(asked, by)
        assert remembered.would_help(asked, by, decision) == would_help(asked, by, decision)


def test_memory_is_bounded() -> None:
    remembered, by = Advice(), rules(SIGNED_IN)
    for number in range(advice.KINDS_MAX + 5):
        asked = request(f"x@d{number}.example")
        remembered.would_help(asked, by, decide_recipient(asked, by))
    assert len(remembered._known) <= advice.KINDS_MAX
