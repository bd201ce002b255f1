"""Figures as an SVG: rates as multiples of the peer's, and costs as shares of their goals."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from bench.report import Row, number

BAR, STEP, LEFT, WIDTH, RIGHT = 14, 26, 340, 420, 150
GREEN, GREY, RED = "#1f6f54", "#9aa5b1", "#c0392b"
MOST: Final = 8.0  # a bar that is longer is cut: its figure stands beside it


class Bar(Struct, frozen=True):
    """One line of a panel.

    Attributes:
        name: Before it.
        length: Where 1 is the line.
        told: Behind it.
        goal: Where its mark is; 0 for none.
    """

    name: str
    length: float
    told: str
    goal: float = 0


def plot(rows: Sequence[Row]) -> str:
    """Return both panels."""
    first = [_of_rate(row) for row in rows if row.workload.goals.ratio or not row.outcomes]
    second = [
        Bar(f"{row.workload.name}: {it.what}", it.value / it.goal, f"{number(it.value)}{it.unit}")
        for row in rows
        for it in row.outcomes
        if not it.least
    ]
    lower = 40 + len(first) * STEP
    height = lower + 60 + len(second) * STEP
    width = LEFT + WIDTH + RIGHT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
            "<style>text { font: 12px sans-serif }</style>",
            *_panel("rate / that of the peer (line: the peer; red: goal)", first, 0),
            *_panel("share of the most that is wanted (line: all of it)", second, lower + 20),
            "</svg>\n",
        ]
    )


def _of_rate(row: Row) -> Bar:
    told = f"{row.ratio:.2f} x {row.peer_name}"
    return Bar(row.workload.name, row.ratio, told, row.workload.goals.ratio)


def _panel(title: str, bars: Sequence[Bar], top: int) -> list[str]:
    if not bars:
        return []
    longest = min(max(1.0, *(max(bar.length, bar.goal) for bar in bars)), MOST)
    scale, one, bottom = WIDTH / longest, LEFT + WIDTH / longest, top + 26 + len(bars) * STEP
    parts = [f'<text x="{LEFT}" y="{top + 16}">{title}</text>']
    for place, bar in enumerate(bars):
        parts += _bar(bar, top + 30 + place * STEP, scale)
    line = f'<line x1="{one:.1f}" x2="{one:.1f}" y1="{top + 24}" y2="{bottom}" stroke="{GREY}"/>'
    return [*parts, line]


def _bar(bar: Bar, top: int, scale: float) -> list[str]:
    middle, length = top + BAR - 3, min(max(bar.length * scale, 0), WIDTH)
    behind = max(length, min(bar.goal * scale, WIDTH)) + 6
    parts = [
        f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{bar.name}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{GREEN}"/>',
        f'<text x="{LEFT + behind:.1f}" y="{middle}">{bar.told}</text>',
    ]
    if bar.goal:
        goal = LEFT + min(bar.goal * scale, WIDTH)
        parts.append(
            f'<line x1="{goal:.1f}" x2="{goal:.1f}" y1="{top - 3}" y2="{top + BAR + 3}"'
            f' stroke="{RED}" stroke-width="2"/>'
        )
    return parts
