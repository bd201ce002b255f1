"""How wide the way to each next hop is."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.lanes import LONGEST_CLOSURE, LONGEST_DELAY_SECONDS, Lane, Lanes, Width
from posthouse.delivery.outcomes import Deferred, Delivered, Failed, Outcome
from posthouse.delivery.routes import Pace
from tests.delivery.given import NOON, work

GOOD: list[Outcome] = [Delivered("ok", "mx")]
SILENT: list[Outcome] = [Deferred("4.4.1", "no connection", unreachable=True)]


def test_a_lane_begins_narrow_and_widens_with_success() -> None:
    lane = Lane(2, 5)
    assert lane.allowed == 2
    for _ in range(10):
        lane.note(GOOD, NOON)
    assert lane.allowed == 5


def test_refusals_are_talk_and_do_not_narrow() -> None:
    lane = Lane(2, 5)
    lane.note([Failed("5.1.1", "no"), *SILENT], NOON)
    assert lane.allowed == 3
    assert lane.closed(NOON) is None


def test_a_silent_next_hop_closes_its_lane_for_a_growing_while() -> None:
    lane = Lane(2, 5)
    for minutes in (1, 2, 4, 8, 15, 15):
        lane.note(SILENT, NOON)
        end = NOON + timedelta(minutes=minutes)
        assert lane.closed(end - timedelta(seconds=1)) == SILENT[0]
        assert lane.closed(end) is None
    assert lane.allowed == 1
    lane.note(GOOD, NOON)
    assert lane.closed(NOON) is None
    assert lane.allowed == 2


@given(st.lists(st.sampled_from([GOOD, SILENT, []])))
def test_width_and_closure_stay_within_their_limits(history: list[list[Outcome]]) -> None:
    lane = Lane(2, 7)
    for outcomes in history:
        lane.note(outcomes, NOON)
        assert 1 <= lane.allowed <= 7
        assert lane.closed(NOON + LONGEST_CLOSURE) is None


def filled(lanes: Lanes, hop: str, works: int, allowed: int = 20, *, proven: bool = True) -> Lane:
    lane = lanes.lane(hop)
    lane.allowed, lane.proven = allowed, proven
    for _ in range(works):
        lanes.add(lane, work())
    return lane


def test_lanes_with_work_get_their_turns_one_after_another() -> None:
    lanes = Lanes(Width(sessions=6, each_hop=20))
    those = [filled(lanes, hop, 10) for hop in "abc"]
    begun = [lanes.begin() for _ in range(7)]
    assert [it[0] if it else None for it in begun] == [*those, *those, None]


def test_a_lane_goes_on_only_while_no_other_needs_the_room() -> None:
    lanes = Lanes(Width(sessions=1, each_hop=20))
    first, second = filled(lanes, "a", 3), filled(lanes, "b", 1)
    assert lanes.begin()
    assert lanes.go_on(first) is None
    lanes.end(first)
    begun = lanes.begin()
    assert begun is not None
    assert begun[0] is second
    lanes.end(second)
    assert lanes.begin()
    assert lanes.go_on(first) is not None
    assert lanes.go_on(first) is None
    assert first.running == 1


def test_a_lane_that_became_narrower_does_not_go_on() -> None:
    lanes = Lanes(Width())
    lane = filled(lanes, "a", 9)
    for _ in range(3):
        lanes.begin()
    lane.allowed = 2
    assert lanes.go_on(lane) is None
    lanes.end(lane)
    assert lanes.begin() is None
    assert lanes.go_on(lane) is not None


def test_full_lanes_name_the_domains_that_must_wait() -> None:
    lanes = Lanes(Width())
    lane = filled(lanes, "relay:25", 4, allowed=2)
    lane.domains.add("other.example")
    assert lanes.full_domains() == {"theirs.example", "other.example"}
    lanes.begin()
    assert lanes.full_domains() == set()
    assert lane.domains == set()
    assert len(lanes.take_all()) == 3
    assert lanes.begin() is None


def test_lanes_that_nothing_is_known_of_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.delivery.lanes.IDLE_LANES_MAX", 3)
    lanes = Lanes(Width())
    closed, busy = lanes.lane("dead"), filled(lanes, "busy", 1)
    closed.note(SILENT, NOON)
    lanes.lane("idle")
    lanes.lane("another")
    assert lanes.lane("dead") is closed
    assert lanes.lane("busy") is busy


def test_our_own_mailboxes_begin_wide() -> None:
    assert Lanes(Width()).lane("local").allowed == Width().at_home


BUSY: list[Outcome] = [Deferred("4.3.2", "421 4.3.2 busy", slow_down=True)]


def test_a_busy_next_hop_gets_half_and_then_less_often_until_it_recovers() -> None:
    lane = Lane(8, 8)
    for allowed, delay in ((4, 0), (2, 0), (1, 0), (1, 1), (1, 2), (1, 4)):
        lane.note(BUSY, NOON)
        assert (lane.allowed, lane.delay) == (allowed, delay)
    for _ in range(9):
        lane.note(BUSY, NOON)
    assert lane.delay == LONGEST_DELAY_SECONDS
    for _ in range(9):
        lane.note(GOOD, NOON)
    assert (lane.allowed, lane.delay) == (8, 0)


def test_a_rate_is_kept_by_distance() -> None:
    at = [100.0]
    lanes = Lanes(Width(), clock=lambda: at[0])
    lane = lanes.lane("slow", Pace(sessions=5, seconds_each=10))
    lane.proven = True
    for _ in range(3):
        lanes.add(lane, work())
    assert lanes.begin()
    assert lanes.begin() is None
    assert lanes.go_on(lane) is None
    assert lanes.next_begin() == 10
    at[0] += 10
    assert lanes.go_on(lane) is not None
    assert lanes.begin() is None
    lanes.end(lane)


def test_next_hops_that_may_be_dead_leave_half_of_the_sessions_to_others() -> None:
    lanes = Lanes(Width(sessions=10))
    dead = [filled(lanes, f"dead{number}", 1, proven=False) for number in range(20)]
    begun = [lanes.begin() for _ in range(10)]
    assert sum(it is not None for it in begun) == 5
    good = filled(lanes, "good", 9)
    assert [it[0] if it else None for it in (lanes.begin() for _ in range(6))] == [good] * 5 + [
        None
    ]
    lanes.note(dead[0], GOOD, NOON)
    assert dead[0].proven
    lanes.end(dead[0])
    assert lanes.begin() is not None
