"""How many workers a server has: what the file says, or as many as it may have processors."""

import os
import sys
from pathlib import Path
from typing import Final

from posthouse.config.schema import Configuration

AUTO_MAX: Final = 8  # beyond it nobody has measured that more are better
NO_QUOTA: Final = sys.maxsize


def workers_of(configuration: Configuration) -> int:
    """Return how many workers a configuration means on this machine.

    "auto" takes no more than there may be sessions to a next hop: each has one of its own.
    """
    if configuration.workers != "auto":
        return configuration.workers
    if not can_have_workers():
        return 1
    outbound = configuration.outbound
    each_hop = (it.sessions_per_host for it in outbound.route if it.sessions_per_host)
    return min(processors(), AUTO_MAX, outbound.sessions, outbound.sessions_per_host, *each_hop)


def can_have_workers() -> bool:
    """Whether the system and this Python have what several workers need (Linux 5.3)."""
    if not hasattr(os, "memfd_create") or not hasattr(os, "pidfd_open"):
        return False  # a Python that was built for older systems
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def processors(root: Path = Path("/")) -> int:
    """Return how many processors this process may keep busy, at least 1.

    Args:
        root: Where ``proc`` and ``sys`` are.
    """
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return 1
    return max(1, min(len(os.sched_getaffinity(0)), _quota(root)))


def _quota(root: Path) -> int:
    """Return how many whole processors the control groups (cgroup v2) allow us."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return NO_QUOTA
    ours = next((it.removeprefix("0::/") for it in lines if it.startswith("0::/")), "")
    top = root / "sys/fs/cgroup"
    group = top / ours
    places = [it for it in (group, *group.parents) if it.is_relative_to(top)]
    return min(map(_quota_of, places), default=NO_QUOTA)


def _quota_of(group: Path) -> int:
    try:
        allowed, period = (group / "cpu.max").read_text().split()
        return int(allowed) // int(period)
    except (OSError, ValueError, ZeroDivisionError):  # there is none, or "max"
        return NO_QUOTA
