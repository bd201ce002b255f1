"""The servers that are compared: how each is set up in a directory, started and stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.programs import BenchError, free_ports
from posthouse.accounts.passwords import hash_password
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.mail.address import parse_mailbox

USER: Final = "ann@example.test"
PASSWORD: Final = "six-blue-herons"


class Running(Struct, frozen=True):
    """A server that runs.

    Attributes:
        name: For tables.
        process: Id of the process that started all others.
        ports: By kind: `smtp`, which relays for us; `closed`, which relays for nobody.
    """

    name: str
    process: int
    ports: dict[str, int]


_POSTHOUSE: Final = """\
hostname = "mail.example.test"

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

[[may_relay]]
who       = "network"
name      = "the load generator"
networks  = ["127.0.0.0/24"]
listeners = ["mx"]
sends_as  = ["*"]

[[may_relay]]
who       = "signed-in"
listeners = ["submissions"]

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


@contextmanager
def posthouse(directory: Path, sink_port: int) -> Iterator[Running]:
    """Run Posthouse as shipped; only its limits on load are raised."""
    names = ("smtp", "closed", "submissions")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    (directory / "storage").mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / "posthouse.toml").write_text(_POSTHOUSE.format(**ports, sink=sink_port))
    store = SqliteAccountStore(directory / "storage" / "accounts.db")
    if store.find(USER) is None:
        store.add(parse_mailbox(USER), hash_password(PASSWORD))
    store.close()
    command = [sys.executable, "-m", "posthouse", "--config", str(directory / "posthouse.toml")]
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--json", "serve"], stdout=subprocess.PIPE, stderr=log
        )
    with process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise BenchError(f"Posthouse did not start: see {directory}/log")
            yield Running("Posthouse", process.pid, ports)
        finally:
            process.terminate()


_MAIN_CF: Final = """\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {log}
maillog_file_prefixes = {directory}
myhostname = mail.example.test
mydestination =
local_recipient_maps =
local_transport = error:none
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
smtp_tls_security_level = none
biff = no
message_size_limit = 52428800
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
# For load: no limits on clients, no brake on input, many processes that live long.
default_process_limit = 250
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 1000000
smtpd_junk_command_limit = 1000000
in_flow_delay = 0
max_use = 100000
qmgr_message_active_limit = 20000
initial_destination_concurrency = 20
default_destination_concurrency_limit = 40
smtp_connection_cache_destinations = [127.0.0.1]:{sink}
smtp_connection_cache_on_demand = yes
"""

_MASTER_CF: Final = """\
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{closed} inet n - n - - smtpd -o mynetworks=192.0.2.0/24
127.0.0.1:{submissions} inet n - n - - smtpd {submission}
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

_SUBMISSION: Final = (
    "-o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes -o mynetworks=192.0.2.0/24"
    " -o smtpd_sasl_type=dovecot -o smtpd_sasl_path={socket}"
    " -o smtpd_tls_cert_file={directory}/certificate -o smtpd_tls_key_file={directory}/key"
    " -o smtpd_relay_restrictions=permit_sasl_authenticated,reject"
)


@contextmanager
def postfix(directory: Path, sink_port: int, sign_in_socket: str = "") -> Iterator[Running]:
    """Run Debian's Postfix from directories of its own, tuned for load.

    Raises:
        BenchError: If it is not installed, or we are not root, which its master has to be.
    """
    if shutil.which("postfix") is None or os.geteuid():
        raise BenchError("Postfix is not here (./bench/install), or this is not run as root")
    names = ("smtp", "closed", "submissions")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    _set_up_postfix(directory, ports, sink_port, sign_in_socket)
    command = ["postfix", "-c", str(directory)]
    subprocess.run([*command, "start"], check=True, capture_output=True)
    pid_file = directory / "queue/pid/master.pid"
    master = int(_appeared(pid_file).split()[0])
    try:
        yield Running("Postfix", master, ports)
    finally:
        os.kill(master, signal.SIGTERM)
        _wait_for_end(master)


def _set_up_postfix(
    directory: Path, ports: dict[str, int], sink_port: int, sign_in_socket: str
) -> None:
    places = {name: directory / name for name in ("queue", "data", "log")}
    for name in ("queue", "data"):
        places[name].mkdir(parents=True)
    shutil.chown(places["data"], "postfix")
    daemons = next(
        (it for it in ("/usr/lib/postfix/sbin", "/usr/libexec/postfix") if Path(it).is_dir()), ""
    )
    values = {**places, "directory": directory, "daemons": daemons, "sink": sink_port}
    (directory / "main.cf").write_text(_MAIN_CF.format(**values))
    submission = "-o smtpd_tls_wrappermode=no"
    if sign_in_socket:
        _make_certificate(directory)
        submission = _SUBMISSION.format(socket=sign_in_socket, directory=directory)
    (directory / "master.cf").write_text(_MASTER_CF.format(**ports, submission=submission))


def _make_certificate(directory: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
        f" -subj /CN=mail.example.test -keyout {directory}/key -out {directory}/certificate"
    )
    subprocess.run(command.split(), check=True, capture_output=True)


def _appeared(path: Path) -> str:
    for _ in range(200):
        if path.exists() and (text := path.read_text().strip()):
            return text
        time.sleep(0.05)
    raise BenchError(f"{path} never came")


def _wait_for_end(process: int) -> None:
    for _ in range(200):
        if not Path(f"/proc/{process}").exists():
            return
        time.sleep(0.05)
    os.kill(process, signal.SIGKILL)
