"""The load generator and the sink (`load.c`), compiled into the directory of a run."""

import json
import mmap
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

SOURCE = Path(__file__).with_name("load.c")
RUN_SECONDS_MAX = 180


class BenchError(Exception):
    """It cannot be measured here; the message says what is missing."""


class Load(Struct, frozen=True):
    """What clients bring.

    Attributes:
        messages: All of them.
        sessions: At the same time.
        octets: Of each content.
        each: Messages a connection.
        domains: Recipients are spread over so many domains.
        flags: `r` recipients are expected to be refused, `p` pipelined, `t` TLS and sign-in.
        user: For `t`.
        password: The same.
    """

    messages: int
    sessions: int
    octets: int = 4096
    each: int = 1_000_000
    domains: int = 1
    flags: str = "-"
    user: str = ""
    password: str = ""


class Brought(Struct, frozen=True):
    """How it went."""

    seconds: float
    messages: int
    failures: int
    p50_us: float
    p99_us: float


def compile_load(directory: Path) -> Path:
    """Compile `load.c`; with TLS if OpenSSL's headers are there.

    Raises:
        BenchError: Without a C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError("a C compiler (cc) is needed for the load generator")
    target = directory / "load"
    plain = [compiler, "-O2", "-o", str(target), str(SOURCE)]
    with_tls = [*plain, "-DWITH_TLS", "-lssl", "-lcrypto"]
    if subprocess.run(with_tls, capture_output=True, check=False).returncode:
        subprocess.run(plain, check=True)
    return target


def bring(program: Path, port: int, load: Load) -> Brought:
    """Bring the load to 127.0.0.1:`port` and return how it went.

    Raises:
        BenchError: If the server said something unexpected.
    """
    words = [load.sessions, load.messages, load.octets, load.each, load.domains, load.flags]
    command = [program, "bring", "127.0.0.1", port, *words, load.user, load.password]
    ran = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS_MAX,
    )
    if ran.returncode:
        raise BenchError(f"{' '.join(map(str, words))}: {ran.stderr.strip()}")
    return Brought(**json.loads(ran.stdout))


@contextmanager
def idle(program: Path, port: int, sessions: int) -> Iterator[None]:
    """Hold so many sessions open that have said EHLO and nothing else."""
    command = [str(program), "idle", "127.0.0.1", str(port), str(sessions)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise BenchError(f"{sessions} idle sessions could not be opened")
            yield
        finally:
            process.stdin.close()


class Sink:
    """Where mail ends: it takes everything and counts."""

    def __init__(self, port: int, counter: mmap.mmap) -> None:
        self.port = port
        self._counter = counter

    @property
    def count(self) -> int:
        """Messages so far."""
        return int(struct.unpack_from("Q", self._counter)[0])

    @property
    def last(self) -> float:
        """Monotonic time of the last one."""
        return float(struct.unpack_from("d", self._counter, 8)[0])

    def wait_for(self, count: int) -> bool:
        """Wait until so many have come in all; False if nothing came for half a minute."""
        seen, since = -1, time.monotonic()
        while self.count < count:
            if self.count != seen:
                seen, since = self.count, time.monotonic()
            elif time.monotonic() - since > 30:
                return False
            time.sleep(0.01)
        return True


@contextmanager
def sink(program: Path, directory: Path) -> Iterator[Sink]:
    """Run a sink on a free port."""
    port, path = free_ports(1)[0], directory / "sink"
    command = [str(program), "sink", str(port), str(path)]
    with ExitStack() as opened:
        process = opened.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        opened.callback(process.terminate)
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise BenchError("the sink did not start")
        file = opened.enter_context(path.open("r+b"))
        yield Sink(port, opened.enter_context(mmap.mmap(file.fileno(), 16)))


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody uses."""
    with ExitStack() as opened:
        probes = [opened.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
