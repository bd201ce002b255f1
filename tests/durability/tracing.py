"""What a process asked of the kernel, as strace saw it: which octets were flushed, and when."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tests.end_to_end.server import Server

CALLS = "openat,write,pwrite64,writev,sendto,sendmsg,fdatasync,fsync,mkdir,mkdirat"
STRING_OCTETS = 5_000_000  # none is cut

_BEGINS = re.compile(r"(\d+) +(\w+)\((.*)")
_RESUMES = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_RESULT = re.compile(r"\) += (-?\d+)[^=]*$")
_PATH = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})+)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Call(Struct, frozen=True):
    """One call of the kernel.

    Attributes:
        name: Of the call.
        path: The file behind the first argument; "" for a socket.
        octets: All octets in its arguments.
        makes: It may make the file that its octets name.
        began: Line of the trace in which it began.
        ended: Line in which it returned.
        result: What it returned.
    """

    name: str
    path: str
    octets: bytes
    makes: bool
    began: int
    ended: int
    result: int


def can_trace() -> bool:
    """Whether strace is here, and is let."""
    strace = shutil.which("strace")
    tried = [strace, "--seccomp-bpf", "-f", "-o", "/dev/null", "true"] if strace else ["false"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


class TracedServer(Server):
    """A server under strace, which writes what it saw beside the log."""

    def command(self) -> list[str]:
        strace = shutil.which("strace")
        assert strace is not None, "asked before"
        output = ("-o", str(self.directory / "trace"))
        # -D: the server is our child, strace its grandchild. -xx: octets are told apart from text.
        form = ("-D", "-f", "-yy", "-xx", "-s", str(STRING_OCTETS), "--seccomp-bpf")
        return [strace, *form, *output, "-e", f"trace={CALLS}", "--", *super().command()]

    def calls(self) -> list[Call]:
        """What was asked so far, by when it returned."""
        return list(calls_in((self.directory / "trace").read_text()))


def calls_in(trace: str) -> Iterator[Call]:
    """Read a trace of many threads: a call may begin in one line and return in another."""
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(trace.splitlines()):
        if resumes := _RESUMES.match(line):
            thread, name, rest = resumes.groups()
            began, arguments = begun.pop(thread, (number, ""))
        elif begins := _BEGINS.match(line):
            thread, name, rest = begins.groups()
            began, arguments = number, ""
        else:
            continue  # a signal, or an end
        if rest.endswith("<unfinished ...>"):
            begun[thread] = (began, arguments + rest.removesuffix("<unfinished ...>"))
        elif result := _RESULT.search(rest):
            whole = arguments + rest[: result.start()]
            path = _PATH.match(whole)
            octets = b"".join(_decoded(it) for it in _STRING.findall(whole))
            makes = name.startswith("mkdir") or "O_CREAT" in whole
            file = _decoded(path[1]).decode() if path else ""
            yield Call(name, file, octets, makes, began, number, int(result[1]))


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def wrote(calls: list[Call], folder: Path, octets: bytes) -> list[Call]:
    """Writes of certain octets to files below a directory."""
    return [
        call
        for call in calls
        if call.name in {"write", "pwrite64", "writev"}
        and call.path.startswith(f"{folder}")
        and octets in call.octets
    ]


def flushed(calls: list[Call], path: str, *, after: int, before: int) -> list[Call]:
    """Flushes of a file that began after one line of the trace and succeeded before another."""
    return [
        call
        for call in calls
        if call.name in {"fsync", "fdatasync"}
        and call.path == path
        and call.result == 0
        and after < call.began
        and call.ended < before
    ]


def made(calls: list[Call], path: str) -> int:
    """The line in which a file or directory was made."""
    for call in calls:
        if call.makes and call.result >= 0 and call.octets == path.encode():
            return call.ended
    raise AssertionError(f"{path} was not made under our eyes")
