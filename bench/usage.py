"""What a server costs: CPU time and memory of a process and all that it started (Linux)."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

_SECONDS_BETWEEN_LOOKS = 0.05
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
    for number in family_of(root):
        try:
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            shares = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except (OSError, ValueError):  # it has ended
            continue
        ticks += sum(map(int, fields[11:15]))
        octets += sum(int(line.split()[1]) for line in shares if line.startswith("Pss:")) * 1024
    return Usage(ticks / _TICKS, octets)


class Highest:
    """The most memory that was seen so far."""

    octets = 0


@contextmanager
def highest_memory(root: int) -> Iterator[Highest]:
    """Look at the memory of a process and its descendants again and again meanwhile."""
    highest, ended = Highest(), threading.Event()

    def look() -> None:
        while True:
            highest.octets = max(highest.octets, usage_of(root).memory_octets)
            if ended.wait(_SECONDS_BETWEEN_LOOKS):
                return

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield highest
    finally:
        ended.set()
        looking.join()


def family_of(root: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
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
