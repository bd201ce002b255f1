from hypothesis import given
from hypothesis import strategies as st

from posthouse.accounts.windows import ENTRIES_MAX, Window

START = 1_800_000_000.0


def test_what_is_in_the_period_counts_and_nothing_else() -> None:
    window = Window()
    window.add(START, 5)
    window.add(START + 3000, 2)
    assert window.total(START - 1) == 7
    assert window.total(START) == 2
    assert window.total(START + 3000) == 0


@given(
    st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 3)), max_size=60),
    st.sampled_from([60, 3600, 86_400]),
)
def test_a_count_is_never_too_low_and_only_a_little_too_high(
    steps: list[tuple[int, int]], period: int
) -> None:
    window, exact, now = Window(), [], START
    for step, count in steps:
        now += step
        window.add(now, count)
        exact.append((now, count))
    true = sum(count for at, count in exact if at > now - period)
    loose = sum(count for at, count in exact if at > now - period - 30)
    assert true <= window.total(now - period) <= loose


def test_a_month_of_sending_stays_small_and_nearly_right() -> None:
    window = Window()
    for minute in range(31 * 24 * 60):
        window.add(START + minute * 60, 1)
    end = START + (31 * 24 * 60 - 1) * 60
    assert len(window.entries) <= ENTRIES_MAX
    assert window.total(end - 3600) in range(60, 62)
    assert window.total(end - 86_400) in range(1440, 1452)
    assert window.total(end - 30 * 86_400) in range(30 * 1440, 30 * 1440 + 242)


def test_a_clock_that_is_put_back_loses_nothing() -> None:
    window = Window()
    window.add(START, 1)
    window.add(START - 500, 1)
    assert window.total(START - 1) == 2
