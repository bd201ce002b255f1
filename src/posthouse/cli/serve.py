"""`posthouse serve`: run the server until it is told to stop."""

from collections.abc import Callable
from pathlib import Path

import click

from posthouse.cli.exits import Exit, Failure
from posthouse.cli.installation import current_options, find_path
from posthouse.cli.main import shared_options
from posthouse.cli.output import ndjson, note
from posthouse.server.lifecycle import serve as run_server
from posthouse.server.troubles import StartError
from posthouse.telemetry.sinks import Log


@click.command()
@click.option(
    "--shadow",
    type=click.Path(path_type=Path),
    help="A configuration to try beside: what it would decide otherwise is logged and counted.",
)
@shared_options
def serve(shadow: Path | None) -> None:
    """Run the server; ends with SIGTERM or Ctrl-C, reads its configuration again on SIGHUP.

    With --json, one line on standard output tells when it takes connections, and where.
    """
    options = current_options()
    path = find_path(options)

    def ready(listeners: dict[str, list[str]]) -> None:
        if options.json:
            ndjson("ready", {"listeners": listeners})
        elif not options.quiet:
            for name, places in listeners.items():
                note(f"{name:<12} {', '.join(places)}")
            note("serving; Ctrl-C stops")

    serve_until_stopped(path, ready, shadow=shadow)


def serve_until_stopped(
    path: Path,
    ready: Callable[[dict[str, list[str]]], None],
    log: Log | None = None,
    *,
    shadow: Path | None = None,
) -> None:
    """Run the server with a configuration file; `ready` is called once it takes connections.

    Events go to `log`, or where the configuration says.

    Raises:
        Failure: If it cannot start.
    """
    try:
        run_server(path, ready=ready, log=log, shadow=shadow)
    except StartError as problem:
        raise Failure(str(problem), Exit(problem.exit_code)) from None
