"""What situations do not reach: each stage by itself, doors with senders, orders of lists."""

import pytest
from msgspec.structs import replace

from posthouse.mail.address import parse_mailbox
from posthouse.policy.address_classes import address_classes
from posthouse.policy.content import decide_content
from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Authorship, Finding
from posthouse.policy.limits import decide_connection
from posthouse.policy.proof import prove
from posthouse.policy.reasons import Reason
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import Budget, CheckRule, Limits
from tests.policy.world import (
    ANN,
    BOB,
    HOME,
    NOON,
    POP_WINDOW,
    SIGNED_IN,
    addresses,
    network,
    recipient,
    request,
    rules,
    told,
)

ANNS, FOREIGN = parse_mailbox("ann@proseware.example"), parse_mailbox("x@contoso.example")
SMALL = rules(limits=Limits(message_octets=10, hops=1))


def test_a_message_that_grew_too_big_is_refused_at_the_content() -> None:
    decision = decide_content(request(octets=11), SMALL)
    step = Step("message is too big", answer=True, because="11 of 10 octets")
    assert decision == Decision(Stage.CONTENT, Verdict.REFUSE, Reason.MESSAGE_TOO_BIG, (step,))
    assert told(decide_content(request(octets=10), SMALL)) == ("accept", "content-fine")


def test_a_loop_is_refused_with_what_was_asked_before() -> None:
    decision = decide_content(request(hops=2), SMALL)
    step = Step("message goes in a loop", answer=True, because="2 of 1 Received fields")
    assert decision == Decision(Stage.CONTENT, Verdict.REFUSE, Reason.MAIL_LOOP, (step,))


def test_a_signed_in_door_with_senders_takes_those_of_the_account_that_it_names() -> None:
    by = rules(replace(SIGNED_IN, sends_as=addresses("sales@proseware.example")))
    for sender, verdict in (
        ("sales@proseware.example", "accept"),
        ("sales+x@proseware.example", "accept"),
        ("ann@proseware.example", "refuse"),
        ("bob@proseware.example", "refuse"),
    ):
        asked = request(sender=sender, signed_in=ANN, listener="submission")
        assert told(decide_mail(asked, by))[0] == verdict, sender
    refused = decide_mail(request(signed_in=ANN, listener="submission"), by)
    assert refused.allowed == ("sales@proseware.example",)
    anything = rules(replace(SIGNED_IN, sends_as=addresses("*")))
    refused = decide_mail(
        request(sender="bob@proseware.example", signed_in=ANN, listener="submission"), anything
    )
    assert refused.allowed == ("ann@proseware.example", "sales@proseware.example")


@pytest.mark.parametrize(("author", "verdict"), [(ANNS, "accept"), (FOREIGN, "refuse")])
def test_a_pop_window_brings_its_account_to_the_content(author: object, verdict: str) -> None:
    asked = request(fetched=(ANN, 3), authorship=Authorship((author,)))  # type: ignore[arg-type]
    decision = decide_content(asked, rules(POP_WINDOW))
    assert decision.verdict.value == verdict
    if verdict == "refuse":
        assert decision.allowed == ("ann@proseware.example", "sales@proseware.example")


def test_two_windows_of_one_address_are_both_looked_at() -> None:
    asked = request(fetched=(BOB, 3))
    both = replace(
        asked,
        client=replace(
            asked.client,
            pop_sessions=(
                *asked.client.pop_sessions,
                *request(fetched=(ANN, 5)).client.pop_sessions,
            ),
        ),
    )
    assert recipient(both, rules(POP_WINDOW)) == ("accept", "pop-window-open")


def test_a_stranger_by_reverse_path_writes_what_it_likes() -> None:
    by = rules(network("198.51.100.0/24"))
    asked = request(
        "bob@proseware.example", sender="x@contoso.example", address=HOME,
        authorship=Authorship((FOREIGN,)),
    )  # fmt: skip
    decision = decide_content(asked, by)
    assert told(decision) == ("accept", "content-fine")
    assert decision.trace[-1] == Step(
        "client is recognised", answer=False, because="a stranger may write"
    )


def test_the_first_of_two_held_findings_is_the_reason() -> None:
    checks = {name: CheckRule(name, where=f"posthouse.toml:{name}") for name in ("one", "two")}
    findings = (Finding("one", found=True, detail="a"), Finding("two", found=True, detail="b"))
    decision = decide_content(request(findings=findings), rules(checks=checks))
    assert (decision.verdict, decision.subject) == (Verdict.HOLD, "one")
    assert decision.stage is Stage.CONTENT


def test_connections_are_decided_at_their_stage() -> None:
    decision = decide_connection(request(), rules())
    assert decision == Decision(
        Stage.CONNECTION,
        Verdict.ACCEPT,
        Reason.WELCOME,
        (
            Step("server is stopping", answer=False, because=""),
            Step("server is full", answer=False, because="0 of 5000 sessions"),
            Step("address has too many sessions", answer=False, because="0 of 20 sessions"),
        ),
    )


def test_any_open_door_with_budget_left_is_enough() -> None:
    limits = Limits(address_recipients=Budget(1, NOON - NOON.replace(hour=11)))
    by = rules(SIGNED_IN, network("198.51.100.0/24"), limits=limits)
    asked = request(address=HOME, signed_in=ANN)
    used_up = replace(asked, usage=replace(asked.usage, address_recipients=1))
    assert decide_recipient(used_up, by).verdict is Verdict.ACCEPT
    alone = replace(used_up, client=replace(used_up.client, signed_in=None))
    assert told(decide_recipient(alone, by)) == ("defer", "address-recipient-budget")


def test_classes_in_no_network_come_first_then_the_widest() -> None:
    by = rules(
        network("198.51.100.0/24"),
        network("10.0.0.0/8", name="wide", listeners=frozenset({"mx"})),
        network("2001:db8::/32", name="six"),
    )
    found = [(it.version, bool(it.doors), it.width) for it in address_classes(by)]
    assert found == [
        (4, False, 2**32 - 2**24 - 2**8),
        (6, False, 2**128 - 2**96),
        (4, True, 2**24),
        (4, True, 2**8),
        (6, True, 2**96),
    ]


def test_examples_are_inside_their_class() -> None:
    by = rules(network("203.0.113.0/24"), network("198.51.100.8/29"), network("192.0.2.9/32"))
    for it in address_classes(by):
        held = by.networks.find(it.example)
        assert bool(held) is bool(it.doors)


def test_without_listeners_a_proof_still_asks() -> None:
    shown = prove(rules(SIGNED_IN, listeners={}), NOON)
    assert shown.closed
    assert shown.questions > 10
