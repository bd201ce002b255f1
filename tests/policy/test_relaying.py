"""Who may relay: each sentence of "Settled" in the design has its test here."""

from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace

from posthouse.mail.address import Mailbox
from posthouse.policy.decision import Stage
from posthouse.policy.facts import Account, Load, SignIn, Usage
from posthouse.policy.limits import decide_connection
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import (
    Budget,
    CheckRule,
    Identity,
    Limits,
    LocalDomain,
    Ownership,
    Passwords,
)
from tests.policy.world import (
    ANN,
    BOB,
    HOME,
    NOON,
    POP_WINDOW,
    SIGNED_IN,
    addresses,
    host_name,
    mail,
    network,
    recipient,
    request,
    rules,
)

HOUR = timedelta(hours=1)
FIVE = Budget(5, HOUR)

# The six situations of people away from home.
ISP = rules(SIGNED_IN, network("198.51.100.0/24"))


@pytest.mark.parametrize(
    ("where", "to", "expected"),
    [
        (HOME, "terri@proseware.example", ("accept", "local-recipient")),
        (HOME, "bob@adatum.example", ("accept", "network-may-relay")),
        ("192.0.2.20", "terri@proseware.example", ("accept", "local-recipient")),
        ("192.0.2.20", "bob@adatum.example", ("refuse", "not-recognised")),
        ("203.0.113.9", "terri@proseware.example", ("accept", "local-recipient")),
        ("203.0.113.9", "bob@adatum.example", ("refuse", "not-recognised")),
    ],
)
def test_home_work_and_hotel(where: str, to: str, expected: tuple[str, str]) -> None:
    assert recipient(request(to, address=where), ISP) == expected


def test_anyone_may_bring_mail_for_us_even_with_one_of_our_domains_as_reverse_path() -> None:
    asked = request("terri@proseware.example", sender="ann@proseware.example")
    assert mail(asked, ISP) == ("accept", "welcome")
    assert recipient(asked, ISP) == ("accept", "local-recipient")


def test_on_submission_a_client_comes_through_a_door_also_for_local_recipients() -> None:
    asked = request("terri@proseware.example", listener="submission")
    assert mail(asked, ISP) == ("refuse", "sign-in-first")
    assert recipient(asked, ISP) == ("refuse", "sign-in-first")
    signed_in = request("terri@proseware.example", listener="submission", signed_in=ANN)
    assert mail(signed_in, ISP) == ("accept", "signed-in")
    assert recipient(signed_in, ISP) == ("accept", "local-recipient")


def test_a_door_with_listeners_is_valid_there_only() -> None:
    by = rules(network("198.51.100.0/24", listeners=frozenset({"submission"})))
    assert recipient(request(address=HOME), by) == ("refuse", "not-recognised")
    assert recipient(request(address=HOME, listener="submission"), by)[0] == "accept"


def test_a_pop_window_counts_for_its_account_only() -> None:
    by = rules(POP_WINDOW)
    assert recipient(request(fetched=(ANN, 3)), by) == ("accept", "pop-window-open")
    assert recipient(request(fetched=(BOB, 3)), by) == ("refuse", "pop-window-other-sender")
    assert recipient(request(fetched=(ANN, 3), sender=""), by)[0] == "refuse"


def test_a_pop_window_stays_bound_to_the_account_when_the_site_allows_any_sender() -> None:
    by = rules(POP_WINDOW, identity=Identity(reverse_path=Ownership.ANYTHING))
    assert recipient(request(fetched=(BOB, 3)), by) == ("refuse", "pop-window-other-sender")


def test_who_signed_in_does_not_also_get_the_windows_of_others() -> None:
    by = rules(SIGNED_IN, POP_WINDOW)
    asked = request(sender="ann@proseware.example", signed_in=BOB, fetched=(ANN, 3))
    assert mail(asked, by) == ("refuse", "sender-not-own")
    both = request(sender="ann@proseware.example", signed_in=ANN, fetched=(ANN, 3))
    assert mail(both, by) == ("accept", "signed-in")


def test_an_ended_window_is_told_apart_from_a_stranger_and_says_how_long_ago() -> None:
    decision = decide_recipient(request(fetched=(ANN, 31)), rules(POP_WINDOW))
    assert (decision.reason.value, decision.minutes_ago) == ("pop-window-ended", 31)
    assert recipient(request(), rules(POP_WINDOW)) == ("refuse", "not-recognised")


@pytest.mark.parametrize(("minutes", "verdict"), [(0, "accept"), (30, "accept"), (31, "refuse")])
def test_a_window_is_open_to_its_last_minute(minutes: int, verdict: str) -> None:
    assert recipient(request(fetched=(ANN, minutes)), rules(POP_WINDOW))[0] == verdict


def test_a_window_from_the_future_opens_nothing() -> None:
    assert recipient(request(fetched=(ANN, -5)), rules(POP_WINDOW))[0] == "refuse"


def test_unreadable_windows_close_the_door_with_451_and_the_case_says_so() -> None:
    decision = decide_recipient(
        request(unreadable=frozenset({"pop-window"})), rules(SIGNED_IN, POP_WINDOW)
    )
    assert (decision.verdict.value, decision.reason.value) == ("defer", "recognition-unreadable")
    assert any("cannot be read" in step.because for step in decision.trace)


def test_an_unreadable_name_defers_only_those_it_might_have_let_in() -> None:
    lost = frozenset({"shop.dyn.example"})
    assert recipient(request(unreadable=lost), rules(host_name()))[0] == "defer"
    assert recipient(request(unreadable=lost), rules(SIGNED_IN))[0] == "refuse"
    signed_in = request(unreadable=lost, signed_in=ANN)
    assert recipient(signed_in, rules(SIGNED_IN, host_name()))[0] == "accept"


def test_a_dynamic_host_name_lingers_and_then_closes() -> None:
    by = rules(host_name())
    assert recipient(request(name=("shop.dyn.example", 59)), by)[0] == "accept"
    assert recipient(request(name=("shop.dyn.example", 61)), by)[0] == "refuse"
    assert recipient(request(name=("other.dyn.example", 1)), by)[0] == "refuse"


def test_ranges_single_addresses_and_ipv6_are_networks_too() -> None:
    by = rules(network("192.0.2.40-192.0.2.60", "192.0.2.99", "2001:db8:100::/40"))
    inside = ["192.0.2.40", "192.0.2.60", "192.0.2.99", "2001:db8:1ff::1"]
    outside = ["192.0.2.39", "192.0.2.61", "192.0.2.98", "2001:db8:200::1"]
    assert [recipient(request(address=it), by)[0] for it in inside] == ["accept"] * 4
    assert [recipient(request(address=it), by)[0] for it in outside] == ["refuse"] * 4


def test_an_entry_closes_itself_at_the_end_of_its_last_day() -> None:
    by = rules(network("198.51.100.0/24", until=date(2026, 5, 4)))
    late = datetime(2026, 5, 4, 23, 59, tzinfo=UTC)
    assert recipient(request(address=HOME, at=late), by)[0] == "accept"
    after = request(address=HOME, at=late + timedelta(minutes=1))
    assert recipient(after, by) == ("refuse", "door-ended")


def test_doors_may_limit_recipients() -> None:
    by = rules(network("198.51.100.0/24", sends_to=addresses("@archive.example")))
    assert recipient(request("x@archive.example", address=HOME), by)[0] == "accept"
    decision = decide_recipient(request("x@adatum.example", address=HOME), by)
    assert decision.reason.value == "recipient-not-in-door"
    assert decision.allowed == ("@archive.example",)


def test_any_open_door_is_enough_and_order_cannot_matter() -> None:
    narrow = network("198.51.100.7", name="printer", sends_as=addresses("p@proseware.example"))
    wide = network("198.51.100.0/24")
    for by in (rules(narrow, wide), rules(wide, narrow)):
        assert mail(request(address=HOME), by) == ("accept", "network-may-relay")


def test_a_door_may_take_submission_passwords_only() -> None:
    by = rules(replace(SIGNED_IN, passwords=Passwords.SUBMISSION))
    asked = request(signed_in=ANN)
    assert recipient(asked, by)[0] == "refuse"
    client = replace(asked.client, signed_in=SignIn(ANN, submission_password=True))
    assert recipient(replace(asked, client=client), by)[0] == "accept"


# ------------------------------------------------------------- identity at MAIL


def test_identity_holds_for_every_recognised_client_wherever_it_is() -> None:
    asked = request("terri@proseware.example", sender="x@contoso.example", address=HOME)
    assert mail(asked, ISP) == ("refuse", "sender-not-own")
    stranger = request("terri@proseware.example", sender="x@contoso.example")
    assert mail(stranger, ISP) == ("accept", "welcome")


def test_the_refusal_names_the_addresses_that_may_be_used() -> None:
    decision = decide_mail(request(sender="x@contoso.example", signed_in=ANN), ISP)
    assert decision.allowed == ("ann@proseware.example", "sales@proseware.example")


@pytest.mark.parametrize(
    ("sender", "rule", "expected"),
    [
        ("Ann@proseware.example", Ownership.OWN_ADDRESSES, "accept"),
        ("ann+shop@proseware.example", Ownership.OWN_ADDRESSES, "accept"),
        ("sales@proseware.example", Ownership.OWN_ADDRESSES, "accept"),
        ("bob@proseware.example", Ownership.OWN_ADDRESSES, "refuse"),
        ("bob@proseware.example", Ownership.OWN_DOMAINS, "accept"),
        ("terri@contoso.example", Ownership.OWN_DOMAINS, "refuse"),
        ("terri@contoso.example", Ownership.ANYTHING, "accept"),
        ("", Ownership.OWN_ADDRESSES, "accept"),
    ],
)
def test_what_an_account_may_use(sender: str, rule: Ownership, expected: str) -> None:
    by = rules(SIGNED_IN, identity=Identity(reverse_path=rule))
    assert mail(request(sender=sender, signed_in=ANN), by)[0] == expected


def test_plus_tags_may_be_switched_off() -> None:
    by = rules(SIGNED_IN, identity=Identity(plus_tags=False))
    assert mail(request(sender="ann+x@proseware.example", signed_in=ANN), by)[0] == "refuse"


def test_a_catch_all_owns_what_nobody_else_has() -> None:
    office = Account("office@shop.example", frozenset(), frozenset({"shop.example"}))
    by = rules(SIGNED_IN)
    assert mail(request(sender="any@shop.example", signed_in=office), by)[0] == "accept"
    taken = frozenset({Mailbox("bob", "shop.example")})
    asked = request(sender="bob@shop.example", signed_in=office, taken=taken)
    assert mail(asked, by)[0] == "refuse"


@pytest.mark.parametrize(
    ("sends_as", "sender", "expected"),
    [
        (None, "anybody@proseware.example", "accept"),
        (None, "x@contoso.example", "refuse"),
        (addresses("scan@proseware.example"), "scan@proseware.example", "accept"),
        (addresses("scan@proseware.example"), "ann@proseware.example", "refuse"),
        (addresses("@shop.example"), "x@shop.example", "accept"),
        (addresses("*"), "x@contoso.example", "accept"),
    ],
)
def test_what_a_network_may_use(sends_as: None, sender: str, expected: str) -> None:
    by = rules(network("198.51.100.0/24", sends_as=sends_as))
    assert mail(request(sender=sender, address=HOME), by)[0] == expected


# ------------------------------------------------------------- recipients of ours, limits


def test_an_unknown_mailbox_is_never_told_as_a_relay_refusal() -> None:
    asked = request("nobody@proseware.example", recipient_exists=False)
    assert recipient(asked, ISP) == ("refuse", "recipient-unknown")
    unreadable = request("x@proseware.example", recipient_unreadable=True)
    assert recipient(unreadable, ISP) == ("defer", "recipient-unreadable")


def test_postmaster_of_this_host_is_local() -> None:
    assert recipient(request("postmaster@mail.proseware.example"), ISP)[0] == "accept"
    assert recipient(request("ann@mail.proseware.example"), ISP)[0] == "refuse"


@pytest.mark.parametrize("local_part", ["a%b", "a!b", '"a@b"'])
def test_a_route_inside_an_address_is_not_passed_on(local_part: str) -> None:
    domains = {"school.example": LocalDomain("school.example", relayed=True)}
    by = rules(SIGNED_IN, local_domains=domains)
    asked = request(f"{local_part}@school.example")
    assert recipient(asked, by) == ("refuse", "routed-recipient")


def test_a_subdomain_or_a_longer_name_is_not_ours() -> None:
    for domain in ("sub.proseware.example", "notproseware.example", "proseware.example.net"):
        assert recipient(request(f"x@{domain}"), ISP) == ("refuse", "not-recognised")


def test_recipients_over_the_limit_may_come_in_a_further_message() -> None:
    by = rules(SIGNED_IN, limits=Limits(recipients_per_message=1))
    asked = request(signed_in=ANN, recipients=(Mailbox("a", "b.example"),))
    assert recipient(asked, by) == ("defer", "too-many-recipients")


@pytest.mark.parametrize(
    ("limits", "usage", "who", "expected"),
    [
        (Limits(account_recipients=FIVE), Usage(5), ANN, "account-recipient-budget"),
        (Limits(account_recipients=FIVE), Usage(4), ANN, "signed-in"),
        (Limits(account_new_recipients=FIVE), Usage(9, 5), ANN, "account-new-recipient-budget"),
        (Limits(address_recipients=FIVE), Usage(0, 0, 5), None, "address-recipient-budget"),
        (Limits(address_recipients=FIVE), Usage(0, 0, 5), ANN, "signed-in"),
    ],
)
def test_budgets(limits: Limits, usage: Usage, who: Account | None, expected: str) -> None:
    by = rules(SIGNED_IN, network("198.51.100.0/24"), limits=limits)
    address = "203.0.113.9" if who else HOME
    assert recipient(request(signed_in=who, usage=usage, address=address), by)[1] == expected


def test_a_screening_check_may_take_over_what_a_used_up_budget_means() -> None:
    checks = {"budget": CheckRule("budget", ask="recipient-budget", found="hold")}
    limits = Limits(account_recipients=FIVE)
    by = rules(SIGNED_IN, limits=limits, checks=checks)
    assert recipient(request(signed_in=ANN, usage=Usage(9)), by) == ("accept", "signed-in")


def test_a_declared_size_over_the_limit_is_refused_at_mail() -> None:
    by = rules(SIGNED_IN, limits=Limits(message_octets=1000))
    assert mail(request(octets=1001), by) == ("refuse", "message-too-big")


def test_who_connects_too_often_waits() -> None:
    by = rules(limits=Limits(address_connections=FIVE))
    often = decide_connection(request(load=Load(connections_from_address=5)), by)
    assert (often.verdict.value, often.reason.value) == ("defer", "address-connection-budget")
    assert decide_connection(request(load=Load(connections_from_address=4)), by).accepted
    without = decide_connection(request(load=Load(connections_from_address=10**6)), ISP)
    assert without.accepted


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (Load(0, 0), "welcome"),
        (Load(5000, 0), "too-many-sessions"),
        (Load(1, 20), "too-many-sessions-from-address"),
        (Load(0, 0, shutting_down=True), "shutting-down"),
    ],
)
def test_connections(load: Load, reason: str) -> None:
    decision = decide_connection(request(load=load), ISP)
    assert (decision.stage, decision.reason.value) == (Stage.CONNECTION, reason)


def test_the_trace_names_the_lines_that_decided() -> None:
    decision = decide_recipient(request(address=HOME, at=NOON), ISP)
    assert [(step.question, step.answer, step.where) for step in decision.trace] == [
        ("recipient is local", False, ""),
        ("client signed in", False, "posthouse.toml:10"),
        ("mail was fetched from this address lately", False, ""),
        ("network may relay", True, "posthouse.toml:17"),
        ("reverse-path is the client's own", True, ""),
    ]
