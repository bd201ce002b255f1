"""DMARC by the walk up the tree (RFC 9989)."""

import dmarc as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.authentication.dmarc import (
    Dmarc,
    Policy,
    evaluate,
    organizational_domain,
    parse_record,
    walk_names,
)
from posthouse.authentication.results import Result
from posthouse.authentication.signatures.verification import Verified
from posthouse.authentication.spf import Spf
from tests.authentication.zones import Zone, look_up_in

NO_SPF = Spf(Result.NONE, "")
ZONE: Zone = {
    "_dmarc.example.com": [("TXT", "v=DMARC1; p=reject; sp=quarantine; np=reject")],
    "example.com": [("A", "192.0.2.1")],
    "news.example.com": [("A", "192.0.2.2")],
    "_dmarc.strict.example": [("TXT", "v=DMARC1; p=reject; adkim=s; aspf=s")],
    "_dmarc.try.example": [("TXT", "v=DMARC1; p=reject; t=y")],
    "_dmarc.bank": [("TXT", "v=DMARC1; p=reject; psd=y")],
    "_dmarc.shops.bank": [("TXT", "v=DMARC1; p=none; psd=n")],
    "_dmarc.two.example": [("TXT", "v=DMARC1; p=reject"), ("TXT", "v=DMARC1; p=none")],
    "_dmarc.mixed.example": [("TXT", "unrelated"), ("TXT", "v=DMARC1; p=quarantine")],
}


def dkim(domain: str, result: Result = Result.PASS) -> Verified:
    return Verified(result, "", domain=domain)


def spf(domain: str, result: Result = Result.PASS) -> Spf:
    return Spf(result, "", domain=domain)


async def judged(author: str, *found: Verified | Spf) -> Dmarc:
    signatures = [one for one in found if isinstance(one, Verified)]
    of_spf = next((one for one in found if isinstance(one, Spf)), NO_SPF)
    return await evaluate(author, of_spf, signatures, look_up_in(ZONE))


@pytest.mark.parametrize(
    ("author", "found", "result"),
    [
        ("example.com", dkim("example.com"), Result.PASS),
        ("example.com", dkim("news.example.com"), Result.PASS),
        ("news.example.com", dkim("example.com"), Result.PASS),
        ("a.example.com", spf("b.example.com"), Result.PASS),
        ("example.com", spf("bounces.example.com"), Result.PASS),
        ("example.com", dkim("example.org"), Result.FAIL),
        ("example.com", dkim("evilexample.com"), Result.FAIL),
        ("example.com", dkim("example.com", Result.FAIL), Result.FAIL),
        ("example.com", dkim("example.com", Result.POLICY), Result.FAIL),
        ("example.com", spf("example.com", Result.SOFTFAIL), Result.FAIL),
        ("strict.example", dkim("strict.example"), Result.PASS),
        ("strict.example", dkim("sub.strict.example"), Result.FAIL),
        ("strict.example", spf("sub.strict.example"), Result.FAIL),
        ("one.bank", dkim("one.bank"), Result.PASS),
        ("one.bank", dkim("two.bank"), Result.FAIL),
        ("one.shops.bank", dkim("two.shops.bank"), Result.PASS),
        ("example.com", dkim("example.com", Result.TEMPERROR), Result.TEMPERROR),
        ("example.com", dkim("example.org", Result.TEMPERROR), Result.FAIL),
        ("nothing.example", dkim("nothing.example"), Result.NONE),
        ("two.example", dkim("two.example"), Result.NONE),
        ("mixed.example", dkim("mixed.example"), Result.PASS),
        ("slow.example", dkim("slow.example"), Result.TEMPERROR),
        ("", dkim("example.com"), Result.PERMERROR),
        ("[192.0.2.1]", dkim("example.com"), Result.PERMERROR),
    ],
)
async def test_who_stands_behind_a_message(
    author: str, found: Verified | Spf, result: Result
) -> None:
    told = await judged(author, found)
    assert told.result is result, told
    assert told.because
    assert told.checks


@pytest.mark.parametrize(
    ("author", "policy", "where"),
    [
        ("example.com", Policy.REJECT, "example.com"),
        ("news.example.com", Policy.QUARANTINE, "example.com"),
        ("gone.example.com", Policy.REJECT, "example.com"),
        ("try.example", Policy.QUARANTINE, "try.example"),
        ("one.bank", Policy.REJECT, "bank"),
        ("one.shops.bank", Policy.NONE, "shops.bank"),
        ("mixed.example", Policy.QUARANTINE, "mixed.example"),
    ],
)
async def test_what_is_asked_for_if_nobody_does(author: str, policy: Policy, where: str) -> None:
    told = await judged(author)
    assert (told.result, told.policy, told.record_domain) == (Result.FAIL, policy, where)


async def test_one_pass_is_enough_whatever_else_is_unknown() -> None:
    told = await judged("example.com", dkim("example.com", Result.TEMPERROR), spf("example.com"))
    assert (told.result, told.because) == (Result.PASS, "SPF passed for example.com")


async def test_the_author_domains_own_record_is_enough_where_nothing_above_it_answers() -> None:
    asked: list[str] = []
    for found, result in ((spf("example.com"), Result.PASS), (NO_SPF, Result.FAIL)):
        told = await evaluate("example.com", found, (), look_up_in(ZONE, asked))
        assert told.result is result
    assert set(asked) == {"_dmarc.example.com"}


def test_a_walk_has_eight_steps_at_most() -> None:
    assert list(walk_names("a.b.example.com")) == [
        "a.b.example.com",
        "b.example.com",
        "example.com",
        "com",
    ]
    long = list(walk_names("a.b.c.d.e.f.g.h.i.j.example.com"))
    assert len(long) == 8
    assert long[1] == "f.g.h.i.j.example.com"
    assert len(list(walk_names("a.b.c.d.e.f.g.h"))) == 8
    assert list(walk_names("com")) == ["com"]


async def test_hostile_signatures_cause_few_questions() -> None:
    asked: list[str] = []
    many = [dkim(f"{'x.' * 20}d{place}.com") for place in range(8)]
    await evaluate("example.com", spf("x.com"), many, look_up_in(ZONE, asked))
    assert len(asked) <= 60


def test_records_are_read_as_the_rfc_says() -> None:
    def policies(text: str) -> tuple[Policy, Policy, Policy] | None:
        record = parse_record("example.com", text)
        return (record.policy, record.subdomains, record.missing) if record else None

    reject, none, quarantine = Policy.REJECT, Policy.NONE, Policy.QUARANTINE
    assert policies("v=DMARC1; p=reject") == (reject, reject, reject)
    assert policies("v=DMARC1;p=Reject;sp=none; pct=20; unknown=1;") == (reject, none, none)
    assert policies("v=DMARC1; p=none; np=quarantine") == (none, none, quarantine)
    assert policies("v=DMARC1") == (none, none, none)
    assert policies("v=DMARC1; p=block; rua=mailto:a@example.com") == (none, none, none)
    for text in ("", "v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC1; p=block", "v=spf1 -all"):
        assert policies(text) is None
    assert policies("v=DMARC1; p=none; p=reject") is None


def test_the_organization_is_found_from_any_set_of_records() -> None:
    def organization(domain: str, *texts: tuple[str, str]) -> str:
        records = [parse_record(name, text) for name, text in texts]
        return organizational_domain(domain, [one for one in records if one is not None])

    none = "v=DMARC1; p=none"
    assert organization("a.b.example.com") == "a.b.example.com"
    assert organization("a.example.com", ("a.example.com", none)) == "a.example.com"
    assert organization("a.example.com", ("a.example.com", none), ("example.com", none)) == (
        "example.com"
    )
    assert organization("a.b.com", ("b.com", none + "; psd=n"), ("com", none)) == "b.com"
    assert organization("a.b.com", ("com", none + "; psd=y")) == "b.com"
    assert organization("com", ("com", none + "; psd=y")) == "com"


@given(
    tags=st.lists(
        st.sampled_from(
            ["p=none", "p=reject", "sp=quarantine", "adkim=s", "aspf=r", "t=y", "rua=mailto:a@b.c"]
        ),
        unique_by=lambda tag: tag.split("=")[0],
    )
)
def test_records_are_read_as_the_other_library_reads_them(tags: list[str]) -> None:
    text = "; ".join(["v=DMARC1", *tags])
    ours = parse_record("example.com", text)
    assert ours is not None
    if not any(tag.startswith("p=") for tag in tags):
        assert ours.policy is Policy.NONE  # RFC 9989; the library asks for a p=
        return
    theirs = oracle.DMARC().parse_record(text, "example.com")
    assert ours.policy == theirs.p.value
    assert ours.subdomains == (theirs.sp.value or theirs.p.value)
    assert ours.strict_dkim == (theirs.adkim.value == "s")
    assert ours.testing == (theirs.t.value == "y")
