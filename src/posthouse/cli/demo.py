"""`posthouse demo`: a small Internet on loopback, on which the situations are played."""

import tempfile
from pathlib import Path

import click

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options
from posthouse.cli.main import shared_options
from posthouse.cli.output import document, note, say, styled
from posthouse.lab.hosts import LabError
from posthouse.lab.internet import Internet
from posthouse.lab.scenarios import Result, play_all

_COLUMNS = ("WHERE", "SERVER USED", "TO", "RELAY?", "EXPECTED", "GOT", "REMEDY")
_WIDTHS = (10, 24, 17, 6, 9, 9, 46)


@click.command()
@click.option("--keep", type=click.Path(path_type=Path), help="Keep servers' files here.")
@shared_options
def demo(keep: Path | None) -> int:
    """Play home, work and hotel with three real servers, and every remedy.

    Everything runs on 127.x addresses and is gone afterwards. Exit code 0 only if each mail fared
    as it should.
    """
    with tempfile.TemporaryDirectory(prefix="posthouse-lab-") as directory:
        note("starting a DNS server and three Posthouse servers on loopback")
        try:
            internet = Internet(keep or Path(directory))
            with internet.running():
                if not current_options().json:
                    _print_row(_COLUMNS)
                results = play_all(internet, _tell)
        except LabError as problem:
            raise Failure(str(problem), Exit.UNREACHABLE) from None
        except OSError as problem:
            raise Failure(f"the lab failed: {problem}", Exit.UNREACHABLE) from None
    failed = sum(not result.passed for result in results)
    if current_options().json:
        document("demo", {"failed": failed, "results": results})
    else:
        say(f"\n{len(results) - failed} of {len(results)} as expected")
    return Exit.NO if failed else Exit.DONE


def _tell(result: Result) -> None:
    if current_options().json:
        note(f"{result.where}, {result.server} to {result.to}: {result.got}")
        return
    relay = "yes" if result.relay else "no"
    row = (
        result.where,
        result.server,
        result.to,
        relay,
        result.expected,
        result.got,
        result.remedy or "-",
    )
    _print_row(row, "ok" if result.passed else "wrong")
    if result.got == "refused" or not result.passed:
        say(f"            {result.reply}")


def _print_row(cells: tuple[str, ...], style: str = "") -> None:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    mark = "  " if not style else styled("ok" if style == "ok" else "NO", style)
    click.echo(f"{mark}  {'  '.join(padded).rstrip()}")
