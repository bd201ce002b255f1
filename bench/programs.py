"""The load generators and the sink (C programs), compiled into the directory of a run."""

import json
import mmap
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

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


class Fetching(Struct, frozen=True):
    """What clients fetch by POP3.

    Attributes:
        sign_ins: All of them.
        sessions: At the same time, each with an account of its own.
        each: Messages fetched after each sign-in.
        password: Of all accounts.
    """

    sign_ins: int
    sessions: int
    each: int
    password: str


class Brought(Struct, frozen=True):
    """How it went."""

    seconds: float
    messages: int
    failures: int
    p50_us: float
    p99_us: float


class Programs(Struct, frozen=True):
    """What is compiled for a run.

    Attributes:
        load: Load generator and sink for SMTP.
        fetch: Load generator for POP3.
        slow_disk: Library that makes flushes take longer.
    """

    load: Path
    fetch: Path
    slow_disk: Path


def compile_programs(directory: Path) -> Programs:
    """Compile all of them.

    Raises:
        BenchError: Without a C compiler.
    """
    load = compile_load(directory)
    fetch, slow_disk = directory / "fetch", directory / "slow_disk.so"
    _compile(fetch, "fetch.c")
    _compile(slow_disk, "slow_disk.c", "-shared", "-fPIC", "-ldl")
    return Programs(load, fetch, slow_disk)


def compile_load(directory: Path) -> Path:
    """Compile `load.c`; with TLS if OpenSSL's headers are there.

    Raises:
        BenchError: Without a C compiler.
    """
    target = directory / "load"
    try:
        _compile(target, "load.c", "-DWITH_TLS", "-lssl", "-lcrypto")
    except BenchError:
        _compile(target, "load.c")
    return target


def _compile(target: Path, source: str, *options: str) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError("a C compiler (cc) is needed for the load generators")
    path = Path(__file__).with_name(source)
    command = [compiler, "-O2", "-o", str(target), str(path), *options]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise BenchError(f"{' '.join(command)} fails")


def bring(program: Path, port: int, load: Load) -> Brought:
    """Bring the load to 127.0.0.1:`port` and return how it went.

    Raises:
        BenchError: If the server said something unexpected.
    """
    words = [load.sessions, load.messages, load.octets, load.each, load.domains, load.flags]
    return _run([program, "bring", "127.0.0.1", port, *words, load.user, load.password])


def fetch(program: Path, port: int, load: Fetching) -> Brought:
    """Sign in by POP3 and fetch; counted are messages, or sign-ins if none is fetched.

    Raises:
        BenchError: If the server said something unexpected.
    """
    words = [load.sessions, load.sign_ins, load.each, load.password]
    return _run([program, "127.0.0.1", port, *words])


def _run(words: Sequence[object]) -> Brought:
    command = [str(word) for word in words]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command[1:])}: not done in {RUN_SECONDS_MAX} s") from None
    if ran.returncode:
        raise BenchError(f"{' '.join(command[1:])}: {ran.stderr.strip()}")
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
