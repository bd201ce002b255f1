"""Fixtures of the look-ups' tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from posthouse.dns.resolver import Bounds, Resolver
from tests.dns.toy_server import Ticks, ToyServer


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ToyServer]:
    async with ToyServer().running() as it:
        yield it


@pytest_asyncio.fixture
async def ticks() -> Ticks:
    return Ticks()


@pytest_asyncio.fixture
async def resolver(server: ToyServer, ticks: Ticks) -> AsyncIterator[Resolver]:
    it = Resolver([server.address], timeout=0.4, bounds=Bounds(ttl_max=1000), clock=ticks)
    yield it
    await it.close()
