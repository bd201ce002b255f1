"""Where mail for a domain goes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.routes import (
    Capture,
    Condition,
    Conditional,
    Exchangers,
    LocalMailboxes,
    Route,
    RouteError,
    Routes,
    SignIn,
    SmartHost,
    SmartHosts,
    parse_via,
    parse_ways,
)
from posthouse.mail.address import NULL, ReversePath, parse_mailbox
from posthouse.mail.envelope import Envelope
from tests.delivery.given import envelope


def to(host: str) -> Route:
    return Route(SmartHost(host, 25))


ENTRIES = {
    "bank.example": to("exact"),
    "*.example": to("short"),
    "*.mail.example": to("long"),
    "school.example": to("gateway"),
}
ROUTES = Routes(local_domains={"ours.example", "school.example"}, entries=ENTRIES)


@pytest.mark.parametrize(
    ("domain", "route"),
    [
        ("bank.example", to("exact")),
        ("a.bank.example", to("short")),
        ("other.example", to("short")),
        ("a.mail.example", to("long")),
        ("x.y.mail.example", to("long")),
        ("mail.example", to("short")),
        ("example", Route(Exchangers())),
        ("example.org", Route(Exchangers())),
        ("notexample", Route(Exchangers())),
        ("ours.example", Route(LocalMailboxes())),
        ("a.ours.example", to("short")),
        ("school.example", to("gateway")),
        ("[192.0.2.1]", Route(Exchangers())),
    ],
)
def test_the_most_specific_route_wins(domain: str, route: Route) -> None:
    assert ROUTES.find(domain) == route


@given(st.permutations(list(ENTRIES)), st.sampled_from(["a.mail.example", "bank.example", "x.org"]))
def test_the_order_of_routes_never_matters(order: list[str], domain: str) -> None:
    entries = {pattern: ENTRIES[pattern] for pattern in order}
    routes = Routes(local_domains={"ours.example", "school.example"}, entries=entries)
    assert routes.find(domain) == ROUTES.find(domain)


def test_a_star_takes_all_that_is_not_ours() -> None:
    routes = Routes(local_domains={"ours.example"}, entries={"*": Route(Capture())})
    assert routes.find("x.example") == Route(Capture())
    assert routes.find("ours.example") == Route(LocalMailboxes())


def test_international_domains_are_found_by_their_a_labels() -> None:
    routes = Routes(local_domains=(), entries={"*.bücher.example": to("x")})
    assert routes.find("a.xn--bcher-kva.example") == to("x")


@pytest.mark.parametrize("pattern", ["*x.example", "a b", "", "*."])
def test_a_pattern_that_is_none_is_told(pattern: str) -> None:
    with pytest.raises(RouteError, match="is no domain"):
        Routes(local_domains=(), entries={pattern: to("x")})


@pytest.mark.parametrize(
    ("text", "via"),
    [
        ("lmtp://store.example:2424", SmartHost("store.example", 2424, lmtp=True)),
        ("lmtp://store.example", SmartHost("store.example", 24, lmtp=True)),
        ("lmtp:///run/dovecot/lmtp", SmartHost("/run/dovecot/lmtp", 0, lmtp=True)),
        ("mx", Exchangers(2525)),
        ("capture", Capture()),
        ("smtp://relay.example", SmartHost("relay.example", 25)),
        ("smtp://Relay.example:587", SmartHost("relay.example", 587)),
        ("smtps://relay.example", SmartHost("relay.example", 465, tls_from_start=True)),
        ("smtp://192.0.2.1:26/", SmartHost("192.0.2.1", 26)),
        ("smtp://[2001:db8::1]:26", SmartHost("2001:db8::1", 26)),
    ],
)
def test_ways_are_read(text: str, via: object) -> None:
    assert parse_via(text, mx_port=2525) == via


@pytest.mark.parametrize(
    "text", ["", "MX", "relay.example", "http://x", "smtp://", "smtp://u@h", "smtp://h:0",
             "smtp://h:99999", "smtp://h/path"]
)  # fmt: skip
def test_what_is_no_way_is_told(text: str) -> None:
    with pytest.raises(RouteError):
        parse_via(text)


def test_hops_are_counted_by_smart_host_or_domain() -> None:
    assert to("relay").hop("a.example") == to("relay").hop("b.example") == "relay:25"
    assert Route(Exchangers()).hop("a.example") == "a.example"
    assert Route(LocalMailboxes()).hop("a.example") == "local"
    assert Route(Capture()).hop("a.example") == "capture"


def mail(sender: str = "ann@ours.example", account: str = "", listener: str = "mx") -> Envelope:
    path = ReversePath(parse_mailbox(sender)) if sender else NULL
    return envelope(reverse_path=path, account=account, listener=listener)


BY_ACCOUNT = Condition(accounts=frozenset({"ann@ours.example"}))
BY_SENDER = Condition(senders=frozenset({"shop.example", "*.shop.example"}))
BY_LISTENER = Condition(listeners=frozenset({"devices"}))
CONDITIONAL = [
    Conditional("*", BY_LISTENER, to("listener")),
    Conditional("*", BY_SENDER, to("sender")),
    Conditional("*", BY_ACCOUNT, to("account")),
    Conditional("bank.example", BY_SENDER, to("bank-and-sender")),
]


@pytest.mark.parametrize(
    ("domain", "envelope", "host"),
    [
        ("x.example", mail(), "default"),
        ("x.example", mail("a@shop.example"), "sender"),
        ("x.example", mail("a@eu.shop.example", listener="devices"), "sender"),
        ("x.example", mail("a@notshop.example", listener="devices"), "listener"),
        ("x.example", mail("a@shop.example", "ann@ours.example", "devices"), "account"),
        ("x.example", mail("", "", "devices"), "listener"),
        ("x.example", mail(""), "default"),
        ("bank.example", mail("a@shop.example", "ann@ours.example"), "bank-and-sender"),
        ("bank.example", mail(account="ann@ours.example"), "exact"),
        ("ours.example", mail("a@shop.example", "ann@ours.example", "devices"), "local"),
    ],
)
def test_a_route_may_hold_for_some_senders_accounts_or_listeners_only(
    domain: str, envelope: Envelope, host: str
) -> None:
    for order in (CONDITIONAL, CONDITIONAL[::-1]):
        routes = Routes(
            local_domains={"ours.example"},
            entries={"bank.example": to("exact")},
            conditional=order,
            default=to("default"),
        )
        expected = Route(LocalMailboxes()) if host == "local" else to(host)
        assert routes.find(domain, envelope) == expected


def test_several_hosts_are_one_way() -> None:
    two = parse_ways(["smtp://a.example:587", "smtp://b.example"], [3, 1])
    assert two == SmartHosts((SmartHost("a.example", 587), SmartHost("b.example", 25)), (3, 1))
    assert Route(two).hop("x") == "a.example:587 b.example:25"
    assert parse_ways(["mx"], []) == Exchangers()
    for ways, weights in ((["mx", "smtp://a"], []), (["smtp://a", "smtp://b"], [1])):
        with pytest.raises(RouteError):
            parse_ways(ways, weights)


def test_what_is_moved_takes_the_sign_in_of_a_route_that_goes_there() -> None:
    signed_in = Route(SmartHost("relay.example", 587), sign_in=SignIn(user="u", password="p"))
    routes = Routes(local_domains=(), entries={"x.example": signed_in})
    assert routes.chosen("smtp://relay.example:587", "y.example", mail()) == signed_in
    assert routes.chosen("smtp://other.example", "y.example", mail()) == to("other.example")
    assert routes.chosen("mx", "x.example", mail()) == Route(Exchangers())
