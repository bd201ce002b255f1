"""Figures as a table and as a plot."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.workloads import Figure, Workload

BAR, GAP, LEFT, WIDTH = 14, 22, 330, 420
GREEN: Final = "#1f6f54"


class Row(Struct, frozen=True):
    """One workload, the median of all rounds of both servers."""

    workload: Workload
    peer: Figure
    ours: Figure
    rounds: int

    @property
    def ratio(self) -> float:
        """How many times the peer's rate ours is."""
        return self.ours.rate / self.peer.rate if self.peer.rate else 0


def row_of(workload: Workload, measured: Mapping[str, Sequence[Figure]]) -> Row:
    """Return the medians."""
    peer, ours = (_median(measured[name]) for name in ("Postfix", "Posthouse"))
    return Row(workload, peer, ours, min(map(len, measured.values())))


def _median(figures: Sequence[Figure]) -> Figure:
    fields = Figure.__struct_fields__
    return Figure(**{it: statistics.median(getattr(each, it) for each in figures) for it in fields})


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table: ours / Postfix."""
    lines = [
        "| Workload | Posthouse | Postfix | ratio (goal) | relayed | p50 ms | p99 ms | CPU | KiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(row) for row in rows]) + "\n"


def _line(row: Row) -> str:
    ours, peer = row.ours, row.peer

    def pair(field: str, digits: int) -> str:
        ours_, peer_ = getattr(ours, field), getattr(peer, field)
        return f"{ours_:,.{digits}f} / {peer_:,.{digits}f}" if ours_ or peer_ else ""

    goal = f" ({row.workload.goal:g})" if row.workload.goal else ""
    relayed = f"{ours.relayed / peer.relayed:.2f}" if peer.relayed else ""
    return (
        f"| {row.workload.name} | {ours.rate:,.0f} {row.workload.unit} | {peer.rate:,.0f}"
        f" | **{row.ratio:.2f}**{goal} | {relayed} | {pair('p50_ms', 1)} | {pair('p99_ms', 1)}"
        f" | {pair('cpu_us', 0)} | {pair('memory_kib', 1)} |"
    )


def machine() -> str:
    """Say on what was measured."""
    text = Path("/proc/cpuinfo").read_text()
    models = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    loads = Path("/proc/loadavg").read_text().split()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {len(models)} x {models[0] if models else '?'},"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()};"
        f" load average at the end {loads}"
    )


def plot(rows: Sequence[Row]) -> str:
    """Return an SVG: for each workload our rate as a multiple of the peer's."""
    rows = [row for row in rows if row.workload.unit != "sessions/s"]
    most = max(*(row.ratio for row in rows), *(row.workload.goal for row in rows), 1.0)
    height = len(rows) * (BAR + GAP) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 60} {height}">',
        "<style>text { font: 12px sans-serif }</style>",
        f'<text x="{LEFT}" y="16">rate / that of Postfix (line: Postfix; tick: goal)</text>',
    ]
    for number, row in enumerate(rows):
        parts += _bar(row, 30 + number * (BAR + GAP), WIDTH / most)
    one = LEFT + WIDTH / most
    parts.append(
        f'<line x1="{one:.1f}" x2="{one:.1f}" y1="24" y2="{height - 20}" stroke="#9aa5b1"/>'
    )
    return "\n".join([*parts, "</svg>\n"])


def _bar(row: Row, top: int, scale: float) -> list[str]:
    middle, end = top + BAR - 3, LEFT + row.ratio * scale
    parts = [
        f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{row.workload.name}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="{BAR}" fill="{GREEN}"/>',
        f'<text x="{end + 6:.1f}" y="{middle}">{row.ratio:.2f}</text>',
    ]
    if row.workload.goal:
        goal = LEFT + row.workload.goal * scale
        parts.append(
            f'<line x1="{goal:.1f}" x2="{goal:.1f}" y1="{top - 4}" y2="{top + BAR + 4}"'
            ' stroke="#c0392b" stroke-width="2"/>'
        )
    return parts
