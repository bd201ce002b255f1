"""When to try again."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.retry import Patience, next_attempt, should_tell_sender
from tests.delivery.given import NOON

minutes = st.integers(0, 8 * 24 * 60).map(lambda m: timedelta(minutes=m))
attempts = st.integers(1, 2000)
spreads = st.floats(-0.1, 0.1)
PATIENCE = Patience()


@given(minutes, attempts, spreads)
def test_the_next_attempt_is_later_and_not_beyond_the_end(
    age: timedelta, tries: int, spread: float
) -> None:
    last = NOON + age
    due = next_attempt(NOON, last, tries, PATIENCE, spread=spread)
    if age >= PATIENCE.give_up_after:
        assert due is None
    else:
        assert due is not None
        assert last < due <= NOON + PATIENCE.give_up_after
        assert due - last <= PATIENCE.longest_pause * 1.1


@given(attempts, attempts, spreads)
def test_pauses_never_shrink(one: int, other: int, spread: float) -> None:
    patience = Patience(give_up_after=timedelta(days=1000))
    earlier, later = sorted((one, other))
    first = next_attempt(NOON, NOON, earlier, patience, spread=spread)
    second = next_attempt(NOON, NOON, later, patience, spread=spread)
    assert first is not None
    assert second is not None
    assert first <= second


@given(st.lists(spreads, min_size=200, max_size=200))
def test_a_message_is_tried_often_enough_and_then_given_up(chance: list[float]) -> None:
    at, tries = NOON, 0
    for spread in chance:
        tries += 1
        due = next_attempt(NOON, at, tries, PATIENCE, spread=spread)
        if due is None:
            break
        at = due
    assert at == NOON + PATIENCE.give_up_after
    assert 15 <= tries <= 30


def test_the_first_pauses_double_from_a_quarter_of_an_hour() -> None:
    patience = Patience(tell_sender_after=timedelta(days=1))
    at, pauses = NOON, []
    for tries in range(1, 9):
        due = next_attempt(NOON, at, tries, patience, spread=0.0)
        assert due is not None
        pauses.append((due - at).total_seconds() / 60)
        at = due
    assert pauses == [15, 30, 60, 120, 240, 480, 480, 15]  # the last one: the sender is told


def test_attempts_that_somebody_hurries_do_not_lengthen_the_pause() -> None:
    """Ten times `retry now` within half an hour, and it is tried on as if nobody had."""
    last = NOON + timedelta(minutes=30)
    due = next_attempt(NOON, last, 12, PATIENCE, spread=0.0)
    assert due == last + timedelta(minutes=45)


def test_mail_that_waited_for_us_begins_with_the_first_pause() -> None:
    last = NOON + timedelta(hours=8)
    assert next_attempt(NOON, last, 1, PATIENCE, spread=0.0) == last + timedelta(minutes=15)


@given(st.lists(spreads, min_size=10, max_size=10))
def test_an_attempt_is_due_at_the_moment_the_sender_is_to_be_told(chance: list[float]) -> None:
    at, due_at = NOON, []
    for tries, spread in enumerate(chance, 1):
        due = next_attempt(NOON, at, tries, PATIENCE, spread=spread)
        assert due is not None
        due_at.append(due)
        at = due
    assert NOON + PATIENCE.tell_sender_after in due_at


def test_the_sender_is_told_after_four_hours() -> None:
    assert not should_tell_sender(NOON, NOON + timedelta(hours=3, minutes=59), PATIENCE)
    assert should_tell_sender(NOON, NOON + timedelta(hours=4), PATIENCE)
