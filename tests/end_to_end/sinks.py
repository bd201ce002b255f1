"""What lies beyond the server, in threads of its own: next hops that are not ours, and a DNS."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from posthouse.lab.zones import Zones, ZoneServer
from tests.delivery.sink import Sink

__all__ = ["Sink", "sinking", "zoning"]

WAIT_SECONDS = 10
_Result = TypeVar("_Result")


class Loop:
    """An event loop in a thread."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[None, None, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_SECONDS)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECONDS)
        self._loop.close()


@contextmanager
def sinking(sink: Sink | None = None) -> Iterator[Sink]:
    """Run a sink until the block ends; its lists may be read at any time."""
    sink, loop = sink or Sink(), Loop("sink")
    try:
        loop.run(sink.__aenter__())
        try:
            yield sink
        finally:
            loop.run(sink.__aexit__(None, None, None))
    finally:
        loop.close()


@contextmanager
def zoning(zones: Zones) -> Iterator[str]:
    """Answer DNS questions from `zones`; yield ``address:port``."""
    loop, server = Loop("dns"), ZoneServer(zones, "127.0.0.1")
    try:
        loop.run(server.start())
        try:
            yield f"127.0.0.1:{server.port}"
        finally:
            loop.run(server.stop())
    finally:
        loop.close()
