"""What is measured: the rows of the table, with the goals of issue 7."""

from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Struct

from bench import stages
from bench.figures import Figure
from bench.measuring import (
    Place,
    measure_fetching,
    measure_idle,
    measure_large,
    measure_mail,
    measure_relay,
    measure_start,
)
from bench.programs import Fetching, Load
from bench.servers import OURS, PASSWORD, USER, Running
from bench.stages import MESSAGES_EACH, USERS, Stage

Measure = Callable[[Running, Place], Figure]

SCALE_QUICK: Final = 0.4
DEEP, DEEP_QUICK = 1_000_000, 20_000
RESTART, RESTART_QUICK = 100_000, 20_000
MAIL: Final = "mails/s"


class Goals(Struct, frozen=True):
    """What we want (issue 7); 0 is no goal.

    Attributes:
        ratio: Of the rate to the peer's, at least.
        relayed: Of the rate of what is relayed, at least.
        p99: Of p99 to the peer's, at most.
        cpu: Of CPU time to the peer's, at most.
        memory_kib: Ours, at most.
        rate: Ours, at most, where less is better.
    """

    ratio: float = 0
    relayed: float = 0
    p99: float = 0
    cpu: float = 0
    memory_kib: float = 0
    rate: float = 0


class Workload(Struct, frozen=True):
    """One line of the table.

    Attributes:
        name: In it.
        unit: Of `Figure.rate`.
        stage: Which servers.
        measure: Takes the figure.
        goals: What we want.
        quick: Part of the quick run.
        memory: What `Figure.memory_kib` is for.
        less: A lower rate is better.
        queued: Memory is what a server has more than its peer, for each of so many.
    """

    name: str
    unit: str
    stage: Stage
    measure: Measure
    goals: Goals = Goals()
    quick: bool = False
    memory: str = ""
    less: bool = False
    queued: int = 0


def workloads(*, quick: bool, python: str = "") -> list[Workload]:
    """Return all of them, or those of the quick run, which bring less."""
    scale = SCALE_QUICK if quick else 1
    rows = [
        *_idle(),
        *_accept(scale),
        *_others(scale),
        *_queues(scale, quick=quick),
        *_fetching(scale),
        *_networks(scale),
        *_slow_disk(scale),
    ]
    if python:
        stage = Stage("aiosmtpd", stages.beside_aiosmtpd)
        load = Load(int(2000 * scale), 50)
        rows.append(Workload("accept 4 KiB, 50 sessions", MAIL, stage, _kept(load)))
    return [row for row in rows if row.quick or not quick]


def _mail(load: Load, port: str = "smtp", *, relayed: bool = True) -> Measure:
    return lambda server, place: measure_mail(server, place, load, port, relayed=relayed)


def _kept(load: Load) -> Measure:
    """Return what is measured where the peer sends nothing on; that ours does is waited for."""
    return lambda server, place: measure_mail(server, place, load, relayed=server.name == OURS)


def _relay(load: Load) -> Measure:
    return lambda server, place: measure_relay(server, place, load)


def _idle() -> list[Workload]:
    stage = Stage("idle", stages.beside_postfix, again=True)  # nothing to use again for a second
    rows = []
    for sessions, quick in ((1000, True), (5000, False)):
        rows.append(
            Workload(
                f"{sessions:,} idle sessions",
                "sessions/s",
                stage,
                partial(measure_idle, sessions=sessions),
                Goals(memory_kib=4),
                quick=quick,
                memory="a session",
            )
        )
    return rows


def _accept(scale: float) -> list[Workload]:
    stage = Stage("mail", stages.beside_postfix)

    def accept(count: int, sessions: int, octets: int = 4096, each: int = 1_000_000) -> Measure:
        return _mail(Load(max(int(count * scale), sessions), sessions, octets=octets, each=each))

    def row(name: str, measure: Measure, goals: Goals, *, quick: bool = True) -> Workload:
        return Workload(f"accept {name}", MAIL, stage, measure, goals, quick=quick)

    return [
        row("4 KiB, 1 session", accept(1000, 1), Goals(1.8)),
        row("4 KiB, 10 sessions", accept(3000, 10), Goals(2.5)),
        row("4 KiB, 50 sessions", accept(5000, 50), Goals(5, p99=0.5)),
        row("4 KiB, 200 sessions", accept(5000, 200), Goals(7)),
        row("4 KiB, 50 sessions, one mail each", accept(3000, 50, each=1), Goals(3.5), quick=False),
        row("40 KiB, 50 sessions", accept(2000, 50, octets=40960), Goals(2), quick=False),
    ]


def _others(scale: float) -> list[Workload]:
    stage = Stage("mail", stages.beside_postfix)  # those of accept go on
    relay = Goals(6, cpu=0.15)
    one, many = Load(int(5000 * scale), 50), Load(int(5000 * scale), 50, domains=1000)
    refused = Load(int(10_000 * scale), 50, each=50, flags="r")
    submitted = Load(int(2000 * scale), 50, each=10, flags="t", user=USER, password=PASSWORD)
    return [
        Workload("relay 4 KiB, 1 domain", MAIL, stage, _relay(one), relay, quick=True),
        Workload("relay 4 KiB, 1,000 domains", MAIL, stage, _relay(many), relay, quick=True),
        Workload(
            "refuse, 50 sessions",
            "refusals/s",
            stage,
            _mail(refused, "closed", relayed=False),
            Goals(1.5),
            quick=True,
        ),
        Workload(
            "submission with TLS and AUTH, 10 each",
            MAIL,
            stage,
            _mail(submitted, "submissions"),
            Goals(1.5),
        ),
        Workload(
            "25 MiB x 10, all at once",
            "MB/s",
            Stage("large", stages.beside_postfix, again=True),
            measure_large,
            Goals(0.8, memory_kib=2048),
            memory="a message",
        ),
    ]


def _queues(scale: float, *, quick: bool) -> list[Workload]:
    deep = DEEP_QUICK if quick else DEEP
    waiting = RESTART_QUICK if quick else RESTART
    return [
        Workload(
            f"start with {waiting:,} queued",
            "s",
            Stage("start", partial(stages.deep_queue, queued=waiting), again=True),
            measure_start,
            Goals(rate=2),
            quick=True,
            less=True,
        ),
        Workload(
            f"accept and relay, {deep:,} queued",
            MAIL,
            Stage("depth", partial(stages.deep_queue, queued=deep)),
            _mail(Load(int(5000 * scale), 50)),
            Goals(0.85, relayed=0.85, memory_kib=0 if quick else 200 / 1024),
            quick=True,
            memory="" if quick else "queued each",  # of few messages it would be noise
            queued=0 if quick else deep,
        ),
    ]


def _fetching(scale: float) -> list[Workload]:
    stage = Stage("pop3", stages.beside_dovecot)

    def fetching(count: int, each: int) -> Measure:
        load = Fetching(int(count * scale), USERS, each, PASSWORD)
        return lambda server, place: measure_fetching(server, place, load)

    sign_in, retrieve = fetching(2000, 0), fetching(100, MESSAGES_EACH)
    name = f"POP3, {USERS} sessions"
    return [
        Workload(f"{name}, sign-in", "sign-ins/s", stage, sign_in, Goals(0.8), quick=True),
        Workload(f"{name}, RETR 4 KiB", "RETR/s", stage, retrieve, Goals(0.6), quick=True),
    ]


def _networks(scale: float) -> list[Workload]:
    stage = Stage("networks", stages.many_networks)
    more = f"{stages.NETWORKS:,} networks, 50 sessions"
    accepted = Load(int(3000 * scale), 50)
    refused = Load(int(5000 * scale), 50, each=50, flags="r")
    return [
        Workload(f"accept 4 KiB, {more}", MAIL, stage, _mail(accepted)),
        Workload(f"refuse, {more}", "refusals/s", stage, _mail(refused, "closed", relayed=False)),
    ]


def _slow_disk(scale: float) -> list[Workload]:
    stage = Stage("slow", stages.slow_disk)
    few, many = Load(int(1500 * scale), 10), Load(int(3000 * scale), 50)
    return [
        Workload("accept 4 KiB, slow disk, 10 sessions", MAIL, stage, _mail(few), Goals(1)),
        Workload(
            "accept 4 KiB, slow disk, 50 sessions",
            MAIL,
            stage,
            _mail(many),
            Goals(2.5),
            quick=True,
        ),
    ]
