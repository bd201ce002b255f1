"""Each cross-check finds what it is there for, on its line, and nothing in a sane file."""

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.catalogue import CODES, EXPLANATIONS, explain
from posthouse.config.check import check
from posthouse.config.diagnostic import Diagnostic, Severity, is_fatal
from posthouse.config.load import load

NOW = datetime(2026, 6, 25, 12, tzinfo=UTC)
HEAD = """\
hostname = "mail.example.com"
[domains."example.com"]
[tls]
certificate = "/etc/posthouse/cert.pem"
key = "/etc/posthouse/key.pem"
"""
SIGNED_IN = '[[may_relay]]\nwho = "signed-in"\n'


def findings(text: str) -> list[Diagnostic]:
    loaded = load(text)
    return check(loaded.configuration, loaded.spans, NOW)


def codes(text: str) -> list[str]:
    return [each.code for each in findings(text)]


def network(networks: str, more: str = "") -> str:
    return f'{HEAD}{SIGNED_IN}[[may_relay]]\nwho = "network"\nnetworks = [{networks}]\n{more}\n'


def test_a_sane_file_has_no_findings() -> None:
    assert findings(HEAD) == []
    assert findings(network('"192.0.2.0/24", "2001:db8::/32", "198.51.100.4"')) == []


@pytest.mark.parametrize(
    ("expected", "more"),
    [
        (["C060"], SIGNED_IN + 'listeners = ["submission", "submision"]'),
        (["C061"], SIGNED_IN + 'listeners = ["submission", "pop3"]'),
        ([], ('[listen.mx]\nservice = "smtp"\non = ["192.0.2.1:25"]\n'
              '[listen.s]\nservice = "submission"\non = ["192.0.2.1:587"]\n'
              'proxied_from = ["192.0.2.9"]\nxclient_from = ["192.0.2.9"]')),
        (["C069"], SIGNED_IN + '[[may_relay]]\nwho = "certificate"\n'
                   'certificates = ["printer.example.com"]'),
        ([], 'client_authorities = "c.pem"\n'
             + SIGNED_IN + '[[may_relay]]\nwho = "certificate"\n'
             'certificates = ["printer.example.com"]'),
        (["C068"], ('[listen.s]\nservice = "submission"\non = ["192.0.2.1:587"]\n'
                   'mechanisms = ["PLAIN", "XOAUTH2"]')),
        (["C068"], ('[accounts]\nkeep_plain = true\n[listen.s]\nservice = "submission"\n'
                   'on = ["192.0.2.1:587"]\nmechanisms = ["PLAIN", "APOP"]')),
        (["W122"], ('[listen.s]\nservice = "submission"\non = ["192.0.2.1:587"]\n'
                   'mechanisms = ["PLAIN", "CRAM-MD5"]')),
        ([], ('[accounts.tokens]\nissuer = "https://id.example.com"\nkeys_file = "keys.json"\n'
             '[listen.s]\nservice = "submission"\non = ["192.0.2.1:587"]\n'
             'mechanisms = ["SCRAM-SHA-256", "XOAUTH2"]')),
        (["C064"], '[domains."b.example"]\ndeliver_via = "smtp://mail.example.com"'),
        (["C065"], '[domains."b.example"]\ncatch_all = "x@else.example"'),
        (["C067"], '[authentication]\nforwards_as = "else.example"'),
        (["W101"], SIGNED_IN + SIGNED_IN + "until = 2026-06-24"),
        (["W102"], SIGNED_IN + SIGNED_IN + "until = 2026-06-25"),
        (["W102"], SIGNED_IN + SIGNED_IN + "until = 2026-07-02T11:00:00"),
        ([], SIGNED_IN + SIGNED_IN + "until = 2026-07-03"),
        (["W105", "W101"], SIGNED_IN + "until = 2026-06-24T00:00:00"),
        (["W105"], '[[may_relay]]\nwho = "pop-window"'),
        (["W105"], '[listen.mx]\nservice = "smtp"\non = ["192.0.2.1:25"]'),
        ([], '[listen.mx]\nservice = "smtp"\non = ["192.0.2.1:25"]\ntls = "before-sign-in"\n'
             + SIGNED_IN + 'listeners = ["mx"]'),
        (["W106"], SIGNED_IN + 'sends_as = ["@example.com", "*.sub.example.com", "ann@b.example"]'),
        (["W107"], SIGNED_IN + '[[may_relay]]\nwho = "host-name"\nhosts = ["a.example"]\n'
                   'linger = "1 min"'),
        (["W111"], '[outbound]\ngive_up_after = "3 days"'),
        (["W118"], '[outbound]\ntell_sender_after = "6 days"'),
        (["W112"], '[identity]\nreverse_path = "anything"\nfrom = "anything"'),
        ([], '[identity]\nreverse_path = "anything"'),
        (["W115"], '[listen.s]\nservice = "submission"\non = ["192.0.2.1:587"]\n' + SIGNED_IN
                   + '[[may_relay]]\nwho = "pop-window"'),
        (["W116"], SIGNED_IN + 'name = "x"\n' + SIGNED_IN + 'name = "x"'),
        (["W119"], '[[screening]]\nname = "b"\nask = "recipient-budget"'),
        (["W125"], '[outbound]\ndane = true\n[dns]\nservers = ["192.0.2.53"]'),
        ([], '[outbound]\ndane = true\n[dns]\nservers = ["192.0.2.53", "[::1]:53"]'),
        ([], '[outbound]\ndane = true\n[dns]\nservers = ["192.0.2.53"]\ntrust_ad = true'),
        ([], '[dns]\nservers = ["192.0.2.53"]'),
        (["W120"], '[[outbound.route]]\nto = ["*.b.example", "example.com"]'),
        (["C060"], ('[[test]]\nclient = "192.0.2.1"\nlistener = "x"\nfrom = ""\n'
                   'to = "a@b.example"\nexpect = "refuse"')),
        (["W108"], ('[listen.s]\nservice = "submission"\non = ["192.0.2.1:587"]\n'
                   '[listen.help]\nservice = "help"\non = ["192.0.2.1:443"]')),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_found(expected: list[str], more: str) -> None:
    assert codes(HEAD + more) == expected


def test_passwords_in_clear_are_found_where_others_can_reach_the_listener() -> None:
    def listener(service: str, address: str) -> str:
        submission = '[listen.s]\nservice = "submission"\non = ["192.0.2.1:587"]\n'
        return (
            f'{HEAD}{submission}[listen.x]\nservice = "{service}"\non = ["{address}:2525"]\n'
            'tls = "offered"'
        )

    assert codes(listener("submission", "203.0.113.1")) == ["W113"]
    assert codes(listener("submission", "0.0.0.0")) == ["W113"]
    assert codes(listener("pop3", "203.0.113.1")) == ["W113"]
    assert codes(listener("smtp", "203.0.113.1")) == []  # AUTH is not offered there
    assert codes(listener("submission", "10.20.0.25")) == []


def test_the_top_of_the_file_is_looked_at() -> None:
    tls = HEAD.partition("[tls]")[2]
    assert codes('hostname = "mail"\n[domains."example.com"]\n[tls]' + tls) == ["W121"]
    assert codes('hostname = "mail.example.com"\n[tls]' + tls) == ["W110"]
    assert codes(HEAD.partition("[tls]")[0]) == ["W114"]
    assert codes('postmaster = "me@else.example"\n' + HEAD) == ["C066"]


def test_a_trial_on_loopback_needs_neither_certificate_nor_full_name() -> None:
    trial = 'hostname = "box"\n[domains."box"]\n[listen.s]\nservice = "submission"\n'
    assert codes(trial + 'on = ["127.0.0.1:2587"]') == []
    assert codes(trial + 'on = ["0.0.0.0:2587"]') == ["W114", "W121"]


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ('"198.18.0.0/15"', ["W103"]),
        ('"198.18.0.0/16"', []),
        ('"198.18.0.0-198.19.0.0"', ["W103"]),
        ('"2001:d00::/31"', ["W103"]),
        ('"2001:d00::/32"', []),
        ('"::ffff:198.18.0.0/111"', ["W103"]),
    ],
)
def test_a_wide_network_needs_a_because(networks: str, expected: list[str]) -> None:
    assert codes(network(networks)) == expected
    assert codes(network(networks, 'because = "all customers, ticket 12"')) == []


@pytest.mark.parametrize(
    "networks",
    [
        '"0.0.0.0/1", "128.0.0.0/1"',
        '"::ffff:0.0.0.0/97", "::ffff:128.0.0.0/97"',
        '"0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/3"',
        '"0.0.0.1-255.255.255.255"',
        '"::/1", "8000::/1"',
        '"2000::/3"',
    ],
)
def test_networks_that_cover_everything_together_are_an_error_whatever_is_said(
    networks: str,
) -> None:
    found = findings(network(networks, 'because = "it is easier"'))
    assert [each.code for each in found] == ["C062"]
    assert is_fatal(found)
    assert found[0].line == 10


def test_halves_in_two_doors_are_still_the_whole() -> None:
    halves = network('"0.0.0.0/1"', 'because = "x"') + "[[may_relay]]\nwho = 'network'\n"
    assert "C062" in codes(halves + 'networks = ["128.0.0.0/1"]\nbecause = "y"')


def test_a_private_address_may_be_a_gateway_unless_its_listener_is_private_too() -> None:
    assert codes(network('"172.17.0.1"')) == ["W104"]
    assert "Docker" in findings(network('"172.17.0.1"'))[0].message
    assert codes(network('"10.20.0.0/24"')) == ["W104"]
    assert codes(network('"10.20.0.0/24"', 'because = "routed, no NAT"')) == []
    listeners = (
        '[listen.submission]\nservice = "submission"\non = ["192.0.2.1:587"]\n'
        '[listen.devices]\nservice = "submission"\non = ["10.20.0.25:2525"]'
    )
    assert codes(network('"10.20.0.0/24"', 'listeners = ["devices"]\n' + listeners)) == []
    assert codes(network('"10.20.0.0/24"', listeners)) == ["W104"]


def test_a_limit_that_a_wider_door_lacks_does_not_hold() -> None:
    wide = '[[may_relay]]\nwho = "network"\nnetworks = ["192.0.2.0/24"]\n'
    limited = network('"192.0.2.8/29"', 'sends_to = ["archive.example"]\n')
    found = findings(limited + wide)
    assert [each.code for each in found] == ["W117"]
    assert found[0].line == 11
    assert codes(limited + wide + 'sends_to = ["archive.example"]') == []
    assert codes(limited + wide + "until = 2026-01-01") == ["W101"]
    assert codes(limited + wide.replace("192.0.2.0", "198.51.100.0")) == []


def test_every_code_is_explained_once_and_has_the_right_letter() -> None:
    assert set(CODES.values()) == set(EXPLANATIONS)
    assert explain("w103") == EXPLANATIONS["W103"]
    assert explain("C999") is None
    for found in findings(network('"10.0.0.0/8"', 'listeners = ["no"]')):
        warning = found.code.startswith("W")
        assert found.severity is (Severity.WARNING if warning else Severity.ERROR)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 8)), max_size=12))
def test_half_of_all_addresses_is_counted_right(pairs: list[tuple[int, int]]) -> None:
    """Brute force over the first octets that networks of /1 to /8 cover."""
    networks = {f"{octet & (0xFF << 8 - length) & 0xFF}.0.0.0/{length}" for octet, length in pairs}
    octets = {
        octet
        for each in networks
        for octet in range(256)
        if ip_address(f"{octet}.0.0.0") in ip_network(each)
    }
    text = network(", ".join(f'"{each}"' for each in networks), 'because = "x"')
    assert ("C062" in codes(text if networks else HEAD)) == (len(octets) >= 128)


def test_two_routes_for_the_same_mail_have_no_answer() -> None:
    text = (
        'hostname = "mail.example.com"\n'
        '[[outbound.route]]\nto = ["*.jp"]\nvia = "smtp://x.example.com:25"\n'
        '[[outbound.route]]\nto = ["*.jp"]\nvia = "smtp://y.example.com:25"\n'
        '[[outbound.route]]\nto = ["*.jp"]\nvia = "mx"\nsenders = ["@example.com"]\n'
    )
    loaded = load(text)
    found = check(loaded.configuration, loaded.spans, datetime(2026, 5, 4, tzinfo=UTC))
    assert [(it.code, it.line) for it in found if it.code == "C071"] == [("C071", 6)]
