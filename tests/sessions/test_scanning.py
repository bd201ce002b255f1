"""GTUBE is found wherever the network cut it; budgets look at numbers only."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from posthouse.policy.facts import Finding, Usage
from posthouse.policy.rules import Budget, Limits
from posthouse.sessions.scanning import (
    GTUBE,
    GtubeCheck,
    RecipientBudgetCheck,
    Scanned,
    Screening,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def findings(*pieces: bytes, relayed: bool = False) -> tuple[Finding, ...]:
    screening = Screening([GtubeCheck("spam")], Scanned(NOON, relayed, Usage))
    for piece in pieces:
        screening.look(piece)
    return screening.findings()


@given(st.binary(max_size=200), st.binary(max_size=200), st.data())
def test_gtube_is_found_however_the_content_is_cut(
    before: bytes, after: bytes, data: st.DataObject
) -> None:
    content = before + GTUBE + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=100)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert findings(*pieces)[0].found is True


@given(st.lists(st.binary(max_size=70), max_size=20))
def test_what_is_not_gtube_is_not_found(pieces: list[bytes]) -> None:
    assert findings(*pieces, GTUBE[:-1], b"x")[0].found is False


def test_a_check_for_incoming_mail_does_not_look_at_relayed_mail() -> None:
    check = GtubeCheck("incoming", relayed=False)
    assert check.begin(Scanned(NOON, relayed=True, usage=Usage)) is None
    assert check.begin(Scanned(NOON, relayed=False, usage=Usage)) is not None


def test_the_budget_is_exceeded_by_one_more_than_it_holds() -> None:
    check = RecipientBudgetCheck("rush", Limits(account_recipients=Budget(3, timedelta(hours=1))))

    def found(count: int) -> bool | None:
        scan = check.begin(Scanned(NOON, relayed=True, usage=lambda: Usage(count)))
        assert scan is not None
        return scan.finding().found

    assert found(3) is False
    assert found(4) is True
    assert check.begin(Scanned(NOON, relayed=False, usage=Usage)) is None
