"""Debian's Postfix, from directories of its own, tuned for load."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.programs import BenchError, free_ports
from bench.servers import Contender, Running, Setting, wait_for_greeting

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
mynetworks = 127.0.0.0/24{networks}
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
{preload}"""

_MASTER_CF: Final = """\
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{closed} inet n - n - - smtpd -o mynetworks=192.0.2.0/24{networks}
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

# As it is without being told.
_VARIABLES: Final = "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME"

_SUBMISSION: Final = (
    "-o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes -o mynetworks=192.0.2.0/24"
    " -o smtpd_sasl_type=dovecot -o smtpd_sasl_path={socket}"
    " -o smtpd_tls_cert_file={directory}/certificate -o smtpd_tls_key_file={directory}/key"
    " -o smtpd_relay_restrictions=permit_sasl_authenticated,reject"
)


def postfix(directory: Path, setting: Setting) -> Contender:
    """Return Postfix, tuned for load.

    Raises:
        BenchError: If it is not installed, or we are not root, which its master has to be.
    """
    if shutil.which("postfix") is None or os.geteuid():
        raise BenchError("Postfix is not here (./bench/install), or this is not run as root")
    return Contender("Postfix", partial(_run, directory, setting))


@contextmanager
def _run(directory: Path, setting: Setting) -> Iterator[Running]:
    names = ("smtp", "closed", "submissions")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    _set_up(directory, ports, setting)
    command = ["postfix", "-c", str(directory)]
    pid_file, began = directory / "queue/pid/master.pid", time.monotonic()
    pid_file.unlink(missing_ok=True)
    ran = subprocess.run([*command, "start"], check=False, capture_output=True, text=True)
    if ran.returncode:
        raise BenchError(f"Postfix did not start: {ran.stderr[-1000:]}")
    master = int(_appeared(pid_file).split()[0])
    try:
        wait_for_greeting(ports["smtp"])
        yield Running("Postfix", master, ports, time.monotonic() - began)
    finally:
        os.kill(master, signal.SIGTERM)
        _wait_for_end(master)


def _set_up(directory: Path, ports: dict[str, int], setting: Setting) -> None:
    places = {name: directory / name for name in ("queue", "data", "log")}
    for name in ("queue", "data"):
        places[name].mkdir(parents=True, exist_ok=True)
    shutil.chown(places["data"], "postfix")
    values = {**places, "directory": directory, "daemons": _daemons(), "sink": setting.sink_port}
    values |= {"networks": "", "preload": ""}
    if setting.networks:
        table = directory / "networks"
        table.write_text("".join(f"{network} OK\n" for network in setting.networks))
        values["networks"] = f",cidr:{table}"
    if setting.preload:  # Postfix gives its processes no other variables
        values["preload"] = f"import_environment = {_VARIABLES} LD_PRELOAD={setting.preload}\n"
    (directory / "main.cf").write_text(_MAIN_CF.format(**values))
    submission = "-o smtpd_tls_wrappermode=no"
    if setting.sign_in_socket:
        _make_certificate(directory)
        submission = _SUBMISSION.format(socket=setting.sign_in_socket, directory=directory)
    text = _MASTER_CF.format(**ports, submission=submission, networks=values["networks"])
    (directory / "master.cf").write_text(text)


def _daemons() -> str:
    places = ("/usr/lib/postfix/sbin", "/usr/libexec/postfix")
    return next((it for it in places if Path(it).is_dir()), "")


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
