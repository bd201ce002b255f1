"""Whichever address answers first is used."""

import asyncio
from ipaddress import ip_address

import pytest

from posthouse.delivery.link import Link, LinkError, connect
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.reaching import reach
from tests.delivery.given import host
from tests.delivery.sink import Sink


def dead(last: int) -> Host:
    return Host("x.example", ip_address(f"192.0.2.{last}"), 25)


async def open_link(to: Host) -> Link:
    if str(to.address).startswith("192.0.2."):
        if to.address == ip_address("192.0.2.9"):
            raise LinkError("no connection: refused")
        await asyncio.sleep(30)  # nobody answers
    assert to.address is not None
    return await connect(to.address, to.port, source=None, seconds=5)


async def test_an_address_that_is_silent_or_refuses_costs_only_a_moment() -> None:
    async with Sink() as sink:
        there = host(sink.port)
        link, reached = await reach([dead(1), dead(9), there], open_link)
        assert reached == there
        link.abort()


async def test_one_address_is_simply_tried() -> None:
    with pytest.raises(LinkError, match="refused"):
        await reach([dead(9)], open_link)


async def test_where_none_answers_the_first_failure_is_told() -> None:
    with pytest.raises(LinkError, match="refused"):
        await reach([dead(9), dead(9)], open_link)


async def test_connections_that_lose_the_race_are_closed() -> None:
    async with Sink() as sink:
        link, _ = await reach([host(sink.port)] * 4, open_link)
        link.abort()
