"""What is compared: servers that can be started in a directory of their own, and Posthouse."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.programs import BenchError, free_ports
from posthouse.accounts.passwords import hash_password
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.mail.address import parse_mailbox

OURS: Final = "Posthouse"
USER: Final = "ann@example.test"
PASSWORD: Final = "six-blue-herons"
STOP_SECONDS_MAX: Final = 60


class Running(Struct, frozen=True):
    """A server that runs.

    Attributes:
        name: For tables.
        process: Id of the process that started all others.
        ports: By kind: `smtp` relays for us, `closed` for nobody; `submissions`; `pop3`.
        seconds: From its start until it greeted a client.
    """

    name: str
    process: int
    ports: dict[str, int]
    seconds: float = 0


class Contender(Struct, frozen=True):
    """A server that can be started, again and again."""

    name: str
    start: Callable[[], AbstractContextManager[Running]]


class Setting(Struct, frozen=True):
    """How a server is set up.

    Attributes:
        sink_port: Of its next hop.
        sign_in_socket: Where Postfix has passwords checked; "" without.
        networks: Also may relay at `smtp` and at `closed`; they are not ours.
        preload: Library that all its processes load.
        workers: For Posthouse, if given.
        users: So many accounts for POP3 as well.
        bytecode: Where Python keeps what it compiled, as an installed Posthouse has it.
    """

    sink_port: int
    sign_in_socket: str = ""
    networks: tuple[str, ...] = ()
    preload: Path | None = None
    workers: int | None = None
    users: int = 0
    bytecode: Path | None = None


_POSTHOUSE: Final = """\
hostname = "mail.example.test"
{workers}
[domains."example.test"]

[listen.mx]
service = "smtp"
on      = ["127.0.0.1:{smtp}"]

[listen.closed]
service = "smtp"
on      = ["127.0.0.1:{closed}"]

[listen.submissions]
service = "submission"
on      = ["127.0.0.1:{submissions}"]
tls     = "from-start"

[listen.pop3]
service = "pop3"
on      = ["127.0.0.1:{pop3}"]
tls     = "offered"

[[may_relay]]
who       = "network"
name      = "the load generator"
networks  = ["127.0.0.0/24"]
listeners = ["mx"]
sends_as  = ["*"]

[[may_relay]]
who       = "signed-in"
listeners = ["submissions"]

[[may_relay]]
who       = "pop-window"
listeners = ["submissions"]
{networks}
[outbound]
via = "smtp://127.0.0.1:{sink}"

[limits]
message_size         = "50 MB"
sessions             = 10000
sessions_per_address = 10000

[limits.each_account]
recipients     = "10000000 per hour"
new_recipients = "10000000 per day"

[limits.each_address]
recipients     = "10000000 per hour"

[storage]
directory = "storage"
"""

_NETWORKS: Final = """
[[may_relay]]
who       = "network"
name      = "many others"
because   = "measured"
networks  = [{networks}]
sends_as  = ["*"]
"""


def posthouse(directory: Path, setting: Setting, name: str = OURS) -> Contender:
    """Return Posthouse as shipped, limits on load raised; what the directory holds stays."""
    return Contender(name, partial(_run_posthouse, directory, setting, name))


@contextmanager
def _run_posthouse(directory: Path, setting: Setting, name: str) -> Iterator[Running]:
    kinds = ("smtp", "closed", "submissions", "pop3")
    ports = dict(zip(kinds, free_ports(len(kinds)), strict=True))
    _set_up_posthouse(directory, setting, ports)
    command = [sys.executable, "-m", "posthouse", "--config", str(directory / "posthouse.toml")]
    log, began = directory / "log", time.monotonic()
    with log.open("ab") as written:
        process = subprocess.Popen(
            [*command, "--json", "serve"],
            stdout=subprocess.PIPE,
            stderr=written,
            env=_environment(setting),
        )
    with process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise BenchError(f"Posthouse did not start: {log.read_text()[-1000:]}")
            wait_for_greeting(ports["smtp"])
            yield Running(name, process.pid, ports, time.monotonic() - began)
        finally:
            stop(process)


def _set_up_posthouse(directory: Path, setting: Setting, ports: dict[str, int]) -> None:
    (directory / "storage").mkdir(mode=0o700, parents=True, exist_ok=True)
    listed = ", ".join(f'"{network}"' for network in setting.networks)
    text = _POSTHOUSE.format(
        **ports,
        sink=setting.sink_port,
        workers="" if setting.workers is None else f"workers = {setting.workers}\n",
        networks=_NETWORKS.format(networks=listed) if listed else "",
    )
    (directory / "posthouse.toml").write_text(text)
    store = SqliteAccountStore(directory / "storage" / "accounts.db")
    kept = hash_password(PASSWORD)
    for user in (USER, *users(setting.users)):
        if store.find(user) is None:
            store.add(parse_mailbox(user), kept)
    store.close()


def users(count: int) -> list[str]:
    """Return the names of the accounts that `fetch.c` signs in to."""
    return [f"user{number}@example.test" for number in range(count)]


def _environment(setting: Setting) -> dict[str, str]:
    variables = {**os.environ}
    if setting.preload:
        variables["LD_PRELOAD"] = str(setting.preload)
    if setting.bytecode:
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        variables["PYTHONPYCACHEPREFIX"] = str(setting.bytecode)
    return variables


def wait_for_greeting(port: int) -> None:
    """Return when a server greets at 127.0.0.1:`port`.

    Raises:
        BenchError: If none does within a minute.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                if client.recv(100):
                    return
        except OSError:
            time.sleep(0.01)
    raise BenchError(f"nobody greets at port {port}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and insist after a minute."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
