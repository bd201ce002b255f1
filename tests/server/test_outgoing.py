"""What one of several workers may use of what is configured."""

from posthouse.delivery.lanes import Width
from posthouse.server.outgoing import share_of


def test_workers_together_use_what_is_configured() -> None:
    width = Width(sessions=100, each_hop=20, seconds_each=0.5)
    assert share_of(width, 1) is width
    share = share_of(width, 4)
    assert (share.sessions, share.each_hop, share.seconds_each) == (25, 5, 2.0)
    assert share_of(Width(sessions=1, each_hop=1), 4).each_hop == 1
