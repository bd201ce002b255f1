"""Durations, sizes and rates, there and back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config import units
from posthouse.policy.rules import Budget


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("30 min", timedelta(minutes=30)),
        ("30min", timedelta(minutes=30)),
        ("1 h", timedelta(hours=1)),
        ("4 hours", timedelta(hours=4)),
        ("5 days", timedelta(days=5)),
        ("1 day", timedelta(days=1)),
        ("2 weeks", timedelta(days=14)),
        ("90 s", timedelta(seconds=90)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(written: str, means: timedelta) -> None:
    assert units.parse_duration(written) == means


def test_megabytes_are_millions_and_mebibytes_are_powers_of_two() -> None:
    assert units.parse_size("25 MB") == 25_000_000
    assert units.parse_size("1 MiB") == 1_048_576
    assert units.parse_size("512 b") == 512


def test_a_rate_is_a_count_per_time() -> None:
    assert units.parse_rate("500 per hour") == Budget(500, timedelta(hours=1))
    assert units.parse_rate("10 per 10 min") == Budget(10, timedelta(minutes=10))


@given(st.integers(1, int(units.DURATION_MAX.total_seconds())))
def test_any_duration_survives_being_written(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert units.parse_duration(units.format_duration(duration)) == duration


@given(st.integers(1, units.COUNT_MAX))
def test_any_size_survives_being_written(octets: int) -> None:
    assert units.parse_size(units.format_size(octets)) == octets


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_any_rate_survives_being_written(count: int, seconds: int) -> None:
    rate = Budget(count, timedelta(seconds=seconds))
    assert units.parse_rate(units.format_rate(rate)) == rate


@pytest.mark.parametrize("parse", [units.parse_duration, units.parse_size, units.parse_rate])
@given(value=st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text())))
def test_anything_else_is_refused_with_help(parse: object, value: object) -> None:
    assert callable(parse)
    try:
        parse(value)
    except units.UnitError as problem:
        words = (str(problem), problem.help)
    else:
        words = ("fine", "fine")
    assert all(words)


@pytest.mark.parametrize(
    "written", ["", "min", "30", "-5 min", "5 fortnights", "0 s", "99999 weeks"]
)
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(units.UnitError):
        units.parse_duration(written)
