"""A next hop that is not ours, in a thread of its own: it keeps what it is given."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.delivery.sink import Sink

__all__ = ["Sink", "sinking"]


@contextmanager
def sinking(sink: Sink | None = None) -> Iterator[Sink]:
    """Run a sink until the block ends; its lists may be read at any time."""
    sink = sink or Sink()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sink", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(sink.__aenter__(), loop).result(10)
        try:
            yield sink
        finally:
            asyncio.run_coroutine_threadsafe(sink.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
