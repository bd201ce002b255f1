"""Queue ids."""

from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from posthouse.spool.identifiers import ID_LENGTH, IdSource, id_of, number_of
from tests.spool.ground import Clock, accept, envelope, opened


@given(st.integers(0, 32**ID_LENGTH - 1), st.integers(0, 32**ID_LENGTH - 1))
def test_ids_sort_as_their_numbers_and_lead_back_to_them(one: int, two: int) -> None:
    assert number_of(id_of(one)) == number_of(id_of(one).lower()) == one
    assert (id_of(one) < id_of(two)) is (one < two)
    assert id_of(one).isascii()
    assert id_of(one).isalnum()


@given(st.text(max_size=12))
def test_what_is_no_id_is_told_apart(text: str) -> None:
    number = number_of(text)
    assert number == -1 or id_of(number) == text.upper()


@given(st.lists(st.integers(-100, 100), max_size=30))
def test_ids_rise_whatever_the_clock_does(jumps: list[int]) -> None:
    clock = Clock()
    source = IdSource(clock, last=0)
    ids = [source.new()]
    for jump in jumps:
        clock.advance(timedelta(seconds=jump))
        ids.append(source.new())
    assert ids == sorted(set(ids))


def test_ids_are_unique_over_restarts_even_if_the_clock_went_back(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path, clock) as spool:
        before = accept(spool, envelope("a@example.net"))
    clock.advance(-timedelta(days=365))
    with opened(tmp_path, clock) as spool:
        assert spool.new_id() > before
