"""What is decided about a whole message: authorship, loops, screening."""

import pytest

from posthouse.mail.address import parse_mailbox
from posthouse.policy.content import decide_content
from posthouse.policy.facts import Account, Authorship, Finding
from posthouse.policy.rules import CheckRule, Identity, Limits, Ownership
from tests.policy.world import ANN, HOME, SIGNED_IN, network, request, rules, told


def written(*authors: str, sender: str = "", reply_to: tuple[str, ...] = ()) -> Authorship:
    return Authorship(
        tuple(map(parse_mailbox, authors)),
        sender=parse_mailbox(sender) if sender else None,
        reply_to=tuple(map(parse_mailbox, reply_to)),
    )


OWN, OTHER, FOREIGN = "ann@proseware.example", "bob@proseware.example", "x@contoso.example"


@pytest.mark.parametrize(
    ("authorship", "reason"),
    [
        (written(OWN), "content-fine"),
        (written(OTHER), "from-not-own"),
        (written(OWN, sender=OWN), "content-fine"),
        (written(OWN, sender=FOREIGN), "sender-field-not-own"),
        (written(OWN, reply_to=(OTHER,)), "content-fine"),
        (written(OWN, reply_to=(FOREIGN,)), "reply-to-not-own"),
        (written(OWN, reply_to=(OWN, FOREIGN)), "reply-to-not-own"),
        (written(OWN, OWN), "from-ambiguous"),
        (written(OWN, OWN, sender=OWN), "content-fine"),
        (Authorship(None), "from-unreadable"),
        (Authorship((parse_mailbox(OWN),), from_fields=2), "from-ambiguous"),
        (Authorship((parse_mailbox(OWN),), sender_readable=False), "from-unreadable"),
        (Authorship((parse_mailbox(OWN),), reply_to_readable=False), "from-unreadable"),
    ],
)
def test_a_recognised_client_writes_as_itself(authorship: Authorship, reason: str) -> None:
    asked = request(signed_in=ANN, authorship=authorship)
    assert decide_content(asked, rules(SIGNED_IN)).reason.value == reason


def test_a_null_reverse_path_does_not_hide_the_author() -> None:
    asked = request(signed_in=ANN, sender="", authorship=written(OTHER))
    assert told(decide_content(asked, rules(SIGNED_IN))) == ("refuse", "from-not-own")


def test_strangers_may_write_what_they_like_to_our_own_domains() -> None:
    asked = request("ann@proseware.example", authorship=Authorship(None, from_fields=0))
    assert told(decide_content(asked, rules(SIGNED_IN))) == ("accept", "content-fine")


def test_own_domains_refuses_another_domain_and_names_those_allowed() -> None:
    identity = Identity(Ownership.OWN_DOMAINS, Ownership.OWN_DOMAINS, Ownership.OWN_DOMAINS)
    asked = request(signed_in=ANN, authorship=written(OTHER, reply_to=(FOREIGN,)))
    decision = decide_content(asked, rules(SIGNED_IN, identity=identity))
    assert (decision.reason.value, decision.allowed) == (
        "reply-to-not-own",
        ("@proseware.example",),
    )


def test_a_network_that_may_write_as_anything() -> None:
    identity = Identity(Ownership.ANYTHING, Ownership.ANYTHING, Ownership.ANYTHING)
    asked = request(address=HOME, sender=FOREIGN, authorship=written(FOREIGN, reply_to=(FOREIGN,)))
    by = rules(network("198.51.100.0/24"), identity=identity)
    assert told(decide_content(asked, by)) == ("accept", "content-fine")


def test_one_open_door_that_allows_everything_is_enough() -> None:
    asked = request(address=HOME, signed_in=ANN, authorship=written(OTHER))
    by = rules(SIGNED_IN, network("198.51.100.0/24"))
    assert told(decide_content(asked, by)) == ("accept", "content-fine")


def test_identity_may_hold_instead_of_refusing() -> None:
    asked = request(signed_in=ANN, authorship=written(OTHER))
    by = rules(SIGNED_IN, identity=Identity(hold=True))
    assert told(decide_content(asked, by)) == ("hold", "from-not-own")


def test_a_message_refused_for_another_reason_is_not_held_first() -> None:
    checks = {"virus": CheckRule("virus", found="refuse")}
    asked = request(
        signed_in=ANN, authorship=written(OTHER), findings=(Finding("virus", found=True),)
    )
    by = rules(SIGNED_IN, identity=Identity(hold=True), checks=checks)
    assert told(decide_content(asked, by)) == ("refuse", "looks-like-spam")


@pytest.mark.parametrize(
    ("rule", "found", "expected"),
    [
        (CheckRule("c", found="hold"), True, ("hold", "looks-like-spam")),
        (CheckRule("c", found="refuse"), True, ("refuse", "looks-like-spam")),
        (CheckRule("c", found="mark"), True, ("accept", "content-fine")),
        (CheckRule("c", found="hold"), False, ("accept", "content-fine")),
        (CheckRule("c", no_answer="defer"), None, ("defer", "screening-silent")),
        (CheckRule("c", no_answer="accept"), None, ("accept", "content-fine")),
        (CheckRule("c", ask="recipient-budget"), True, ("hold", "address-recipient-budget")),
    ],
)
def test_what_a_check_says(rule: CheckRule, found: bool | None, expected: tuple[str, str]) -> None:
    asked = request("ann@proseware.example", findings=(Finding("c", found=found),))
    assert told(decide_content(asked, rules(SIGNED_IN, checks={"c": rule}))) == expected


@pytest.mark.parametrize(
    ("hops", "octets", "expected"),
    [(30, 10, "content-fine"), (31, 10, "mail-loop"), (0, 1001, "message-too-big")],
)
def test_loops_and_sizes(hops: int, octets: int, expected: str) -> None:
    by = rules(SIGNED_IN, limits=Limits(message_octets=1000))
    assert decide_content(request(hops=hops, octets=octets), by).reason.value == expected


def test_a_catch_all_account_writes_as_any_free_address_of_its_domain() -> None:
    office = Account("office@shop.example", frozenset(), frozenset({"shop.example"}))
    asked = request(sender="", signed_in=office, authorship=written("sale@shop.example"))
    assert decide_content(asked, rules(SIGNED_IN)).reason.value == "content-fine"


def test_a_used_up_budget_is_the_accounts_where_there_is_one() -> None:
    checks = {"c": CheckRule("c", ask="recipient-budget")}
    asked = request(signed_in=ANN, findings=(Finding("c", found=True),))
    decision = decide_content(asked, rules(SIGNED_IN, checks=checks))
    assert told(decision) == ("hold", "account-recipient-budget")
