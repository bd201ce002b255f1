"""SPF with its trace, and beside pyspf on random zones."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
import spf as pyspf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.authentication.results import Result
from posthouse.authentication.spf import Sender, Spf, check_sender
from posthouse.mail.address import NULL, Mailbox, ReversePath
from tests.authentication.zones import Zone, look_up_in

ANN = ReversePath(Mailbox("ann", "example.com"))
ZONE: Zone = {
    "example.com": [("TXT", "v=spf1 ip4:192.0.2.0/24 include:other.example -all")],
    "other.example": [("TXT", "v=spf1 a:host.other.example ?all")],
    "host.other.example": [("A", "198.51.100.7")],
    "mail.example.com": [("TXT", "v=spf1 ip4:192.0.2.9 -all"), ("TXT", "unrelated")],
    "loop.example": [("TXT", "v=spf1 include:loop.example -all")],
    "twice.example": [("TXT", "v=spf1 -all"), ("TXT", "v=spf1 +all")],
    "bad.example": [("TXT", "v=spf1 ip4:300.1.2.3 -all")],
    "soft.example": [("TXT", "v=spf1 ~all")],
    "silent.example": [("A", "192.0.2.1")],
    "leads.example": [("TXT", "v=spf1 include:slow.example -all")],
}


async def checked(address: str, path: ReversePath = ANN, hello: str = "mail.example.com") -> Spf:
    return await check_sender(
        Sender(ip_address(address), hello, path), look_up_in(ZONE), "mx.post.example"
    )


async def test_a_pass_and_a_fail_say_what_decided() -> None:
    good, bad = await checked("192.0.2.5"), await checked("203.0.113.9")
    assert (good.result, good.because) == (
        Result.PASS,
        "ip4:192.0.2.0/24 of example.com matches 192.0.2.5",
    )
    assert (bad.result, bad.because) == (Result.FAIL, "-all of example.com matches 203.0.113.9")
    told = [(check.question, check.answer) for check in bad.checks]
    assert told == [
        ("example.com publishes SPF", True),
        ("ip4:192.0.2.0/24 matches", False),
        ("other.example publishes SPF", True),
        ("a:host.other.example matches", False),
        ("?all matches", True),
        ("include:other.example matches", False),
        ("-all matches", True),
    ]


@pytest.mark.parametrize(
    ("domain", "result", "words"),
    [
        ("soft.example", Result.SOFTFAIL, "~all of soft.example matches"),
        ("silent.example", Result.NONE, "no v=spf1 record for silent.example"),
        ("nowhere.example", Result.NONE, "no v=spf1 record"),
        ("twice.example", Result.PERMERROR, "multiple v=spf1 records"),
        ("bad.example", Result.PERMERROR, ""),
        ("loop.example", Result.PERMERROR, "lookup limit exceeded"),
        ("slow.example", Result.TEMPERROR, "TXT lookup failed"),
        ("leads.example", Result.TEMPERROR, "TXT lookup failed"),
        ("[192.0.2.1]", Result.NONE, "no domain name"),
        ("localhost", Result.NONE, "no domain name"),
    ],
)
async def test_every_way_to_fail_has_its_words(domain: str, result: Result, words: str) -> None:
    found = await checked("203.0.113.9", ReversePath(Mailbox("ann", domain)))
    assert found.result is result
    assert words in found.because
    assert found.checks


async def test_reports_are_judged_by_the_name_in_ehlo() -> None:
    found = await checked("192.0.2.9", NULL)
    assert (found.result, found.domain, found.of_hello) == (Result.PASS, "mail.example.com", True)
    for hello in ("[192.0.2.9]", "", "a b\r\nc", "localhost"):
        assert (await checked("192.0.2.9", NULL, hello)).result is Result.NONE


MECHANISMS = st.sampled_from(
    [
        "a", "mx", "a:b.example", "mx:c.example", "include:b.example", "include:c.example",
        "exists:%{i}.b.example", "exists:%{l}.c.example", "ip4:192.0.2.0/28", "ip4:192.0.2.7",
        "ip6:2001:db8::/32", "a:%{d1r}.example", "ptr", "redirect=b.example", "a/24", "mx//64",
        "exp=c.example", "?a:missing.example", "unknown", "ip4:1.2.3", "a:",
        "include:missing.example",
    ]
)  # fmt: skip
POLICIES = st.builds(
    lambda parts, end: " ".join(["v=spf1", *parts, *end]),
    st.lists(
        st.builds(lambda sign, rest: rest if "=" in rest else sign + rest,
                  st.sampled_from(["", "", "-", "~", "?"]), MECHANISMS),
        max_size=4,
    ),
    st.sampled_from([["-all"], ["~all"], ["+all"], []]),
)  # fmt: skip
ADDRESSES = st.lists(
    st.sampled_from(
        [
            ("A", "192.0.2.7"),
            ("A", "198.51.100.1"),
            ("AAAA", "2001:db8::7"),
            ("MX", "b.example"),
            ("MX", "c.example"),
        ]
    ),
    max_size=3,
    unique=True,
)
ZONES = st.fixed_dictionaries(
    {
        name: st.builds(
            lambda policy, others: [*others, *([("TXT", policy)] if policy else [])],
            st.none() | POLICIES,
            ADDRESSES,
        )
        for name in ("a.example", "b.example", "c.example")
    }
)


def pyspf_verdict(zone: Zone, address: str) -> str:
    def look_up(name: str, kind: str, *_: Any, **__: Any) -> Iterator[Any]:
        for each, value in zone.get(name.lower().rstrip("."), []):
            if each != kind:
                continue
            if kind == "TXT":
                yield (name, kind), (value.encode(),)
            elif kind == "MX":
                yield (name, kind), (10, value)
            elif kind == "AAAA":
                yield (name, kind), ip_address(value).packed
            else:
                yield (name, kind), value

    pyspf.DNSLookup = look_up
    verdict, _, _ = pyspf.query(address, "ann@a.example", "a.example", strict=1).check()
    return str(verdict)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(zone=ZONES, address=st.sampled_from(["192.0.2.7", "203.0.113.9", "2001:db8::7"]))
async def test_both_libraries_agree_about_any_zone(zone: Zone, address: str) -> None:
    path = ReversePath(Mailbox("ann", "a.example"))
    sender = Sender(ip_address(address), "a.example", path)
    ours = await check_sender(sender, look_up_in(zone), "mx")
    theirs = pyspf_verdict(zone, address)
    if theirs == "permerror":
        return  # pyspf counts repeated void look-ups again (RFC 7208 leaves it open)
    assert ours.result == theirs, ours


WORDS = st.sampled_from(
    ["%{s}", "%{l}", "%{o}", "%{d}", "%{i}", "%{p}", "%{v}", "%{h}", "%{c}", "%{r}", "%{t}", "%%",
     "%_", "%-", "%{l2r+-}", "%{d0}", "%{", "%", "v=spf1", " ", "exists:", "include:", "a:", "exp=",
     "/33", "b.example", "redirect=", "-all", "ü", "\x00", ":", "=", "ip6:::", "ip4:1.2.3.4/99",
     "mx//129"]
)  # fmt: skip
ANY_POLICY = st.lists(WORDS, max_size=10).map(lambda words: "v=spf1 " + "".join(words))
ANY_NAME = st.text(max_size=20) | st.sampled_from(["a.example", "[192.0.2.1]", "x" * 300, "a..b"])


@settings(max_examples=400, deadline=None)
@given(policy=ANY_POLICY, local_part=st.text(min_size=1, max_size=20), hello=ANY_NAME)
async def test_no_policy_and_no_sender_is_too_odd(policy: str, local_part: str, hello: str) -> None:
    zone: Zone = {
        "a.example": [("TXT", policy), ("A", "192.0.2.7"), ("MX", "b.example")],
        "b.example": [("TXT", policy), ("A", "203.0.113.9")],
        "9.113.0.203.in-addr.arpa": [("PTR", "b.example")],
    }
    path = ReversePath(Mailbox(local_part, "a.example"))
    sender = Sender(ip_address("203.0.113.9"), hello, path)
    found = await check_sender(sender, look_up_in(zone), "mx")
    assert found.because.isprintable()
    assert all(check.because.isprintable() for check in found.checks)
