"""Where connections come in."""

import asyncio
import socket

import pytest

from posthouse.server.entrances import AT_ONCE, Entrances
from posthouse.server.listeners import bind

uvloop = pytest.importorskip("uvloop")


def test_clients_that_wait_are_taken_several_in_one_turn_of_the_loop() -> None:
    came: list[str] = []

    def protocol(listener: str) -> asyncio.BaseProtocol:
        came.append(listener)
        return asyncio.Protocol()

    async def serve_waiting_clients() -> int:
        bound = bind("mx", (("127.0.0.1", 0),))
        entrances = Entrances(protocol)
        await entrances.open((bound,))
        clients = [socket.create_connection(bound.addresses[0]) for _ in range(AT_ONCE)]
        for _ in range(3):
            await asyncio.sleep(0)
        taken = len(came)
        for client in clients:
            client.close()
        entrances.close()
        return taken

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(serve_waiting_clients()) == AT_ONCE
    assert set(came) == {"mx"}
