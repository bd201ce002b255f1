"""One of several workers: a process that the supervisor starts (``python -m`` this module)."""

import ctypes
import os
import signal
import socket
import sys
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
    """Work until the supervisor says that it is enough, or is gone."""
    assignment = msgspec.json.decode(sys.argv[1], type=Assignment)
    for number in (signal.SIGHUP, signal.SIGINT):  # a terminal sends them to all of us
        signal.signal(number, signal.SIG_IGN)
    _die_with(assignment.supervisor)
    try:
        _work(assignment)
    except StartError as problem:
        _say(Beginning(str(problem) or "it cannot start", problem.exit_code))
        sys.exit(problem.exit_code)


def _die_with(supervisor: int) -> None:
    """Be killed when the supervisor ends, however it does: the next one finds nobody in its way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        sys.exit(0)


def _work(assignment: Assignment) -> None:
    path = Path(assignment.path)
    in_force, shadow = Path(assignment.in_force), Path(assignment.shadow)
    loaded = load_file(path, read_file(in_force))
    if assignment.shadow:
        loaded = with_shadow(loaded, shadow)
    directory, shares = Path(assignment.directory), [_adopt(it) for it in assignment.shares]
    number, count = assignment.number, len(shares)
    log = log_of(loaded.configuration, number, directory / WORKERS_DIRECTORY / LOG_LOCK)
    others = {place: share for place, share in enumerate(shares, start=1) if place != number}
    site = Site(
        path,
        loaded,
        directory,
        shares[number - 1],
        log,
        _certificates(assignment, loaded),
        shadow if assignment.shadow else None,
        Worker(number, count, Board(assignment.board, assignment.run)),
        others,
        in_force,
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
