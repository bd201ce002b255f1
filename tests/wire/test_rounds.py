"""Many who wait share few timers, and each is told at its time."""

import asyncio
from collections.abc import Callable

import pytest

from posthouse.wire.rounds import MOMENTS_PER_SECOND, Rounds, rounds_of_this_loop

SOON = 0.01


class Waiter:
    """Counts how often it was told."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.told = 0
        self._then = then

    def time_is_up(self) -> None:
        self.told += 1
        self._then()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_loop_has_one_for_all() -> None:
    assert rounds_of_this_loop() is rounds_of_this_loop()
    assert rounds_of_this_loop().loop is asyncio.get_running_loop()


async def test_who_is_due_at_the_same_moment_shares_a_timer() -> None:
    rounds = Rounds(asyncio.get_running_loop())
    waiters = [Waiter() for _ in range(100)]
    moments = {rounds.in_(60) for _ in waiters}
    assert len(moments) <= 2
    for moment in moments:
        moment.add(waiters[0])
        moment.discard(waiters[0])


async def test_nobody_is_told_too_early() -> None:
    rounds = Rounds(asyncio.get_running_loop())
    asked = rounds.time()
    times: list[float] = []
    waiter = Waiter(lambda: times.append(rounds.time()))
    rounds.in_(SOON).add(waiter)
    await until(lambda: bool(times))
    assert asked + SOON <= times[0]
    assert Rounds.number_at(asked) / MOMENTS_PER_SECOND > asked


async def test_who_waits_no_more_is_not_told_and_leaves_nothing_behind() -> None:
    rounds = Rounds(asyncio.get_running_loop())
    gone, staying = Waiter(), Waiter()
    moment = rounds.in_(SOON)
    moment.add(gone)
    moment.add(staying)
    moment.discard(gone)
    await until(lambda: staying.told == 1)
    assert gone.told == 0
    late = rounds.in_(60)
    late.add(gone)
    late.discard(gone)
    late.discard(gone)
    assert rounds._moments == {}


async def test_one_that_breaks_does_not_keep_the_others_waiting() -> None:
    loop = asyncio.get_running_loop()
    problems: list[object] = []
    loop.set_exception_handler(lambda _, context: problems.append(context["exception"]))
    rounds = Rounds(loop)

    def break_() -> None:
        raise OSError("broken")

    waiters = [Waiter(break_) for _ in range(3)]
    moment = rounds.in_(SOON)
    for waiter in waiters:
        moment.add(waiter)
    await until(lambda: all(waiter.told == 1 for waiter in waiters))
    await until(lambda: len(problems) == 3)
    assert rounds._moments == {}


async def test_who_waits_again_is_told_again() -> None:
    rounds = Rounds(asyncio.get_running_loop())

    def again() -> None:
        if waiter.told < 2:
            rounds.in_(0).add(waiter)

    waiter = Waiter(again)
    rounds.in_(0).add(waiter)
    await until(lambda: waiter.told == 2)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.25, 1.0])
async def test_a_moment_is_always_ahead(seconds: float) -> None:
    rounds = Rounds(asyncio.get_running_loop())
    moment = rounds.in_(seconds)
    assert moment.number / MOMENTS_PER_SECOND > rounds.time() + seconds - 0.25
    moment.discard(Waiter())
