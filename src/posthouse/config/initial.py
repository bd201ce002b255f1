"""The first configuration of a new server: commented, short, and right by construction."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, ip_address
from typing import Final

from posthouse.mail.address import parse_domain
from posthouse.policy.networks import Network, parse_networks

# What a listener of a known name serves, and when it encrypts.
_KINDS: Final = {
    "mx": ("smtp", "offered", "other servers bring mail"),
    "submission": ("submission", "before-sign-in", "people hand in mail, TLS by STARTTLS"),
    "submissions": ("submission", "from-start", "the same, TLS from the first octet"),
    "pop3": ("pop3", "before-sign-in", "people fetch mail, TLS by STLS"),
    "pop3s": ("pop3", "from-start", "the same, TLS from the first octet"),
}
_DOORS: Final = """\
# Mail for our own domains is always welcome. Mail for any other domain needs one of these doors;
# any open one is enough, and order never matters. There is no door for everybody.

[[may_relay]]
who = "signed-in"
"""
_POP_WINDOW: Final = """\
[[may_relay]]                       # fetched mail by POP3 from the same address a moment ago
who    = "pop-window"
window = "15 min"
"""
_IDENTITY: Final = """\
[identity]
reverse_path = "own-addresses"      # own-addresses | own-domains | anything
from         = "own-addresses"
reply_to     = "own-domains"
"""
_ELSEWHERE: Final = ("192.0.2.25", "198.51.100.25", "203.0.113.25")  # RFC 5737
_AT_HOME: Final = "192.0.2.7"
_OTHER_DOMAIN: Final = "adatum.example"


def initial_text(
    *,
    hostname: str,
    domains: Iterable[str],
    listen: Mapping[str, str],
    storage: str,
    capture: bool = False,
    networks: Iterable[str] = (),
) -> str:
    """Return the text of a new configuration file, which loads without an error.

    Args:
        hostname: Our own name.
        domains: That we take mail for.
        listen: By name (mx, submission, submissions, pop3, pop3s) ``address:port``; empty leaves
            the usual ports.
        storage: Directory for everything that is kept.
        capture: Keep mail for other domains here instead of sending it, for development.
        networks: That may relay without signing in. At home is in the first of them, in the six
            situations of home, work and hotel that come as tests.

    Raises:
        AddressError: If a domain is none.
        NetworkError: If a network is none.
        KeyError: If a listener has no name of the five.
    """
    domains, networks = [parse_domain(each) for each in domains], list(networks)
    parts = [
        _head(hostname, domains),
        _heading("where we listen"),
        "".join(_listener(name, place) for name, place in listen.items()) or _usual_listeners(),
        _heading("who may relay"),
        _DOORS,
        _POP_WINDOW if not listen or {"pop3", "pop3s"} & set(listen) else "",
        _networks(networks),
        _heading("who may write as whom"),
        _IDENTITY,
        _heading("where mail goes out"),
        _outbound(capture=capture),
        _heading("where things are kept"),
        f"[storage]\ndirectory = {toml_string(storage)}\n",
    ]
    if domains and (not listen or {"mx", "submission"} <= set(listen)):
        parts += [_heading("what must stay true"), _six_situations(domains[0], networks)]
    return "\n".join(parts)


def toml_string(text: str) -> str:
    """Return the text as a TOML basic string."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in plain) + '"'
    )


def _heading(title: str) -> str:
    return f"\n# {'-' * 64} {title}\n"


def _head(hostname: str, domains: list[str]) -> str:
    lines = [
        "# Posthouse. What is not written here has its default: docs/reference/configuration.md.",
        "# Check before use: posthouse check posthouse.toml",
        "",
        f"hostname = {toml_string(parse_domain(hostname))}",
        '# user   = "posthouse"             # to run as, once the ports are open',
        "",
    ]
    lines += [f"[domains.{toml_string(domain)}]" for domain in domains]
    lines += [
        "",
        "# [tls]                             # without it we make a certificate nobody trusts",
        '# certificate = "/etc/posthouse/fullchain.pem"',
        '# key         = "/etc/posthouse/key.pem"',
        "",
    ]
    return "\n".join(lines)


def _listener(name: str, place: str) -> str:
    service, tls, means = _KINDS[name]
    return (
        f"[listen.{name}]  # {means}\n"
        f'service = "{service}"\non      = [{toml_string(place)}]\ntls     = "{tls}"\n\n'
    )


def _usual_listeners() -> str:
    return "# The usual ports: 25, 587 and 465 for mail, 110 and 995 for POP3.\n"


def _networks(networks: list[str]) -> str:
    if not networks:
        return (
            '# [[may_relay]]                     # a network of your own\n# who      = "network"\n'
            '# name     = "office"\n# networks = ["192.0.2.0/24"]\n'
        )
    written = ", ".join(toml_string(each) for each in networks)
    return (
        "[[may_relay]]\n"
        f'who      = "network"\nname     = "our own networks"\nnetworks = [{written}]\n'
    )


def _outbound(*, capture: bool) -> str:
    if capture:
        return (
            "[outbound]\n"
            'via = "capture"                     # nothing leaves: mail is kept here to look at\n'
        )
    return (
        "[outbound]\n"
        'give_up_after     = "5 days"\ntell_sender_after = "4 h"\n'
        '# via = "smtp://relay.example.com:587"  # a smart host instead of direct delivery\n'
    )


def _six_situations(domain: str, networks: list[str]) -> str:
    """At home, at work and in a hotel; to our own domain and to another one.

    Who is at home is known by the first network, or where there is none by signing in.
    """
    ours = [network for each in networks for network in parse_networks(each)]
    work, hotel = _strangers(ours)
    home = _first_in(ours[0]) if ours else _AT_HOME
    known = "network-may-relay" if ours else "signed-in"
    own, other = f"postmaster@{domain}", f"someone@{_OTHER_DOMAIN}"
    refused = "refuse not-recognised"
    return "\n".join(
        _test(f"{place}, to {whose} domain", client, own, to, expect, signed_in=signed_in)
        for place, client, signed_in, whose, to, expect in (
            ("at home", home, not ours, "our own", own, "accept local-recipient"),
            ("at home", home, not ours, "another", other, f"accept {known}"),
            ("at work", work, False, "our own", own, "accept local-recipient"),
            ("at work", work, False, "another", other, refused),
            ("in a hotel", hotel, False, "our own", own, "accept local-recipient"),
            ("in a hotel", hotel, False, "another", other, refused),
        )
    )


def _test(name: str, client: str, sender: str, to: str, expect: str, *, signed_in: bool) -> str:
    who = f"signed_in = {toml_string(sender)}\n" if signed_in else ""
    return (
        f'[[test]]\nname   = "{name}"\nclient = "{client}"\n{who}from   = {toml_string(sender)}\n'
        f'to     = {toml_string(to)}\nexpect = "{expect}"\n'
    )


def _first_in(network: Network) -> str:
    """A host of the network: not its own number, where it has another."""
    first = network.network_address
    return str(first + 1) if network.num_addresses > 2 else str(first)


def _strangers(ours: list[Network]) -> tuple[str, str]:
    """Two addresses outside our networks."""
    candidates = [ip_address(each) for each in _ELSEWHERE]
    candidates += [IPv4Address((number << 24) + 25) for number in range(1, 224)]
    outside = [each for each in candidates if not any(each in network for network in ours)]
    assert len(outside) > 1, "networks cannot cover everything"
    return str(outside[0]), str(outside[1])
