"""What a worker is told by the supervisor that starts it, and what it answers."""

from msgspec import Struct

Handles = dict[str, tuple[int, ...]]
"""Inherited sockets by listener."""


class Assignment(Struct, frozen=True):
    """One worker's place.

    Attributes:
        number: Which it is, from 1 on.
        supervisor: Process id of who started it.
        run: Names this start of the server.
        path: The configuration file.
        in_force: The configuration in force.
        directory: The storage.
        shadow: A configuration to try beside; "" for the one that the file names.
        board: Where workers tell each other.
        shares: The sockets of all workers, in their order.
        certificate: Certificate, key and authorities, opened while they could be read.
    """

    number: int
    supervisor: int
    run: str
    path: str
    in_force: str
    directory: str
    shadow: str
    board: int
    shares: tuple[Handles, ...]
    certificate: tuple[int, ...] = ()


class Beginning(Struct, frozen=True):
    """The worker's only line on its standard output.

    Attributes:
        problem: Why it could not start; "" if it takes connections.
        exit_code: Of a command line.
    """

    problem: str = ""
    exit_code: int = 0
