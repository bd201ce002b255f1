"""The process that workers are copied from when one has ended: empty and of one thread, for good.

What it makes is a child of the supervisor all the same, and outlives it: it is made by a process
in between, which ends at once, and so falls to the supervisor, who asked for that (subreaper).
Where there is no mould any more, a fresh interpreter does the same, slower.
"""

import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn

from posthouse.server.child import Child, copied, ended_how, perform
from posthouse.server.worker import die_with

ANSWER_SECONDS: Final = 5.0
NUMBER_OCTETS: Final = 32
_PR_SET_CHILD_SUBREAPER: Final = 36

Work = Callable[[int], int]
"""What the worker of a number does; returns its exit code."""


class Mould:
    """As the supervisor sees it."""

    def __init__(self, work: Work, let_go: Callable[[], None]) -> None:
        """Begin, while this process is empty and of one thread too.

        Args:
            work: As above.
            let_go: Of what the supervisor keeps for itself.

        Raises:
            StartError: If the system has no room for it.
        """
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._asks, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asks.settimeout(ANSWER_SECONDS)
        supervisor = os.getpid()

        def serve() -> int:
            self._asks.close()
            let_go()
            return _serve(answers, supervisor, work)

        self._child = copied(serve)
        answers.close()

    def cast(self, number: int) -> Child | None:
        """Start the worker of a number; None if there is no mould any more, or no answer."""
        hears, says = os.pipe()
        process_id = 0
        try:
            socket.send_fds(self._asks, [b"%d" % number], [says])
            process_id = int(self._asks.recv(NUMBER_OCTETS))
        except (OSError, ValueError):
            self._asks.close()  # an answer that comes late would be taken for another
        os.close(says)
        if process_id == 0:
            os.close(hears)
            return None
        return Child(process_id, os.fdopen(hears, "rb", 0), partial(ended_how, process_id))

    async def end(self) -> None:
        """Return when it has ended."""
        self._asks.close()
        self._child.send(signal.SIGKILL)
        await self._child.wait()


def _serve(answers: socket.socket, supervisor: int, work: Work) -> int:
    for number in (signal.SIGHUP, signal.SIGINT):  # a terminal sends them to all of us
        signal.signal(number, signal.SIG_IGN)
    die_with(supervisor)
    while True:
        octets, handles, _, _ = socket.recv_fds(answers, NUMBER_OCTETS, 1)
        if not octets:
            return 0
        (says,) = handles
        try:
            process_id = _cast(partial(work, int(octets)), says, answers)
        except OSError:  # there is no room for it now
            process_id = 0
        answers.send(b"%d" % process_id)
        os.close(says)


def _cast(work: Callable[[], int], says: int, answers: socket.socket) -> int:
    """Start a process that falls to the supervisor; return its number once it has, 0 if none."""
    reads, writes = os.pipe()
    between = os.fork()
    if between == 0:
        _be_between(work, says, (reads, writes, answers.fileno()))
    os.close(writes)
    os.waitpid(between, 0)
    with os.fdopen(reads, "rb") as told:
        return int(told.read() or 0)


def _be_between(work: Callable[[], int], says: int, handles: tuple[int, int, int]) -> NoReturn:
    """Start it, tell its number, and be gone."""
    _, writes, _ = handles
    between = os.getpid()
    try:
        process_id = os.fork()
    except OSError:
        os._exit(1)
    if process_id:
        os.write(writes, b"%d" % process_id)
        os._exit(0)
    for handle in handles:
        os.close(handle)
    while os.getppid() == between:
        time.sleep(0.001)
    os._exit(perform(work, says))
