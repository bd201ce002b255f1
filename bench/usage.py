"""What a server costs: CPU time and memory of a process and all that it started (Linux)."""

import os
from pathlib import Path

from msgspec import Struct

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(Struct, frozen=True):
    """At one moment.

    Attributes:
        cpu_seconds: User and system time so far, ended children included.
        memory_octets: Proportional share of all processes (PSS).
    """

    cpu_seconds: float
    memory_octets: int


def usage_of(root: int) -> Usage:
    """Return what the process `root` and its descendants have used."""
    ticks, octets = 0, 0
    for number in _family(root):
        try:
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            shares = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except (OSError, ValueError):  # it has ended
            continue
        ticks += sum(map(int, fields[11:15]))
        octets += sum(int(line.split()[1]) for line in shares if line.startswith("Pss:")) * 1024
    return Usage(ticks / _TICKS, octets)


def _family(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    family = [root]
    for number in family:
        family += children.get(number, [])
    return family
