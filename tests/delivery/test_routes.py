"""Where mail for a domain goes next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.routes import (
    Capture,
    Exchangers,
    LocalMailboxes,
    Route,
    RouteError,
    Routes,
    SmartHost,
    parse_via,
)


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
