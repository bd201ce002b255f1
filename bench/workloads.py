"""What is measured: each workload takes a running server and gives one figure."""

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bench.programs import BenchError, Load, Sink, bring, idle
from bench.servers import PASSWORD, USER, Running
from bench.usage import usage_of

OCTETS_LARGE = 25 * 1024 * 1024


class Place(Struct, frozen=True):
    """Where measurements happen.

    Attributes:
        program: The load generator.
        sink: Next hop of all servers.
    """

    program: Path
    sink: Sink


class Figure(Struct, frozen=True):
    """One measurement of one server.

    Attributes:
        rate: Of the workload's unit; more is better.
        relayed: Messages a second until the last one was at the sink; 0 if none goes there.
        p50_ms: Time of one transaction, median.
        p99_ms: The same, one of a hundred is slower.
        cpu_us: CPU time of the server for a message.
        memory_kib: What the workload says of memory.
    """

    rate: float
    relayed: float = 0
    p50_ms: float = 0
    p99_ms: float = 0
    cpu_us: float = 0
    memory_kib: float = 0


class Workload(Struct, frozen=True):
    """One line of the table.

    Attributes:
        name: In it.
        unit: Of `Figure.rate`.
        measure: Takes the figure.
        goal: Ratio to the peer that we want (issue 7).
        quick: Part of the quick run.
    """

    name: str
    unit: str
    measure: Callable[[Running, Place], Figure]
    goal: float = 0
    quick: bool = False


def workloads(scale: float) -> list[Workload]:
    """Return all of them; `scale` multiplies the number of messages."""

    def accept(count: int, sessions: int, **more: int) -> Callable[[Running, Place], Figure]:
        load = replace(Load(max(int(count * scale), sessions), sessions), **more)
        return lambda server, place: measure_mail(server, place, load)

    def at(port: str, flags: str, count: int, **more: int) -> Callable[[Running, Place], Figure]:
        load = Load(int(count * scale), 50, flags=flags, user=USER, password=PASSWORD)
        load = replace(load, **more)
        relayed = "r" not in flags
        return lambda server, place: measure_mail(server, place, load, port, relayed=relayed)

    mail = "mails/s"
    return [
        # First, while nothing that an earlier workload left can be used again.
        Workload("1,000 idle sessions", "sessions/s", measure_idle),
        Workload("accept 4 KiB, 1 session", mail, accept(1000, 1), 1.8, quick=True),
        Workload("accept 4 KiB, 10 sessions", mail, accept(3000, 10), 2.5, quick=True),
        Workload("accept 4 KiB, 50 sessions", mail, accept(5000, 50), 5, quick=True),
        Workload("accept 4 KiB, 200 sessions", mail, accept(5000, 200), 7, quick=True),
        Workload("accept 4 KiB, 50 sessions, one mail each", mail, accept(3000, 50, each=1), 3.5),
        Workload("accept 40 KiB, 50 sessions", mail, accept(2000, 50, octets=40960), 2),
        Workload("accept 4 KiB, 50 sessions, 1,000 domains", mail, accept(3000, 50, domains=1000)),
        Workload("refuse, 50 sessions", "refusals/s", at("closed", "r", 10000, each=50), 1.5),
        Workload("submission with AUTH, 10 each", mail, at("submissions", "t", 2000, each=10), 1.5),
        Workload("25 MiB x 10, 2 sessions", "MB/s", measure_large, 0.8),
    ]  # fmt: skip


def measure_mail(
    server: Running, place: Place, load: Load, port: str = "smtp", *, relayed: bool = True
) -> Figure:
    """Bring mail and wait until all of it is at the sink."""
    if port not in server.ports:
        raise BenchError(f"{server.name} has no {port} here")
    before, there = usage_of(server.process), place.sink.count
    began = time.monotonic()
    brought = bring(place.program, server.ports[port], load)
    if brought.failures:
        raise BenchError(f"{server.name}: {brought.failures} of {load} failed")
    if relayed and not place.sink.wait_for(there + load.messages):
        raise BenchError(f"{server.name}: {place.sink.count - there} of {load} arrived")
    after = usage_of(server.process)
    return Figure(
        rate=brought.messages / brought.seconds,
        relayed=load.messages / (place.sink.last - began) if relayed else 0,
        p50_ms=brought.p50_us / 1000,
        p99_ms=brought.p99_us / 1000,
        cpu_us=(after.cpu_seconds - before.cpu_seconds) / load.messages * 1e6,
        memory_kib=after.memory_octets / 1024,
    )


def measure_large(server: Running, place: Place) -> Figure:
    """Bring ten messages of 25 MiB, two at a time; memory is the growth meanwhile."""
    load = Load(10, 2, octets=OCTETS_LARGE - 1024)
    before = usage_of(server.process).memory_octets
    figure = measure_mail(server, place, load)
    return Figure(
        rate=figure.rate * OCTETS_LARGE / 1e6,
        relayed=figure.relayed * OCTETS_LARGE / 1e6,
        cpu_us=figure.cpu_us,
        memory_kib=figure.memory_kib - before / 1024,
    )


def measure_idle(server: Running, place: Place, sessions: int = 1000) -> Figure:
    """Open idle sessions; memory is the growth for one of them."""
    before = usage_of(server.process).memory_octets
    if server.name == "Postfix":
        sessions = 200  # a process for each: more than its limit cannot be had
    began = time.monotonic()
    with ExitStack() as opened:
        try:
            opened.enter_context(idle(place.program, server.ports["smtp"], sessions))
        except subprocess.SubprocessError as error:
            raise BenchError(str(error)) from None
        seconds = time.monotonic() - began
        after = usage_of(server.process).memory_octets
    return Figure(rate=sessions / seconds, memory_kib=(after - before) / 1024 / sessions)
