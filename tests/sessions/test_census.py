from datetime import timedelta
from ipaddress import ip_address

from posthouse.policy.facts import Load
from posthouse.policy.rules import Budget
from posthouse.sessions.census import ADDRESSES_MAX, Census

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


def test_an_address_uses_up_its_budget_and_it_comes_back() -> None:
    clock = [100.0]
    census = Census(lambda: clock[0])
    census.budget = Budget(3, timedelta(minutes=1))
    for made in (1, 2, 3):
        assert census.load(ANN).connections_from_address == made - 1
        assert census.enter(ANN).connections_from_address == made
        clock[0] += 0.001
    assert census.load(ANN).connections_from_address == 3
    assert census.load(BOB).connections_from_address == 0
    census.enter(ANN)  # is refused, and uses up nothing
    clock[0] += 20
    assert census.load(ANN).connections_from_address == 2
    clock[0] += 60
    assert census.load(ANN).connections_from_address == 0


def test_only_so_many_addresses_are_remembered() -> None:
    census = Census(lambda: 0.0)
    census.budget = Budget(3, timedelta(minutes=1))
    first = int(ip_address("10.0.0.0"))
    for number in range(ADDRESSES_MAX + 1):
        census.enter(ip_address(first + number))
    assert census.load(ip_address(first)).connections_from_address == 0
    assert census.load(ip_address(first + ADDRESSES_MAX)).connections_from_address == 1
