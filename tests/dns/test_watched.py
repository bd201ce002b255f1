"""Host names that may relay: a failed look-up neither opens nor closes anything."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import dns.rcode
import pytest

from posthouse.dns.resolver import Resolver
from posthouse.dns.watched import Watch, WatchedNames
from posthouse.policy.facts import WatchedName
from tests.dns.toy_server import Ticks, ToyServer

HOST = "shop.dyn.example"
HOME, AWAY = ip_address("192.0.2.7"), ip_address("192.0.2.8")
WATCH = Watch(refresh=timedelta(minutes=5), linger=timedelta(hours=1))
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class World:
    """A server, a clock for the names and one for the cache."""

    def __init__(self, server: ToyServer, resolver: Resolver, ticks: Ticks, path: Path) -> None:
        self.server, self.resolver, self.ticks, self.path = server, resolver, ticks, path
        self.now = NOON
        server.add(HOST, "A", str(HOME), ttl=60)

    def names(self) -> WatchedNames:
        return WatchedNames(self.resolver, {HOST: WATCH}, path=self.path, now=lambda: self.now)

    def advance(self, pause: timedelta) -> None:
        self.now += pause
        self.ticks.at += pause.total_seconds()

    def move(self, *addresses: object) -> None:
        self.server.add(HOST, "A", *map(str, addresses), ttl=60)


@pytest.fixture
def world(server: ToyServer, resolver: Resolver, ticks: Ticks, tmp_path: Path) -> World:
    return World(server, resolver, ticks, tmp_path / "seen.json")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def started(world: World) -> WatchedNames:
    names = world.names()
    await names.start()
    await until(lambda: not names.unreadable())
    return names


async def test_a_name_is_found_at_its_address_and_nowhere_else(world: World) -> None:
    names = await started(world)
    assert names.names_at(HOME, NOON) == (WatchedName(HOST, NOON),)
    assert names.names_at(AWAY, NOON) == ()
    await names.stop()


async def test_an_address_that_went_away_lingers(world: World) -> None:
    names = await started(world)
    world.move(AWAY)
    world.advance(timedelta(minutes=30))
    assert await names.look_up(HOST)
    assert names.names_at(HOME, world.now) == (WatchedName(HOST, NOON),)
    assert names.names_at(AWAY, world.now) == (WatchedName(HOST, world.now),)
    world.advance(timedelta(days=2))
    assert names.names_at(HOME, world.now) == ()
    await names.stop()


async def test_before_the_first_answer_nothing_is_known(world: World) -> None:
    world.server.silent.add(HOST)
    names = world.names()
    await names.start()
    assert names.unreadable() == {HOST}
    assert names.names_at(HOME, NOON) == ()
    await names.stop()


async def test_a_temporary_failure_changes_nothing_that_is_known(world: World) -> None:
    names = await started(world)
    world.server.rcodes[HOST] = dns.rcode.SERVFAIL
    world.advance(timedelta(minutes=50))
    assert not await names.look_up(HOST)
    assert names.names_at(HOME, world.now) == (WatchedName(HOST, NOON),)
    assert names.unreadable() == frozenset(), "something good is remembered within the linger"
    world.advance(timedelta(minutes=11))
    assert names.unreadable() == {HOST}, "now nothing is known: neither yes nor no"
    del world.server.rcodes[HOST]
    assert await names.look_up(HOST)
    assert names.unreadable() == frozenset()
    assert names.names_at(HOME, world.now) == (WatchedName(HOST, world.now),)
    await names.stop()


@pytest.mark.parametrize("gone", ["no such name", "no data"])
async def test_a_name_that_is_gone_is_known_to_be_gone(world: World, gone: str) -> None:
    names = await started(world)
    world.server.remove(HOST, "A")
    if gone == "no data":
        world.server.add(HOST, "TXT", "x")
    world.advance(timedelta(hours=2))
    assert await names.look_up(HOST)
    assert names.unreadable() == frozenset()
    await names.stop()


async def test_a_restart_keeps_what_was_seen(world: World) -> None:
    names = await started(world)
    await names.stop()
    world.server.silent.add(HOST)
    world.advance(timedelta(minutes=20))
    again = world.names()
    await again.start()
    assert again.names_at(HOME, world.now) == (WatchedName(HOST, NOON),)
    assert again.unreadable() == frozenset()
    await again.stop()


@pytest.mark.parametrize("octets", [b"", b"{", b'{"a": {"nonsense": "x"}}', b"[1]", b"\xff" * 99])
async def test_a_broken_file_costs_only_the_memory(world: World, octets: bytes) -> None:
    world.path.write_bytes(octets)
    names = await started(world)
    assert len(names.names_at(HOME, NOON)) == 1
    await names.stop()
    assert HOST.encode() in world.path.read_bytes()


async def test_names_are_looked_up_again_and_again(world: World) -> None:
    quick = Watch(refresh=timedelta(seconds=0.02), linger=timedelta(hours=1))
    names = WatchedNames(world.resolver, {HOST: quick}, path=world.path, now=lambda: world.now)
    await names.start()
    await until(lambda: bool(names.names_at(HOME, NOON)))
    world.move(AWAY)
    world.ticks.at += 100
    await until(lambda: bool(names.names_at(AWAY, NOON)))
    await names.stop()


async def test_a_reload_watches_other_names(world: World) -> None:
    names = await started(world)
    world.server.add("other.example", "A", str(AWAY))
    names.watch({"other.example": WATCH})
    assert names.names_at(HOME, NOON) == ()
    await until(lambda: bool(names.names_at(AWAY, NOON)))
    names.watch({"other.example": WATCH, "none.example": WATCH})
    assert "none.example" in names.unreadable()
    await until(lambda: not names.unreadable())
    await names.stop()


async def test_a_name_with_ever_new_addresses_costs_bounded_memory(world: World) -> None:
    names = await started(world)
    for number in range(100):
        world.move(f"192.0.2.{number}")
        world.advance(timedelta(minutes=2))
        await names.look_up(HOST)
    await names.stop()
    assert world.path.read_bytes().count(b"192.0.2.") <= 64


async def test_an_address_seen_before_the_clock_was_set_back_is_not_open_for_longer(
    world: World,
) -> None:
    world.now = NOON + timedelta(days=365)
    names = await started(world)
    world.now = NOON
    assert names.names_at(HOME, world.now) == (WatchedName(HOST, NOON),)
    assert names.unreadable() == frozenset()
    world.now = NOON + timedelta(hours=2)
    (name,) = names.names_at(HOME, world.now)
    assert world.now - name.last_seen > WATCH.linger
    await names.stop()
