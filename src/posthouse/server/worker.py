"""One of several workers: a copy of the supervisor, or later ``python -m`` this module."""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from posthouse.accounts.notices import Board
from posthouse.config.load import Loaded
from posthouse.server.assembly import configured_certificates
from posthouse.server.assignment import Assignment, Beginning, Handles
from posthouse.server.crew import Worker
from posthouse.server.entrances import Share
from posthouse.server.listeners import BoundListener
from posthouse.server.loading import load_file, read_file, with_shadow
from posthouse.server.running import (
    LOG_LOCK,
    WORKERS_DIRECTORY,
    Run,
    Site,
    log_of,
    raise_handle_limit,
    run_loop,
)
from posthouse.server.tls import CertificateError, Certificates
from posthouse.server.troubles import StartError

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Work as a fresh interpreter, with sockets that are inherited by number."""
    assignment = msgspec.json.decode(sys.argv[1], type=Assignment)
    sys.exit(work_as(assignment))


def work_as(
    assignment: Assignment, loaded: Loaded | None = None, shares: Sequence[Share] = ()
) -> int:
    """Work until the supervisor says that it is enough, or is gone; return the exit code.

    Args:
        assignment: What the supervisor wants.
        loaded: The configuration; None to read it.
        shares: The sockets of all workers; none to take them by number.
    """
    for number in (signal.SIGHUP, signal.SIGINT):  # a terminal sends them to all of us
        signal.signal(number, signal.SIG_IGN)
    die_with(assignment.supervisor)
    try:
        shares = shares or [_adopt(it) for it in assignment.shares]
        _work(assignment, loaded or _read(assignment), shares)
    except StartError as problem:
        _say(Beginning(str(problem) or "it cannot start", problem.exit_code))
        return problem.exit_code
    return 0


def die_with(supervisor: int) -> None:
    """Be killed when the supervisor ends, however it does: the next one finds nobody in its way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os.kill(os.getpid(), signal.SIGKILL)


def _read(assignment: Assignment) -> Loaded:
    loaded = load_file(Path(assignment.path), read_file(Path(assignment.in_force)))
    return with_shadow(loaded, _shadow(assignment))


def _shadow(assignment: Assignment) -> Path | None:
    return Path(assignment.shadow) if assignment.shadow else None


def _work(assignment: Assignment, loaded: Loaded, shares: Sequence[Share]) -> None:
    directory, number = Path(assignment.directory), assignment.number
    log = log_of(loaded.configuration, number, directory / WORKERS_DIRECTORY / LOG_LOCK)
    site = Site(
        Path(assignment.path),
        loaded,
        directory,
        shares[number - 1],
        log,
        _certificates(assignment, loaded),
        _shadow(assignment),
        Worker(number, len(shares), Board(assignment.board, assignment.run)),
        {place: share for place, share in enumerate(shares, start=1) if place != number},
        Path(assignment.in_force),
    )
    raise_handle_limit()
    try:
        run_loop(Run(site), lambda _: _say(Beginning()))
    finally:
        log.close()


def _adopt(handles: Handles) -> Share:
    return tuple(
        BoundListener(name, tuple(socket.socket(fileno=it) for it in them))
        for name, them in handles.items()
    )


def _certificates(assignment: Assignment, loaded: Loaded) -> Certificates | None:
    """Read the configured certificate; where only root may, what root opened for us."""
    base = Path(assignment.path).parent
    try:
        return configured_certificates(loaded.configuration, base)
    except StartError:
        if not assignment.certificate:
            raise
    tls = loaded.configuration.tls
    opened = tuple(Path(f"/proc/self/fd/{handle}") for handle in assignment.certificate)
    authorities = base / tls.client_authorities if tls.client_authorities else None
    try:
        return Certificates(
            base / str(tls.certificate), base / str(tls.key), authorities, at_first=opened
        )
    except CertificateError as problem:
        raise StartError(str(problem)) from None


def _say(beginning: Beginning) -> None:
    os.write(1, msgspec.json.encode(beginning) + b"\n")


if __name__ == "__main__":
    main()
