"""Posthouse beside its peers, as they run on this machine: ``python -m bench [--quick]``.

The two take turns in every round, so that what else the machine does hits both alike; printed
are medians of the rounds. Needs what bench/install installs, and root, for Postfix and Dovecot.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from bench import plot, report
from bench.figures import Figure
from bench.measuring import Place
from bench.programs import BenchError, compile_programs, sink
from bench.servers import Contender, Running
from bench.stages import Contenders, Ground, Stage
from bench.workloads import Workload, workloads

ROUNDS, ROUNDS_QUICK = 5, 1
MINUTES, MINUTES_QUICK = 45, 2.75


class Bounds(Struct, frozen=True):
    """How much is measured.

    Attributes:
        rounds: Of each workload.
        end: Monotonic time behind which nothing is begun.
    """

    rounds: int
    end: float

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.end


def main() -> int:
    """Measure, print, and write the plot if asked."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of all that stops servers
    arguments = _arguments()
    every = workloads(quick=arguments.quick, python=arguments.aiosmtpd)
    chosen = [it for it in every if arguments.only in it.name]
    rounds = arguments.rounds or (ROUNDS_QUICK if arguments.quick else ROUNDS)
    minutes = arguments.minutes or (MINUTES_QUICK if arguments.quick else MINUTES)
    bounds = Bounds(rounds, time.monotonic() + minutes * 60)
    with ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        directory.chmod(0o711)  # Postfix's and Dovecot's processes have other users
        try:
            programs = compile_programs(directory)
            place = Place(programs, opened.enter_context(sink(programs.load, directory)))
        except BenchError as problem:
            print(problem, file=sys.stderr)
            return 1
        ground = Ground(directory, place, arguments.workers, arguments.aiosmtpd)
        rows = _measure(ground, chosen, bounds)
    print(f"\n{report.machine()}\n\n{report.table(rows)}")
    if arguments.plot:
        arguments.plot.write_text(plot.plot(rows))
    return 0 if len(rows) == len(chosen) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of the main workloads")
    parser.add_argument("--rounds", type=int, help=f"instead of {ROUNDS}")
    parser.add_argument("--only", default="", help="workloads with this in their name")
    parser.add_argument("--plot", type=Path, help="write an SVG there")
    parser.add_argument("--workers", type=int, help="written into posthouse.toml")
    parser.add_argument("--aiosmtpd", default="", metavar="PYTHON", help="which has aiosmtpd")
    parser.add_argument("--minutes", type=float, help=f"begin nothing later, instead of {MINUTES}")
    return parser.parse_args()


def _measure(ground: Ground, chosen: Sequence[Workload], bounds: Bounds) -> list[report.Row]:
    rows: list[report.Row] = []
    for _, group in groupby(chosen, key=lambda workload: workload.stage.name):
        waiting = list(group)
        while (
            waiting and not bounds.is_over
        ):  # what fails takes the servers with it: the rest gets new ones
            waiting = _measure_stage(ground, waiting, bounds, rows)
        for workload in waiting:
            print(f"{workload.name}: not measured: the time is up", flush=True)
    return rows


def _measure_stage(
    ground: Ground, waiting: list[Workload], bounds: Bounds, rows: list[report.Row]
) -> list[Workload]:
    """Measure some workloads of one stage; return those behind one that failed, or all too late."""
    left = waiting.copy()
    try:
        with _ready(ground, waiting[0].stage) as contenders:
            while left and not bounds.is_over:
                row = _measure_one(left[0], contenders, ground.place, bounds)
                print(f"{left[0].name}: {row.ratio:.2f} times {row.peer_name}", flush=True)
                rows.append(row)
                left.pop(0)
    except (BenchError, OSError, subprocess.SubprocessError) as problem:
        first = left[0].name if left else waiting[-1].name
        print(f"{first}: not measured: {problem}", flush=True)
        return left[1:]
    return left


@contextmanager
def _ready(ground: Ground, stage: Stage) -> Iterator[Contenders]:
    directory = Path(tempfile.mkdtemp(prefix=f"{stage.name}-", dir=ground.directory))
    directory.chmod(0o711)
    began = time.monotonic()
    mine = Ground(directory, ground.place, ground.workers, ground.python)
    try:
        with ExitStack() as running:
            contenders = running.enter_context(stage.made_ready(mine))
            if not stage.again:
                contenders = [_already(it, running.enter_context(it.start())) for it in contenders]
            print(f"({stage.name}: ready in {time.monotonic() - began:.0f} s)", flush=True)
            yield contenders
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _already(contender: Contender, server: Running) -> Contender:
    @contextmanager
    def start() -> Iterator[Running]:
        yield server

    return Contender(contender.name, start)


def _measure_one(
    workload: Workload, contenders: Contenders, place: Place, bounds: Bounds
) -> report.Row:
    measured: dict[str, list[Figure]] = {it.name: [] for it in contenders}
    for number in range(bounds.rounds):
        if number and bounds.is_over:
            break
        for contender in contenders[:: 1 if number % 2 else -1]:  # nobody is always the first
            with contender.start() as server:
                measured[contender.name].append(workload.measure(server, place))
    return report.row_of(workload, measured)


if __name__ == "__main__":
    sys.exit(main())
