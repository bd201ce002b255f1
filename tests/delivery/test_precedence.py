"""While mail pours in, delivery waits: for a while, and only then."""

import asyncio

import pytest

from posthouse.delivery.precedence import (
    ARRIVALS_EACH_SECOND,
    MEMORY_SHARE_MAX,
    STEP_SECONDS,
    TURN_SECONDS,
    WAIT_SECONDS_MAX,
    Precedence,
)
from posthouse.spool.records import Backlog

LONG, SHORT = 10 * TURN_SECONDS, 0.0
MANY, FEW = int(2 * ARRIVALS_EACH_SECOND * STEP_SECONDS), 1


class Inn:
    """Looks at a backlog once a step."""

    def __init__(self) -> None:
        self.at = 100.0
        self.backlog = Backlog()
        self.precedence = Precedence(lambda: self.backlog, lambda: self.at)

    def step(
        self, turn: float, arrivals: int, seconds: float = 0.1, memory_share: float = 0.1
    ) -> bool:
        self.at += 1.5 * STEP_SECONDS
        self.backlog = Backlog(self.backlog.arrived + arrivals, seconds, memory_share)
        return self.precedence.is_pouring(turn)


def test_an_idle_server_delivers_at_once() -> None:
    assert not Inn().step(SHORT, FEW)


def test_a_burst_that_clients_queue_up_with_is_accepted_first() -> None:
    assert Inn().step(LONG, MANY)


@pytest.mark.parametrize(
    ("turn", "arrivals"),
    [(SHORT, MANY), (LONG, FEW)],
    ids=["many arrive, but nobody waits for the loop", "something else keeps the loop busy"],
)
def test_one_sign_alone_is_no_burst(turn: float, arrivals: int) -> None:
    assert not Inn().step(turn, arrivals)


def test_what_has_waited_long_waits_no_longer() -> None:
    assert not Inn().step(LONG, MANY, seconds=WAIT_SECONDS_MAX + 0.1)


def test_a_backlog_that_fills_the_memory_waits_no_longer() -> None:
    assert not Inn().step(LONG, MANY, memory_share=MEMORY_SHARE_MAX + 0.01)


def test_delivery_goes_on_soon_after_a_burst() -> None:
    inn = Inn()
    for _ in range(10):
        assert inn.step(LONG, MANY)
    assert not inn.step(LONG, 0)


def test_a_single_long_turn_is_forgotten_within_a_few_steps() -> None:
    inn = Inn()
    inn.step(LONG, MANY)
    assert not [inn.step(SHORT, MANY) for _ in range(12)][-1]


def test_between_two_looks_of_one_step_the_answer_stays() -> None:
    inn = Inn()
    assert inn.step(LONG, MANY)
    assert inn.precedence.is_pouring(LONG)


async def test_giving_way_returns_at_once_when_nothing_comes_in() -> None:
    async with asyncio.timeout(5):
        await Precedence(Backlog).give_way()
