"""Rewritten reverse-paths lead back, and never turn us into a relay."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from posthouse.authentication.srs import Rewriter, Trouble, has_form, may_return
from posthouse.mail.address import NULL, AddressError, Mailbox, ReversePath, parse_mailbox

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
OURS = Rewriter("post.example", (b"0123456789abcdef",))
THEIRS = Rewriter("other.example", (b"fedcba9876543210",))
ANN = parse_mailbox("Ann.Lee+shop=1@example.com")
LOCAL_PARTS = st.from_regex(r"\A[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,40}\Z") | st.sampled_from(
    ["SRS0=x", "SRS0+a=b=c=d", "srs1=a=b==c", "SRS1=x", "a b", "=", '"', "ü"]
)


def rewritten(mailbox: Mailbox, by: Rewriter = OURS, now: datetime = NOON) -> Mailbox:
    path = by.rewrite(ReversePath(mailbox), now)
    assert path.mailbox is not None
    return path.mailbox


@given(local_part=LOCAL_PARTS, days=st.integers(0, 21))
def test_what_is_rewritten_leads_back(local_part: str, days: int) -> None:
    mailbox = Mailbox(local_part, "example.com")
    made = rewritten(mailbox)
    assert OURS.is_rewritten(made)
    back = OURS.reverse(made, NOON + timedelta(days=days))
    assert isinstance(back, Mailbox)
    again = rewritten(back)  # an SRS1 leads to the first forwarder, not to the second
    assert OURS.reverse(again, NOON) == back


def test_the_address_looks_as_usual() -> None:
    made = str(rewritten(ANN))
    assert made.startswith("SRS0=")
    assert made.endswith("=example.com=Ann.Lee+shop=1@post.example")
    assert OURS.reverse(parse_mailbox(made), NOON) == ANN


def test_the_second_forwarder_packs_the_first_and_the_third_replaces_the_second() -> None:
    first = rewritten(ANN, THEIRS)
    second = rewritten(first, OURS)
    assert second.local_part.startswith("SRS1=")
    assert OURS.reverse(second, NOON) == first
    third_forwarder = Rewriter("third.example", (b"third-forwarders",))
    third = rewritten(second, third_forwarder)
    assert len(third.local_part) == len(second.local_part)
    assert third_forwarder.reverse(third, NOON) == first
    assert THEIRS.reverse(first, NOON) == ANN


def test_what_nobody_signed_leads_nowhere() -> None:
    forged = Mailbox("SRS0=AAAAAAAA=TT=victim.example=joe", "post.example")
    assert OURS.reverse(forged, NOON) is Trouble.FORGED
    assert OURS.reverse(replace(forged, local_part="SRS0=joe"), NOON) is Trouble.NOT_OURS
    assert OURS.reverse(replace(forged, local_part="ann"), NOON) is Trouble.NOT_OURS
    stolen = rewritten(ANN, THEIRS)
    assert OURS.reverse(replace(stolen, domain="post.example"), NOON) is Trouble.FORGED
    one = replace(forged, local_part="SRS1=AAAAAAAA=victim.example==a=b=c=d")
    assert OURS.reverse(one, NOON) is Trouble.FORGED


@given(place=st.integers(0, 200), sign=st.sampled_from("Aa0=2%@"))
def test_a_changed_address_leads_nowhere_or_is_the_same(place: int, sign: str) -> None:
    made = rewritten(ANN).local_part
    place %= len(made)
    changed = made[:place] + sign + made[place + 1 :]
    back = OURS.reverse(Mailbox(changed, "post.example"), NOON)
    if isinstance(back, Mailbox):
        assert (str(back).lower(), back.domain) == (str(ANN).lower(), ANN.domain)


@given(st.text(max_size=60), st.sampled_from(["SRS0", "srs1", "SRS0=", "SRS1=A", ""]))
def test_any_local_part_gets_an_answer(text: str, begin: str) -> None:
    answer = OURS.reverse(Mailbox(begin + text, "post.example"), NOON)
    assert isinstance(answer, Trouble)


@pytest.mark.parametrize("days", [22, 500, -2])
def test_an_old_address_has_expired(days: int) -> None:
    assert OURS.reverse(rewritten(ANN), NOON + timedelta(days=days)) is Trouble.EXPIRED


def test_tomorrow_may_have_begun_elsewhere() -> None:
    assert OURS.reverse(rewritten(ANN), NOON - timedelta(days=1)) == ANN


def test_case_may_change_on_the_way() -> None:
    made = rewritten(ANN)
    back = OURS.reverse(replace(made, local_part=made.local_part.lower()), NOON)
    assert isinstance(back, Mailbox)
    assert back.folded == ANN.folded


def test_an_old_secret_is_believed_but_no_longer_used() -> None:
    made = rewritten(ANN)
    newer = replace(OURS, secrets=(b"a newer secret of ours", *OURS.secrets))
    assert newer.reverse(made, NOON) == ANN
    assert rewritten(ANN, newer) != made
    assert OURS.reverse(rewritten(ANN, newer), NOON) is Trouble.FORGED


def test_reports_keep_their_null_path_and_our_own_paths_stay() -> None:
    assert OURS.rewrite(NULL, NOON) == NULL
    own = ReversePath(Mailbox("ann", "post.example"))
    assert OURS.rewrite(own, NOON) == own
    assert may_return(NULL)
    assert not may_return(own)


def test_only_the_beginning_tells_the_form() -> None:
    assert has_form("srs0+x")
    assert not has_form("srs0x=")
    assert not has_form("srs2=x")
    assert not OURS.is_rewritten(Mailbox("SRS0=a=b=c=d", "elsewhere.example"))


def test_a_long_address_can_be_read_back() -> None:
    long = parse_mailbox(f"{'bounces+' + 'n' * 50}@mailings.of-a-large-company.example")
    made = rewritten(long)
    assert len(made.local_part) > 64
    assert OURS.reverse(parse_mailbox(str(made)), NOON) == long
    with pytest.raises(AddressError, match="longer than 64"):
        parse_mailbox(f"{'n' * 65}@post.example")
    with pytest.raises(AddressError, match="longer than 192"):
        parse_mailbox(f"SRS0={'n' * 200}@post.example")
