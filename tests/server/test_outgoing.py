"""What one of several workers may use of what is configured."""

from posthouse.delivery.lanes import Width
from posthouse.delivery.routes import Pace
from posthouse.server.outgoing import share_of


def test_workers_together_use_what_is_configured() -> None:
    width = Width(sessions=100, each_hop=20, seconds_each=0.5)
    assert share_of(width, 1) is width
    share = share_of(width, 4)
    assert (share.sessions, share.each_hop, share.seconds_each) == (25, 5, 2.0)
    assert share_of(Width(sessions=1, each_hop=1), 4).each_hop == 1


def test_workers_together_use_what_a_route_allows() -> None:
    one, four = Width(each_hop=20), share_of(Width(each_hop=20), 4)
    assert one.pace_of(Pace(8, None, 0.5)) == (8, 0.5)
    assert four.pace_of(Pace(8, None, 0.5)) == (2, 2.0)
    assert four.pace_of(Pace(1, None, 0.0)) == (1, 0.0)
    assert four.pace_of(Pace(None, 5, 0.0)) == (5, 0.0)
