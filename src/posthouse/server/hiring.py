"""How the supervisor gets its workers.

The first of each is a copy of the supervisor, made before that has a thread, a loop or a database
open: what is imported and read is there already, and its memory is shared for as long as nobody
changes it. One that has ended is replaced by a copy of the mould, which is such a copy as well.
"""

import gc
import os
import secrets
import sys
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct, field

from posthouse.accounts.notices import open_board
from posthouse.accounts.usage import make_usage
from posthouse.config.load import Loaded
from posthouse.config.schema import Configuration
from posthouse.server.assignment import Assignment
from posthouse.server.child import Child, copied, started
from posthouse.server.entrances import Share
from posthouse.server.loading import utc_now
from posthouse.server.mould import Mould
from posthouse.server.outgoing import read_srs_secrets
from posthouse.server.running import WORKERS_DIRECTORY, loop_factory
from posthouse.server.storage import StorageLock
from posthouse.server.tls import CertificateError, own_certificate
from posthouse.server.troubles import StartError
from posthouse.server.worker import work_as
from posthouse.telemetry.database import StoreError


class Premises(Struct, frozen=True, eq=False):
    """What all workers of one start of the server have.

    Attributes:
        path: The configuration file.
        loaded: What was in it at the start.
        directory: The storage.
        shares: The sockets of each worker.
        certificate: Handles of the configured certificate, for workers that may not open it.
        shadow: A configuration to try beside, instead of the one that the file names.
        run: Names this start.
        board: Where workers tell each other.
    """

    path: Path
    loaded: Loaded
    directory: Path
    shares: tuple[Share, ...]
    certificate: tuple[int, ...]
    shadow: Path | None
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    board: int = field(default_factory=open_board)

    @property
    def in_force(self) -> Path:
        """Where the configuration in force is kept: a fresh worker takes it, not a broken file."""
        return self.directory / WORKERS_DIRECTORY / "configuration.toml"

    def assignment(self, number: int, supervisor: int) -> Assignment:
        """Return what a worker is told."""
        return Assignment(
            number=number,
            supervisor=supervisor,
            run=self.run,
            path=str(self.path),
            in_force=str(self.in_force),
            directory=str(self.directory),
            shadow=str(self.shadow or ""),
            board=self.board,
            shares=tuple(
                {it.name: tuple(each.fileno() for each in it.sockets) for it in share}
                for share in self.shares
            ),
            certificate=self.certificate,
        )


def copies(premises: Premises, lock: StorageLock) -> tuple[tuple[Child, ...], Mould]:
    """Start all workers as copies of this process, all at the same time, and the mould of others.

    Args:
        premises: What they have.
        lock: The supervisor's alone: nobody else is to hold the directory when it ends.

    Raises:
        StartError: If they cannot be started.
    """
    _make_shared(premises.directory, premises.loaded.configuration)
    loop_factory()  # imported once for all
    gc.collect()
    gc.freeze()  # what is there now stays: looking at it would give each a copy of it
    supervisor = os.getpid()

    def work(number: int, loaded: Loaded | None = None) -> int:
        lock.release()
        return work_as(premises.assignment(number, supervisor), loaded, premises.shares)

    numbers = range(1, len(premises.shares) + 1)
    first = tuple(copied(partial(work, number, premises.loaded)) for number in numbers)
    return first, Mould(work, lock.release)


def _make_shared(directory: Path, configuration: Configuration) -> None:
    """Make what all of them read, so that none meets half of it; all else they make together."""
    try:
        if not (configuration.tls.certificate and configuration.tls.key):
            own_certificate(directory / "tls", configuration.hostname, utc_now())
        read_srs_secrets(directory / "srs.secrets")
        make_usage(directory / "usage.db")
    except (CertificateError, StoreError, OSError) as problem:
        raise StartError(str(problem)) from None


def fresh(premises: Premises, number: int) -> Child:
    """Start a worker as a fresh interpreter.

    Raises:
        StartError: If it cannot be started.
    """
    assignment = premises.assignment(number, os.getpid())
    sockets = [it for share in premises.shares for each in share for it in each.sockets]
    handles = (*(it.fileno() for it in sockets), premises.board, *premises.certificate)
    # -P: nothing is imported from where we happen to be.
    told = msgspec.json.encode(assignment).decode()
    return started([sys.executable, "-P", "-m", "posthouse.server.worker", told], handles)
