"""Posthouse beside Postfix, both as they run on this machine: ``python -m bench [--quick]``.

The two take turns in every round, so that what else the machine does hits both alike; printed
are medians of the rounds. Needs Debian's Postfix (bench/install) and root, which its master needs.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import report
from bench.programs import BenchError, compile_load, sink
from bench.servers import Running, postfix, posthouse
from bench.sign_ins import sign_in_server
from bench.workloads import Figure, Place, Workload, workloads

ROUNDS, ROUNDS_QUICK = 5, 1
SCALE_QUICK = 0.4


def main() -> int:
    """Measure, print, and write the plot if asked."""
    arguments = _arguments()
    chosen = [
        it
        for it in workloads(SCALE_QUICK if arguments.quick else 1)
        if (it.quick or not arguments.quick) and arguments.only in it.name
    ]
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-") as text:
        directory = Path(text)
        directory.chmod(0o711)  # Postfix's processes have another user
        try:
            rows = _measure(directory, chosen, arguments.rounds or _rounds(arguments.quick))
        except BenchError as problem:
            print(problem, file=sys.stderr)
            return 1
    print(f"\n{report.machine()}\n\n{report.table(rows)}")
    if arguments.plot:
        arguments.plot.write_text(report.plot(rows))
    return 0


def _rounds(quick: bool) -> int:  # noqa: FBT001 - what the option says
    return ROUNDS_QUICK if quick else ROUNDS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of the main workloads")
    parser.add_argument("--rounds", type=int, help=f"instead of {ROUNDS}")
    parser.add_argument("--only", default="", help="workloads with this in their name")
    parser.add_argument("--plot", type=Path, help="write an SVG there")
    return parser.parse_args()


def _measure(directory: Path, chosen: Sequence[Workload], rounds: int) -> list[report.Row]:
    with ExitStack() as running:
        program = compile_load(directory)
        place = Place(program, running.enter_context(sink(program, directory)))
        (directory / "postfix").mkdir()
        (directory / "posthouse").mkdir()
        sign_ins = running.enter_context(sign_in_server(directory / "dovecot"))
        servers = [
            running.enter_context(postfix(directory / "postfix", place.sink.port, sign_ins)),
            running.enter_context(posthouse(directory / "posthouse", place.sink.port)),
        ]
        return [_measure_one(workload, servers, place, rounds) for workload in chosen]


def _measure_one(
    workload: Workload, servers: list[Running], place: Place, rounds: int
) -> report.Row:
    measured: dict[str, list[Figure]] = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers[:: 1 if number % 2 else -1]:  # nobody is always the first
            measured[server.name].append(workload.measure(server, place))
    row = report.row_of(workload, measured)
    print(f"{workload.name}: {row.ratio:.2f} times Postfix", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
