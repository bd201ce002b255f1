"""What happens behind the turn of a loop."""

import asyncio

from posthouse.server.turn import LoopTurn


async def test_a_call_comes_behind_what_is_done_now_and_only_in_the_thread_of_the_loop() -> None:
    turn, order = LoopTurn(), [""]
    assert turn(lambda: order.append("behind"))
    order.append("now")
    assert not await asyncio.to_thread(turn, lambda: order.append("never"))
    assert order == ["", "now", "behind"]
