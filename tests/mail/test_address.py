"""Mailboxes and paths (RFC 5321 §4.1.2): what is one, what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import (
    NULL,
    AddressError,
    Mailbox,
    ReversePath,
    domain_for_people,
    parse_domain,
    parse_forward_path,
    parse_mailbox,
    parse_reverse_path,
)

HOST = "mail.example.com"


@pytest.mark.parametrize(
    ("text", "local_part", "domain"),
    [
        ("ann@example.com", "ann", "example.com"),
        ("Ann@EXAMPLE.com", "Ann", "example.com"),
        ('"ann b"@example.com', "ann b", "example.com"),
        (r'"a\"b"@example.com', 'a"b', "example.com"),
        ('"x@y"@example.com', "x@y", "example.com"),
        ("a%b!c@example.com", "a%b!c", "example.com"),
        ("ann@[192.0.2.1]", "ann", "[192.0.2.1]"),
        ("ann@[ipv6:2001:DB8::1]", "ann", "[IPv6:2001:db8::1]"),
        ("ann@bücher.example", "ann", "xn--bcher-kva.example"),
        ("测试@例子.example", "测试", "xn--fsqu00a.example"),
    ],
)
def test_mailboxes(text: str, local_part: str, domain: str) -> None:
    mailbox = parse_mailbox(text)
    assert mailbox == Mailbox(local_part, domain)
    assert parse_mailbox(str(mailbox)) == mailbox


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ann", "the domain is missing"),
        ("@example.com", "character or dot"),
        ('""@example.com', "is empty"),
        ("ann@", "domain is empty"),
        (".ann@example.com", "character or dot"),
        ("a..b@example.com", "character or dot"),
        ("a b@example.com", "character or dot"),
        ("T@X@example.com", "character or dot"),
        ('"a"b@example.com', "between the quoted name and @"),
        ("ann@example.com.", "not a domain name"),
        ("ann@-a.example", "not a domain name"),
        ("ann@exam_ple..com", "not a domain name"),
        ("ann@[192.0.2.256]", "not an IP address"),
        ("ann@[192.0.2.1", "ends with ]"),
        ("a" * 65 + "@example.com", "longer than 64 octets"),
        ("ann@" + "a." * 128 + "example", "too long"),
        ("ann\r\nRCPT TO:<x@y>@example.com", "control character (0x0d)"),
        ("a\x00b@example.com", "control character (0x00)"),
        ("a\u202eb@example.com", "control character (0x202e)"),
        ("a\x85b@example.com", "control character (0x85)"),
    ],
)
def test_what_is_no_mailbox_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(AddressError) as problem:
        parse_mailbox(text)
    assert says in str(problem.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<>", NULL),
        ("<ann@example.com>", ReversePath(Mailbox("ann", "example.com"))),
        ("<@a.example,@b.example:ann@example.com>", ReversePath(Mailbox("ann", "example.com"))),
        ("<@[192.0.2.1]:ann@example.com>", ReversePath(Mailbox("ann", "example.com"))),
    ],
)
def test_reverse_paths(text: str, expected: ReversePath) -> None:
    assert parse_reverse_path(text) == expected


def test_postmaster_needs_no_domain_and_everybody_else_does() -> None:
    assert parse_forward_path("<Postmaster>", postmaster_domain=HOST) == Mailbox("Postmaster", HOST)
    for text in ("<>", "<ann>", "ann@example.com", "<ann@example.com", "<a@b>x", "<<a@b>>"):
        with pytest.raises(AddressError):
            parse_forward_path(text, postmaster_domain=HOST)


def test_a_source_route_is_ignored_and_routes_nothing() -> None:
    path = parse_forward_path("<@our.example:T@far.example>", postmaster_domain=HOST)
    assert path == Mailbox("T", "far.example")


def test_tags_and_case() -> None:
    mailbox = parse_mailbox("Ann+Shop@example.com")
    assert str(mailbox.folded) == "ann+shop@example.com"
    assert str(mailbox.without_tag()) == "Ann@example.com"
    assert parse_mailbox("+x@example.com").without_tag() == parse_mailbox("+x@example.com")
    assert not parse_mailbox("测试@example.com").is_ascii


def test_domains_for_people_have_their_own_letters() -> None:
    assert domain_for_people("xn--bcher-kva.example") == "bücher.example"
    assert domain_for_people("example.com") == "example.com"
    assert parse_domain("BÜCHER.example") == "xn--bcher-kva.example"


@given(st.text(max_size=80))
def test_any_text_is_a_mailbox_or_an_address_error(text: str) -> None:
    try:
        mailbox = parse_mailbox(text)
    except AddressError:
        return
    assert parse_mailbox(str(mailbox)) == mailbox
    assert "\r" not in str(mailbox)
    assert "\n" not in str(mailbox)


def test_what_has_no_letters_of_its_own_is_shown_as_it_is() -> None:
    assert domain_for_people("xn--a") == "xn--a"
    assert domain_for_people("[192.0.2.1]") == "[192.0.2.1]"


def test_a_path_that_is_too_long_is_not_looked_into() -> None:
    with pytest.raises(AddressError, match="too long"):
        parse_reverse_path("<@" + "a" * 400 + ":ann@example.com>")


@pytest.mark.parametrize("domain", ["a\u200db.example", "\u0300a.example", "ü" * 300 + ".example"])
def test_letters_that_no_domain_may_have_are_refused(domain: str) -> None:
    with pytest.raises(AddressError):
        parse_domain(domain)
