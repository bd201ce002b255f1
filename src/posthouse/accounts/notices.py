"""What workers tell each other: an append-only file in memory that all of them have open.

A notice is one line, written by one system call, and seen by whoever looks from then on: to look
where nothing is new costs one `lseek`. Nothing here is kept: it begins anew with the server.
"""

import ctypes
import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

KEPT_OCTETS: Final = 16 * 1024 * 1024  # for a worker that begins again
PART_OCTETS: Final = 256 * 1024
_PUNCH_HOLE_KEEP_SIZE: Final = 3  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE of Linux
_ENCODER: Final = msgspec.json.Encoder()
_LINE: Final = msgspec.json.Decoder(tuple[int, str, msgspec.Raw])

_Notice = TypeVar("_Notice", bound="Notice")


class Notice(Struct, frozen=True, array_like=True):
    """Something that one worker tells all others."""


class Ended(Notice, frozen=True):
    """A worker is gone, and with it its sessions.

    Attributes:
        origin: Its process.
    """

    origin: int


def open_board() -> int:
    """Make the file, for all processes that inherit it."""
    handle = os.memfd_create("posthouse-notices", os.MFD_CLOEXEC)
    fcntl.fcntl(handle, fcntl.F_SETFL, os.O_APPEND)
    return handle


class Board:
    """One worker's look at the file.

    Attributes:
        run: Names this start of the server: positions in the file mean something only in it.
        position: Behind what was told last.
    """

    def __init__(self, handle: int, run: str, origin: int | None = None) -> None:
        """Begin with what is still there.

        Args:
            handle: The file.
            run: As above.
            origin: The process that posts; by default this one. Its own notices are not told.
        """
        self.run = run
        self.origin = os.getpid() if origin is None else origin
        self.position = _first_octet(handle)
        self._begun = os.fstat(handle).st_size
        self._handle = handle
        self._lock = threading.RLock()
        self._heard: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[int, Any], object]]] = {}

    @property
    def replaying(self) -> bool:
        """Whether what is told now was posted before this worker began."""
        return self.position <= self._begun

    def hear(self, kind: type[_Notice], tell: Callable[[int, _Notice], object]) -> None:
        """Have `tell` called with who posted it (his process), for each notice of a kind."""
        self._heard[kind.__name__] = (msgspec.json.Decoder(kind), tell)

    def post(self, notice: Notice) -> None:
        """Tell the others. Never waits, never raises: without memory they are not told."""
        line = _ENCODER.encode((self.origin, type(notice).__name__, notice)) + b"\n"
        with suppress(OSError):
            os.write(self._handle, line)

    def pull(self) -> None:
        """Hear what was posted until now."""
        if os.lseek(self._handle, 0, os.SEEK_END) == self.position:  # a fourth of an `fstat`
            return
        with self._lock:
            while part := os.pread(self._handle, PART_OCTETS, self.position):
                *lines, rest = part.split(b"\n")
                if not lines and len(part) < PART_OCTETS:
                    return  # half a line: the rest is being written
                for line in lines:
                    self.position += len(line) + 1  # first: a fault of who hears is met once
                    self._tell(line)
                if len(part) < PART_OCTETS:
                    return  # what came meanwhile is heard next time
                if not lines:
                    self.position += len(rest)

    def prune(self, kept_octets: int = KEPT_OCTETS) -> None:
        """Give back the memory of what everybody has heard."""
        past = os.fstat(self._handle).st_size - kept_octets
        past -= past % os.sysconf("SC_PAGESIZE")
        if past > 0:
            octets = ctypes.c_longlong(past)
            libc = ctypes.CDLL(None)
            libc.fallocate(self._handle, _PUNCH_HOLE_KEEP_SIZE, ctypes.c_longlong(0), octets)

    def _tell(self, line: bytes) -> None:
        try:
            origin, kind, detail = _LINE.decode(line)
            heard = self._heard.get(kind)
            if heard is None or origin == self.origin:
                return
            decoder, tell = heard
            notice = decoder.decode(detail)
        except msgspec.DecodeError:
            return  # what is left of a line whose beginning was given back
        tell(origin, notice)


def _first_octet(handle: int) -> int:
    try:
        return os.lseek(handle, 0, os.SEEK_DATA)
    except OSError:  # nothing was posted
        return os.fstat(handle).st_size
