"""Words in one form, and where they came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.doctor.words import fold, fold_with_origin, hear, index_stems


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("Relais  REFUSÉ", "relais refuse"),
        ("Straße", "strasse"),
        ("“x” ‘y’", "\"x\" 'y'"),  # noqa: RUF001 - as pasted
        ("服务器响应：５５０", "服务器响应:550"),  # noqa: RUF001 - as pasted
        ("İzin Yok ıI", "izin yok ii"),  # noqa: RUF001 - Turkish
        ("릴레이 거부", "릴레이 거부"),
        ("odmówiono", "odmowiono"),
    ],
)
def test_case_accents_and_kinds_of_signs_do_not_count(written: str, folded: str) -> None:
    assert fold(written) == folded


@given(st.text(max_size=120))
def test_folding_again_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_places_lead_back_to_what_was_written() -> None:
    folded = fold_with_origin("Erreur :\n  Relais   Refusé ici")
    at = folded.text.index("relais")
    assert folded.excerpt(at, at + len("relais refuse")) == "Relais Refusé"
    assert folded.line_starts == (0, folded.text.index("relais"))


@given(st.text(max_size=200))
def test_an_excerpt_never_leaves_the_text(text: str) -> None:
    folded = fold_with_origin(text)
    assert folded.excerpt(0, len(folded.text)) in " ".join(text.split())


def test_a_stem_matches_at_the_start_of_words_and_anywhere_in_scripts_without_spaces() -> None:
    index = index_stems({"relay": {"en": "relay", "zh": "中继"}, "ip": {"any": "ip$"}})
    assert [hit.concept for hit in hear("relaying 拒绝中继 ip", index)] == ["relay", "relay", "ip"]
    assert list(hear("unrelayed ipso", index)) == []
