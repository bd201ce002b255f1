"""The rules say what the file says, with the line it stands in."""

from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address

from posthouse.config.compile import address_set, compile_rules
from posthouse.config.load import load
from posthouse.mail.address import parse_mailbox
from posthouse.policy.rules import (
    AddressSet,
    Budget,
    Door,
    DoorKind,
    Identity,
    Limits,
    Ownership,
    Passwords,
    Rules,
    Service,
)

FULL = """\
hostname = "Mail.Example.com"
[domains."example.com"]
catch_all = "office@example.com"
[domains."Bücher.example"]
deliver_via = "smtp://mx.example.net"
[listen.mx]
service = "smtp"
on = ["192.0.2.1:25", "[2001:db8::1]:25"]
[listen.submissions]
service = "submission"
on = ["192.0.2.1:465"]
tls = "from-start"
[listen.pop3]
service = "pop3"
on = ["192.0.2.1:110"]
[[may_relay]]
who = "signed-in"
passwords = "submission"
[[may_relay]]
who = "pop-window"
window = "15 min"
[[may_relay]]
who = "network"
name = "office"
networks = ["192.0.2.0/24", "2001:db8::1-2001:db8::4", "::ffff:198.51.100.7"]
listeners = ["submissions"]
sends_as = ["Scanner@Example.com", "*.example.com"]
sends_to = ["@b.example", "c.example", "*"]
until = 2020-01-31
because = "ticket 7"
[[may_relay]]
who = "host-name"
hosts = ["Shop.Dyn.Example"]
linger = "2 h"
until = 2026-01-01T00:00:00
[identity]
from = "own-domains"
otherwise = "hold"
[limits]
message_size = "1 MB"
each_account.recipients = "500 per hour"
[[screening]]
name = "budget"
ask = "recipient-budget"
found = "refuse"
"""


def rules_of(text: str, *grants: Door) -> Rules:
    loaded = load(text)
    return compile_rules(loaded.configuration, loaded.spans, grants)


def test_ten_lines_give_a_closed_server() -> None:
    rules = rules_of('hostname = "mail.example.com"\n[domains."example.com"]\n')
    assert [door.kind for door in rules.doors] == [DoorKind.SIGNED_IN]
    assert rules.networks.count == 0
    assert rules.identity == Identity()
    assert rules.limits == Limits()
    assert list(rules.listeners) == ["mx", "submission", "submissions"]
    assert rules.listeners["submission"].tls_before_sign_in
    assert rules.listeners["submissions"].tls_from_start
    assert rules.listeners["mx"].service is Service.SMTP
    assert [check.found for check in rules.checks.values()] == ["hold"]


def test_listeners_and_domains_carry_their_lines() -> None:
    rules = rules_of(FULL)
    assert rules.hostname == "mail.example.com"
    assert set(rules.listeners) == {"mx", "submissions"}
    assert rules.listeners["mx"].ports == (25,)
    assert rules.listeners["submissions"].where == "posthouse.toml:9"
    books = rules.local_domains["xn--bcher-kva.example"]
    assert (books.where, books.relayed, books.catch_all) == ("posthouse.toml:4", True, False)
    assert rules.local_domains["example.com"].catch_all


def test_doors_carry_everything_that_was_written() -> None:
    signed_in, window, office, shop = rules_of(FULL).doors
    assert signed_in.passwords is Passwords.SUBMISSION
    assert signed_in.name == "signed-in"
    assert window.window == timedelta(minutes=15)
    assert office == Door(
        kind=DoorKind.NETWORK,
        name="office",
        where="posthouse.toml:22",
        listeners=frozenset({"submissions"}),
        sends_as=AddressSet(
            mailboxes=frozenset({parse_mailbox("scanner@example.com")}),
            parents=frozenset({"example.com"}),
        ),
        sends_to=AddressSet(domains=frozenset({"b.example", "c.example"}), everything=True),
        until=date(2020, 1, 31),
        because="ticket 7",
        networks=("192.0.2.0/24", "2001:db8::1-2001:db8::4", "::ffff:198.51.100.7"),
    )
    assert shop.hosts == {"shop.dyn.example"}
    assert shop.linger == timedelta(hours=2)
    assert shop.until == datetime(2026, 1, 1, tzinfo=UTC)


def test_networks_lead_to_their_door_even_after_its_end() -> None:
    networks = rules_of(FULL).networks
    assert networks.find(ip_address("192.0.2.200")) == (2,)
    assert networks.find(ip_address("2001:db8::3")) == (2,)
    assert networks.find(ip_address("198.51.100.7")) == (2,)
    assert networks.find(ip_address("198.51.100.8")) == ()


def test_grants_are_further_doors() -> None:
    grant = Door(
        kind=DoorKind.NETWORK,
        name="hotel",
        where="grant 7",
        networks=("203.0.113.80-203.0.113.81",),
    )
    rules = rules_of(FULL, grant)
    assert rules.doors[4] == grant
    assert rules.networks.find(ip_address("203.0.113.81")) == (4,)


def test_identity_limits_and_checks_are_taken_over() -> None:
    rules = rules_of(FULL)
    assert rules.identity == Identity(
        from_=Ownership.OWN_DOMAINS, hold=True, where="posthouse.toml:36"
    )
    assert rules.limits.message_octets == 1_000_000
    assert rules.limits.account_recipients == Budget(500, timedelta(hours=1))
    assert rules.checks["budget"].found == "refuse"
    assert rules.checks["budget"].where == "posthouse.toml:42"
    assert rules.holds_over_budget


def test_an_address_set_holds_what_its_patterns_mean() -> None:
    some = address_set(["ann@example.com", "b.example", "@c.example", "*.d.example"])
    held = ["Ann@example.com", "x@b.example", "x@c.example", "x@a.d.example"]
    assert all(some.holds(parse_mailbox(each)) for each in held)
    not_held = ["bob@example.com", "x@d.example", "x@a.b.example"]
    assert not any(some.holds(parse_mailbox(each)) for each in not_held)


def test_a_hundred_thousand_networks_are_compiled() -> None:
    networks = ",\n".join(
        f'"10.{n >> 8 & 255}.{n & 255}.{n >> 16 << 4}/28"' for n in range(100_000)
    )
    text = f'hostname = "m.example"\n[[may_relay]]\nwho = "network"\nnetworks = [\n{networks}]\n'
    loaded = load(text)
    rules = compile_rules(loaded.configuration, loaded.spans)
    assert rules.networks.count == 100_000
    assert rules.networks.find(ip_address("10.1.2.15")) == (0,)
