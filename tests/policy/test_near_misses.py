"""A careless policy of each kind is caught by the proof; details of advice and doors."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from posthouse.mail.address import parse_mailbox
from posthouse.policy import proof
from posthouse.policy.counterfactual import suggestions
from posthouse.policy.decision import Decision, Verdict
from posthouse.policy.facts import Request
from posthouse.policy.proof import passages, prove
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import AddressSet, Passwords, Rules
from tests.policy.world import (
    ANN,
    HOME,
    NOON,
    POP_WINDOW,
    SIGNED_IN,
    addresses,
    host_name,
    network,
    recipient,
    request,
    rules,
)

SEPARATE = replace(SIGNED_IN, passwords=Passwords.SUBMISSION, where="posthouse.toml:9")


@pytest.mark.parametrize(
    "careless",
    [
        lambda asked: asked.client.hello == "mail.proseware.example",
        lambda asked: asked.client.tls,
        lambda asked: bool(asked.client.pop_sessions),
        lambda asked: bool(asked.client.watched_names),
        lambda asked: bool(asked.client.unreadable),
        lambda asked: asked.client.signed_in is not None,
        lambda asked: asked.reverse_path.mailbox is None,
        lambda asked: str(asked.reverse_path) == "<ann@proseware.example>",
        lambda asked: asked.reverse_path.mailbox == asked.forward_path,
        lambda asked: asked.forward_path.domain == "sub.proseware.example",
        lambda asked: asked.forward_path.domain == "example",
        lambda asked: asked.client.listener == "submission",
    ],
)
def test_a_policy_that_takes_a_near_miss_for_a_door_is_caught(
    careless: Callable[[Request], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless_recipient(asked: Request, by: Rules) -> Decision:
        decision = decide_recipient(asked, by)
        return replace(decision, verdict=Verdict.ACCEPT) if careless(asked) else decision

    def careless_mail(asked: Request, by: Rules) -> Decision:
        return replace(decide_mail(asked, by), verdict=Verdict.ACCEPT)

    monkeypatch.setattr(proof, "decide_recipient", careless_recipient)
    monkeypatch.setattr(proof, "decide_mail", careless_mail)
    by = rules(SEPARATE, POP_WINDOW, host_name())
    assert prove(by, NOON).closed is False


def test_the_widest_network_is_the_witness() -> None:
    by = rules(
        network("0.0.0.0/1", name="first"),
        network("128.0.0.0/1", listeners=frozenset({"mx"})),
        network("1.0.0.0/8", name="small", listeners=frozenset({"submission"})),
    )
    assert not prove(by, NOON).closed
    assert [it.addresses for it in passages(by, NOON)] == [2**31, 2**31, 2**24]


def test_a_grant_is_for_a_working_day_and_this_address() -> None:
    asked, by = request(), rules(SIGNED_IN)
    found = suggestions(asked, by, decide_recipient(asked, by))
    grant = next(it for it in found if it.kind == "grant")
    assert grant.rules is not None
    door = grant.rules.doors[-1]
    assert (door.until, door.networks) == (NOON + timedelta(hours=8), ("203.0.113.9",))


def test_signing_in_is_suggested_under_tls_and_networks_where_all_can_be_read() -> None:
    asked = request(unreadable=frozenset({"pop-window", "shop.dyn.example"}))
    by = rules(SIGNED_IN, POP_WINDOW, host_name(), network("198.51.100.0/24"))
    found = {it.kind: it.request for it in suggestions(asked, by, decide_recipient(asked, by))}
    signed_in, elsewhere = found["sign-in"], found["come-from-network"]
    assert signed_in is not None
    assert elsewhere is not None
    assert signed_in.client.tls
    assert elsewhere.client.unreadable == frozenset()


def test_three_networks_at_most_are_suggested() -> None:
    by = rules(*(network(f"198.51.{n}.0/24", name=f"n{n}") for n in range(5)))
    asked = request()
    found = suggestions(asked, by, decide_recipient(asked, by))
    assert [it.kind for it in found].count("come-from-network") == 3


def test_a_door_of_another_listener_does_not_hide_the_next_window() -> None:
    elsewhere = replace(POP_WINDOW, listeners=frozenset({"submission"}))
    assert recipient(request(fetched=(ANN, 3)), rules(elsewhere, POP_WINDOW))[0] == "accept"


def test_the_refusal_of_a_sender_at_rcpt_tells_everything_asked() -> None:
    decision = decide_recipient(
        request(address=HOME, sender="x@contoso.example"), rules(network("198.51.100.0/24"))
    )
    assert [step.question for step in decision.trace] == [
        "recipient is local",
        "client signed in",
        "mail was fetched from this address lately",
        "network may relay",
        "reverse-path is the client's own",
    ]


def test_sub_domains_of_a_set_are_in_it_at_any_depth() -> None:
    below = AddressSet(parents=frozenset({"proseware.example"}))
    assert below.holds(parse_mailbox("a@x.proseware.example"))
    assert below.holds(parse_mailbox("a@x.y.proseware.example"))
    assert not below.holds(parse_mailbox("a@proseware.example"))
    assert not below.holds(parse_mailbox("a@notproseware.example"))
    by = rules(network("0.0.0.0/0", sends_as=below))
    assert not prove(by, NOON).closed
    assert addresses("*").holds(parse_mailbox("a@b.example"))
