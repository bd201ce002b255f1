from ipaddress import ip_address

from posthouse.policy.facts import Load
from posthouse.sessions.census import Census

ANN, BOB = ip_address("192.0.2.1"), ip_address("2001:db8::2")


def test_sessions_are_counted_in_all_and_by_address() -> None:
    census = Census()
    census.enter(ANN)
    census.enter(BOB)
    census.enter(ANN)
    assert census.load(ANN) == Load(sessions=3, sessions_from_address=2)
    census.leave(ANN)
    census.leave(ANN)
    assert census.load(ANN) == Load(sessions=1, sessions_from_address=0)


def test_a_server_that_stops_says_so() -> None:
    census = Census()
    census.shutting_down = True
    assert census.load(ANN).shutting_down
