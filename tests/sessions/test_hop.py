import asyncio
import threading

from posthouse.sessions.hop import Hop


async def test_calls_of_a_thread_run_in_the_loop_in_their_order() -> None:
    loop = asyncio.get_running_loop()
    hop = Hop(loop)
    seen: list[int] = []
    done = asyncio.Event()
    in_loop = threading.get_ident()

    def call(number: int) -> None:
        assert threading.get_ident() == in_loop
        seen.append(number)
        if number == 99:
            done.set()

    def writer() -> None:
        for number in range(100):
            hop.call(lambda number=number: call(number))  # type: ignore[misc]

    await asyncio.to_thread(writer)
    await asyncio.wait_for(done.wait(), 5)
    assert seen == list(range(100))


async def test_a_failing_call_does_not_cost_the_others_theirs() -> None:
    loop = asyncio.get_running_loop()
    reported: list[object] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    hop, done = Hop(loop), asyncio.Event()

    def fails() -> None:
        raise KeyError

    hop.call(fails)
    hop.call(done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert [type(it) for it in reported] == [KeyError]


def test_a_call_after_the_loop_closed_is_let_go() -> None:
    loop = asyncio.new_event_loop()
    hop = Hop(loop)
    loop.close()
    hop.call(lambda: None)
