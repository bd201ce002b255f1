"""How wide the way to each next hop is."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.lanes import LONGEST_CLOSURE, Lane, Lanes, Width
from posthouse.delivery.outcomes import Deferred, Delivered, Failed, Outcome
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


def test_the_lane_with_the_fewest_attempts_begins_first() -> None:
    lanes = Lanes(Width(sessions=4, each_hop=20))
    for hop in ("a", "b", "c"):
        lane = lanes.lane(hop)
        lane.allowed = 20
        lane.waiting.extend([work()] * 10)
    begun = []
    for lane in lanes.to_begin():
        lane.waiting.popleft()
        lane.running += 1
        begun.append(lane)
        if lanes.running == 4:
            break
    assert {begun.index(lanes.lane(hop)) for hop in ("a", "b", "c")} == {0, 1, 2}
    assert lanes.is_crowded
    assert list(lanes.to_begin()) == []


def test_full_lanes_name_the_domains_that_must_wait() -> None:
    lanes = Lanes(Width())
    lane = lanes.lane("relay:25")
    lane.waiting.extend([work()] * 4)
    lane.domains.add("other.example")
    assert lanes.full_domains() == {"theirs.example", "other.example"}
    lane.waiting.popleft()
    assert lanes.full_domains() == set()
    assert lane.domains == set()
    assert len(lanes.take_all()) == 3


def test_our_own_mailboxes_begin_wide() -> None:
    assert Lanes(Width()).lane("local").allowed == Width().at_home
