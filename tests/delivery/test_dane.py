"""TLSA records against certificates: what counts, what does not, and what proves nothing."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.dane import mismatch, name_matches, usable
from posthouse.dns.answers import TlsaRecord
from tests.delivery.certificates import Issued
from tests.delivery.given import NOON

NAMES = ("mx.adatum.com", "adatum.com")
ROOT = Issued("Root", authority=True)
MIDDLE = Issued("Middle", ROOT, authority=True)
LEAF = Issued("mx", MIDDLE, dns=("mx.adatum.com",))
OTHER = Issued("other", dns=("mx.adatum.com",))
CHAIN = (LEAF.der, MIDDLE.der, ROOT.der)
EVERY_KIND = [(selector, matching) for selector in (0, 1) for matching in (0, 1, 2)]


@pytest.mark.parametrize(("selector", "matching"), EVERY_KIND)
def test_an_end_entity_matches_by_any_selector_and_matching_type(
    selector: int, matching: int
) -> None:
    right, wrong = (it.record(3, selector, matching) for it in (LEAF, OTHER))
    assert usable([right]) == (right,)
    assert mismatch(CHAIN, [right], NAMES, NOON) == ""
    assert mismatch(CHAIN, [wrong], NAMES, NOON) != ""
    assert mismatch(CHAIN, [wrong, right], NAMES, NOON) == ""


@pytest.mark.parametrize(("selector", "matching"), EVERY_KIND)
@pytest.mark.parametrize("anchor", [ROOT, MIDDLE])
def test_an_authority_matches_by_any_selector_and_matching_type(
    anchor: Issued, selector: int, matching: int
) -> None:
    record = anchor.record(2, selector, matching)
    assert usable([record]) == (record,)
    assert mismatch(CHAIN, [record], NAMES, NOON) == ""
    assert mismatch(CHAIN, [OTHER.record(2, selector, matching)], NAMES, NOON) != ""


def test_an_end_entity_needs_no_name_and_no_dates() -> None:
    old = Issued("x", dns=("elsewhere.example",), ends=NOON - timedelta(days=1))
    assert mismatch([old.der], [old.record(3)], NAMES, NOON) == ""


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (Issued("x", MIDDLE, dns=("elsewhere.example",)), "is for elsewhere.example, not for mx"),
        (Issued("x", MIDDLE, dns=NAMES, ends=NOON - timedelta(days=1)), "expired"),
        (Issued("x", MIDDLE, dns=NAMES, critical=True), "critical extension"),
        (Issued("x", OTHER, dns=NAMES), "no certificate of the chain"),
    ],
)
def test_below_an_authority_names_dates_and_signatures_count(leaf: Issued, words: str) -> None:
    found = mismatch([leaf.der, MIDDLE.der, ROOT.der], [ROOT.record(2)], NAMES, NOON)
    assert words in found


def test_only_authorities_issue() -> None:
    false = Issued("x", LEAF, dns=NAMES)
    chain = [false.der, LEAF.der, MIDDLE.der]
    assert "may not issue" in mismatch(chain, [MIDDLE.record(2)], NAMES, NOON)


def test_an_authority_beside_the_chain_proves_nothing() -> None:
    chain = [OTHER.der, ROOT.der]
    assert mismatch(chain, [ROOT.record(2)], NAMES, NOON) != ""


def test_an_authority_may_stand_in_dns_alone_if_it_stands_there_whole() -> None:
    chain = [LEAF.der, MIDDLE.der]
    assert mismatch(chain, [ROOT.record(2, 0, 0)], NAMES, NOON) == ""
    assert mismatch(chain, [ROOT.record(2, 1, 0)], NAMES, NOON) == ""
    assert mismatch(chain, [ROOT.record(2, 0, 1)], NAMES, NOON) != ""


def test_the_common_name_counts_only_without_dns_names() -> None:
    named = Issued("mx.adatum.com", MIDDLE)
    assert mismatch([named.der, MIDDLE.der], [MIDDLE.record(2)], NAMES, NOON) == ""
    both = Issued("mx.adatum.com", MIDDLE, dns=("elsewhere.example",))
    assert mismatch([both.der, MIDDLE.der], [MIDDLE.record(2)], NAMES, NOON) != ""


def test_a_server_without_certificate_or_with_nonsense_matches_nothing() -> None:
    assert mismatch([], [LEAF.record(3)], NAMES, NOON) != ""
    assert mismatch([b"nonsense"], [LEAF.record(3), ROOT.record(2)], NAMES, NOON) != ""


@pytest.mark.parametrize(
    "record",
    [
        TlsaRecord(0, 1, 1, bytes(32)),
        TlsaRecord(1, 1, 1, bytes(32)),
        TlsaRecord(3, 2, 1, bytes(32)),
        TlsaRecord(3, 1, 3, bytes(32)),
        TlsaRecord(3, 1, 1, bytes(31)),
        TlsaRecord(3, 1, 2, bytes(32)),
        TlsaRecord(2, 0, 0, b"no certificate"),
        TlsaRecord(2, 1, 0, b"no key"),
        TlsaRecord(255, 0, 0, b""),
    ],
    ids=str,
)
def test_records_that_mean_nothing_for_mail_are_unusable(record: TlsaRecord) -> None:
    assert usable([record]) == ()
    assert usable([record, LEAF.record(3)]) == (LEAF.record(3),)


BYTE = st.integers(0, 255)
RECORDS = st.builds(
    TlsaRecord, BYTE | st.integers(0, 3), BYTE | st.integers(0, 2), st.integers(0, 3), st.binary()
)


@given(st.lists(RECORDS, max_size=5), st.lists(st.binary(max_size=80), max_size=3))
def test_whatever_stands_in_dns_or_is_shown_nothing_breaks_and_nothing_matches(
    records: list[TlsaRecord], chain: list[bytes]
) -> None:
    those = [it for it in usable(records) if it.data not in chain]
    if those:
        assert mismatch([LEAF.der, *chain], those, NAMES, NOON) != ""


@pytest.mark.parametrize(
    ("pattern", "name", "same"),
    [
        ("MX.adatum.com", "mx.Adatum.com.", True),
        ("*.adatum.com", "mx.adatum.com", True),
        ("*.adatum.com", "adatum.com", False),
        ("*.adatum.com", "a.b.adatum.com", False),
        ("*.com", "adatum.com", False),
        ("m*.adatum.com", "mx.adatum.com", False),
        ("*", "com", False),
    ],
)
def test_a_star_stands_for_one_label(pattern: str, name: str, same: bool) -> None:
    assert name_matches(pattern, name) is same
