"""Figures as a table and what became of the goals."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bench.figures import Figure
from bench.servers import OURS
from bench.workloads import Workload


class Outcome(Struct, frozen=True):
    """What became of one goal.

    Attributes:
        what: Of the workload, such as "CPU".
        value: Measured.
        goal: Wanted.
        least: The goal is the least, not the most.
        unit: Of both, after a blank; "" for ratios.
    """

    what: str
    value: float
    goal: float
    least: bool
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether it was."""
        return self.value >= self.goal if self.least else self.value <= self.goal


class Row(Struct, frozen=True):
    """One workload, the medians of all rounds of both servers."""

    workload: Workload
    peer_name: str
    peer: Figure
    ours: Figure
    rounds: int

    @property
    def ratio(self) -> float:
        """How many times better than the peer's our rate is."""
        better, worse = self.ours.rate, self.peer.rate
        if self.workload.less:
            better, worse = worse, better
        return better / worse if worse else 0

    def ratio_of(self, field: str) -> float:
        """Our figure as a multiple of the peer's; 0 if there is none."""
        peer: float = getattr(self.peer, field)
        ours: float = getattr(self.ours, field)
        return ours / peer if peer else 0

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of all goals of the workload."""
        goals, ours = self.workload.goals, self.ours
        rate = Outcome(self.workload.unit, ours.rate, goals.rate, least=False, unit=" s")
        memory_kib = Outcome("memory", ours.memory_kib, goals.memory_kib, least=False, unit=" KiB")
        every = [
            Outcome("rate", self.ratio, goals.ratio, least=True),
            Outcome("relayed", self.ratio_of("relayed"), goals.relayed, least=True),
            Outcome("p99", self.ratio_of("p99_ms"), goals.p99, least=False),
            Outcome("CPU", self.ratio_of("cpu_us"), goals.cpu, least=False),
            replace(rate, what="time"),
            memory_kib,
        ]
        return [outcome for outcome in every if outcome.goal]


def row_of(workload: Workload, measured: Mapping[str, Sequence[Figure]]) -> Row:
    """Return the medians; one of the servers is ours, the other the peer."""
    peer_name = next(name for name in measured if name != OURS)
    peer, ours = _median(measured[peer_name]), _median(measured[OURS])
    if workload.queued:
        more = max(ours.memory_kib - peer.memory_kib, 0) / workload.queued
        peer, ours = replace(peer, memory_kib=0), replace(ours, memory_kib=more)
    return Row(workload, peer_name, peer, ours, min(map(len, measured.values())))


def _median(figures: Sequence[Figure]) -> Figure:
    fields = Figure.__struct_fields__
    return Figure(**{it: statistics.median(getattr(each, it) for each in figures) for it in fields})


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table: ours / the peer's, and the goals that were not reached."""
    lines = [
        "| Workload | Posthouse | beside | ratio (goal) | relayed | p50 ms | p99 ms | CPU | KiB |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(_line, rows),
    ]
    outcomes = [(row, outcome) for row in rows for outcome in row.outcomes]
    missed = [f"* {_told(row, it)}" for row, it in outcomes if not it.reached]
    said = f"{len(outcomes) - len(missed)} of {len(outcomes)} goals reached."
    return "\n".join([*lines, "", f"{said} Not reached:" if missed else said, *missed]) + "\n"


def _told(row: Row, it: Outcome) -> str:
    sides = "at least" if it.least else "at most"
    return (
        f"{row.workload.name}: {it.what} {number(it.value)}{it.unit},"
        f" wanted {sides} {number(it.goal)}{it.unit}"
    )


def _line(row: Row) -> str:
    ours, peer, workload = row.ours, row.peer, row.workload
    goal = f" ({workload.goals.ratio:g})" if workload.goals.ratio else ""
    relayed = f"{row.ratio_of('relayed'):.2f}" if peer.relayed else ""
    memory = _both(ours.memory_kib, peer.memory_kib) or ("0" if workload.queued else "")
    cells = [
        workload.name,
        f"{number(ours.rate)} {workload.unit}",
        f"{number(peer.rate)} {row.peer_name}",
        f"**{row.ratio:.2f}**{goal}",
        relayed,
        _both(ours.p50_ms, peer.p50_ms),
        _both(ours.p99_ms, peer.p99_ms),
        _both(ours.cpu_us, peer.cpu_us),
        f"{memory} {workload.memory}".strip(),
    ]
    return f"| {' | '.join(cells)} |"


def _both(ours: float, peer: float) -> str:
    return " / ".join(number(it) for it in (ours, peer) if it) if ours else ""


def number(value: float) -> str:
    """Return a figure with no more digits than mean something."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits if abs(value) >= 1 else 3}f}"


def machine() -> str:
    """Say on what was measured."""
    text = Path("/proc/cpuinfo").read_text()
    models = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    loads = " ".join(Path("/proc/loadavg").read_text().split()[:3])
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {len(models)} x {models[0] if models else '?'},"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()};"
        f" load averages at the end {loads}"
    )
