"""The configuration's words about delivery."""

from datetime import timedelta
from ipaddress import ip_address

import pytest

from posthouse.config.diagnostic import ConfigurationError
from posthouse.config.load import load
from posthouse.delivery.routes import (
    Capture,
    Exchangers,
    LocalMailboxes,
    Pace,
    SignIn,
    SmartHost,
    SmartHosts,
    TlsWish,
)
from posthouse.delivery.settings import manners_of, patience_of, routes_of, site_of, width_of
from posthouse.mail.address import Mailbox, ReversePath, parse_mailbox
from tests.delivery.given import envelope

FILE = """
hostname = "mail.isp.example"

[domains."isp.example"]

[domains."school.example"]
deliver_via = "smtp://mx.school.example:2525"

[outbound]
mx_port = 2526
from_addresses = ["203.0.113.26", "2001:db8::26"]
tls = "required"
give_up_after = "3 days"
tell_sender_after = "1 h"
sessions_per_host = 7

[[outbound.route]]
to = ["*.jp", "bank.example"]
via = "smtps://relay.apac.example"
tls = "verified"
sign_in = { user = "isp", password_file = "/run/secrets/apac" }

[[outbound.route]]
to = ["dev.example"]
via = "capture"
"""
CONFIGURATION = load(FILE, "posthouse.toml").configuration


def test_routes_are_as_written() -> None:
    routes = routes_of(CONFIGURATION, lambda path: f"secret of {path}")
    assert routes.find("isp.example").via == LocalMailboxes()
    assert routes.find("school.example").via == SmartHost("mx.school.example", 2525)
    assert routes.find("dev.example").via == Capture()
    assert routes.find("example.org").via == Exchangers(2526)
    assert routes.find("example.org").tls is TlsWish.REQUIRED
    for domain in ("x.jp", "bank.example"):
        route = routes.find(domain)
        assert route.via == SmartHost("relay.apac.example", 465, tls_from_start=True)
        assert route.tls is TlsWish.VERIFIED
        assert route.sign_in == SignIn(user="isp", password="secret of /run/secrets/apac")


def test_a_route_never_takes_mail_away_from_our_own_mailboxes() -> None:
    text = FILE.replace('"dev.example"', '"isp.example"')
    routes = routes_of(load(text, "x").configuration, lambda _: "")
    assert routes.find("isp.example").via == LocalMailboxes()


def test_times_widths_and_names_are_as_written() -> None:
    patience = patience_of(CONFIGURATION)
    assert patience.give_up_after == timedelta(days=3)
    assert patience.tell_sender_after == timedelta(hours=1)
    assert width_of(CONFIGURATION).each_hop == 7
    manners = manners_of(CONFIGURATION)
    assert manners.hello == "mail.isp.example"
    assert manners.source_for(ip_address("192.0.2.1")) == ip_address("203.0.113.26")
    assert manners.source_for(ip_address("2001:db8::1")) == ip_address("2001:db8::26")


def test_the_postmaster_gets_lost_reports_only_where_the_mailbox_is_ours() -> None:
    assert site_of(CONFIGURATION).postmaster == Mailbox("postmaster", "isp.example")
    for elsewhere in ("x@example.org", "x@school.example"):
        text = f'postmaster = "{elsewhere}"\n' + FILE
        site = site_of(load(text, "x").configuration)
        assert site.postmaster is None
        assert site.author == Mailbox("postmaster", "mail.isp.example")


ROUTES_OF_MANY_KINDS = """
hostname = "mail.isp.example"
[domains."isp.example"]
[outbound]
via = ["smtp://a.example:587", "smtp://b.example:587"]
weights = [3, 1]
hello = "out.isp.example"
sessions = 50
messages_per_session = 7
rate = "600 per hour"
address_literals = true

[[outbound.route]]
senders = ["shop.example", "*.shop.example"]
via = "smtp://shop-relay.example:587"
hello = "shop.isp.example"
from_addresses = ["203.0.113.27"]
sessions_per_host = 3
messages_per_session = 2
rate = "1 per min"

[[outbound.route]]
accounts = ["Ann@isp.example"]
via = "lmtp:///run/store"

[[outbound.route]]
listeners = ["mx"]
to = ["*.jp"]
via = "lmtp://store.example"
"""


def test_routes_by_sender_account_and_listener_are_as_written() -> None:
    configuration = load(ROUTES_OF_MANY_KINDS, "x").configuration
    routes = routes_of(configuration, lambda _: "")
    hosts = (SmartHost("a.example", 587), SmartHost("b.example", 587))
    assert routes.find("x.example", envelope()).via == SmartHosts(hosts, (3, 1))
    shop = envelope(reverse_path=ReversePath(parse_mailbox("a@eu.shop.example")))
    route = routes.find("x.example", shop)
    assert route.via == SmartHost("shop-relay.example", 587)
    assert (route.hello, route.sources) == ("shop.isp.example", (ip_address("203.0.113.27"),))
    assert route.pace == Pace(sessions=3, messages=2, seconds_each=60)
    by_account = routes.find("x.example", envelope(account="ann@isp.example")).via
    assert by_account == SmartHost("/run/store", 0, lmtp=True)
    by_listener = routes.find("a.jp", envelope(listener="mx")).via
    assert by_listener == SmartHost("store.example", 24, lmtp=True)
    assert routes.find("isp.example", envelope(account="ann@isp.example")).via == LocalMailboxes()
    width, manners = width_of(configuration), manners_of(configuration)
    assert (width.sessions, width.seconds_each) == (50, 6)
    assert (manners.hello, manners.messages) == ("out.isp.example", 7)


@pytest.mark.parametrize(
    "wrong",
    [
        'via = ["mx", "smtp://a.example"]',
        'via = ["smtp://a.example", "smtp://b.example"]\nweights = [1]',
        "via = []",
        'via = "lmtp://"',
        'sign_in = { user = "x", password_file = "y" }',
    ],
)
def test_ways_that_mean_nothing_are_refused(wrong: str) -> None:
    text = f'hostname = "mail.isp.example"\n[[outbound.route]]\nto = ["*.jp"]\n{wrong}\n'
    with pytest.raises(ConfigurationError):
        load(text, "x")
