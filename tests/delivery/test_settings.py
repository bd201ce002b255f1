"""The configuration's words about delivery."""

from datetime import timedelta
from ipaddress import ip_address

from posthouse.config.load import load
from posthouse.delivery.routes import (
    Capture,
    Exchangers,
    LocalMailboxes,
    SignIn,
    SmartHost,
    TlsWish,
)
from posthouse.delivery.settings import manners_of, patience_of, routes_of, site_of, width_of
from posthouse.mail.address import Mailbox

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
