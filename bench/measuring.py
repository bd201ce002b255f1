"""How a figure is taken: each function gives a running server some work."""

import time
from contextlib import ExitStack

from msgspec import Struct
from msgspec.structs import replace

from bench.figures import Figure
from bench.programs import BenchError, Brought, Fetching, Load, Programs, Sink, bring, fetch, idle
from bench.servers import Running
from bench.usage import Usage, highest_memory, usage_of

OCTETS_LARGE = 25 * 1024 * 1024
IDLE_PEER_MAX = 200  # Postfix has a process for each; its limit is 250
FIRST_SESSIONS = 20  # what the first ones make a server load is not the cost of one


class Place(Struct, frozen=True):
    """Where measurements happen.

    Attributes:
        programs: The load generators.
        sink: Next hop of all servers.
    """

    programs: Programs
    sink: Sink


def measure_mail(
    server: Running, place: Place, load: Load, port: str = "smtp", *, relayed: bool = True
) -> Figure:
    """Bring mail and wait until all of it is at the sink."""
    if port not in server.ports:
        raise BenchError(f"{server.name} has no {port} here")
    before, there = usage_of(server.process), place.sink.count
    began = time.monotonic()
    brought = bring(place.programs.load, server.ports[port], load)
    _expect_no_failures(server, brought)
    if relayed and not place.sink.wait_for(there + load.messages):
        raise BenchError(f"{server.name}: {place.sink.count - there} of {load} arrived")
    figure = _figure(brought, before, usage_of(server.process))
    if not relayed:
        return figure
    if (arrived := place.sink.count - there) > load.messages:
        raise BenchError(f"{server.name}: {arrived} arrived of {load.messages}")
    return replace(figure, relayed=load.messages / (place.sink.last - began))


def measure_relay(server: Running, place: Place, load: Load) -> Figure:
    """Bring mail; what counts is when the last one is at the sink."""
    figure = measure_mail(server, place, load)
    return Figure(rate=figure.relayed, cpu_us=figure.cpu_us, memory_kib=figure.memory_kib)


def measure_large(server: Running, place: Place) -> Figure:
    """Bring ten messages of 25 MiB at the same time; memory is the most it grew, for each."""
    load = Load(10, 10, octets=OCTETS_LARGE - 1024)
    before = usage_of(server.process).memory_octets
    with highest_memory(server.process) as highest:
        figure = measure_mail(server, place, load)
    return Figure(
        rate=figure.rate * OCTETS_LARGE / 1e6,
        relayed=figure.relayed * OCTETS_LARGE / 1e6,
        cpu_us=figure.cpu_us,
        memory_kib=(highest.octets - before) / 1024 / load.messages,
    )


def measure_idle(server: Running, place: Place, sessions: int) -> Figure:
    """Open idle sessions; memory is the growth for one of them."""
    if server.name == "Postfix":
        sessions = IDLE_PEER_MAX
    load, port = place.programs.load, server.ports["smtp"]
    with idle(load, port, FIRST_SESSIONS):
        pass
    before = usage_of(server.process).memory_octets
    began = time.monotonic()
    with ExitStack() as opened:
        opened.enter_context(idle(load, port, sessions))
        seconds = time.monotonic() - began
        after = usage_of(server.process).memory_octets
    return Figure(rate=sessions / seconds, memory_kib=(after - before) / 1024 / sessions)


def measure_start(server: Running, place: Place) -> Figure:  # noqa: ARG001 - as all of them
    """Say how long it took from the start of the process to the first greeting."""
    return Figure(rate=server.seconds, memory_kib=usage_of(server.process).memory_octets / 1024)


def measure_fetching(server: Running, place: Place, load: Fetching) -> Figure:
    """Sign in by POP3 and fetch."""
    before = usage_of(server.process)
    brought = fetch(place.programs.fetch, server.ports["pop3"], load)
    _expect_no_failures(server, brought)
    return _figure(brought, before, usage_of(server.process))


def _expect_no_failures(server: Running, brought: Brought) -> None:
    if brought.failures:
        raise BenchError(f"{server.name}: {brought.failures} of {brought.messages} failed")


def _figure(brought: Brought, before: Usage, after: Usage) -> Figure:
    return Figure(
        rate=brought.messages / brought.seconds,
        p50_ms=brought.p50_us / 1000,
        p99_ms=brought.p99_us / 1000,
        cpu_us=(after.cpu_seconds - before.cpu_seconds) / brought.messages * 1e6,
        memory_kib=after.memory_octets / 1024,
    )
