"""Receivers of other makers: Postfix and Dovecot, in private directories, on free loopback ports.

They are started here and stopped by their process ids; nothing of the system's own is touched.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for

NEEDS_POSTFIX = pytest.mark.skipif(
    shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None
    or os.geteuid() != 0,
    reason="Postfix is not installed (make peers), or this is not root",
)
NEEDS_DOVECOT = pytest.mark.skipif(
    not Path("/usr/lib/dovecot/lmtp").exists() or os.geteuid() != 0,
    reason="Dovecot's LMTP is not installed (make peers), or this is not root",
)

NEEDS_DOVECOT_POP3 = pytest.mark.skipif(
    not Path("/usr/lib/dovecot/pop3").exists() or os.geteuid() != 0,
    reason="Dovecot's POP3 is not installed (make peers), or this is not root",
)

_MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
myhostname = mx.adatum.com
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 192.0.2.1
relay_domains = adatum.com
relay_recipient_maps = inline:{{ carol@adatum.com=x, dora@adatum.com=x }}
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
biff = no
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_cert_file = {directory}/certificate
smtpd_tls_key_file = {directory}/key
smtpd_tls_security_level = {tls}
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
_DOVECOT = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = lmtp
ssl = no
postmaster_address = postmaster@adatum.com
mail_location = maildir:{directory}/mail/%n
first_valid_uid = 1
mail_uid = dovecot
mail_gid = dovecot
passdb {{
  driver = passwd-file
  args = username_format=%n {directory}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {directory}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {directory}/lmtp.sock {{
    mode = 0600
  }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as it:
        port: int = it.getsockname()[1]
        return port


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory that servers can enter after they have given up root."""
    with tempfile.TemporaryDirectory(prefix="posthouse-peer-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def smtp_sink(*options: str) -> Iterator[int]:
    """Run Postfix's smtp-sink, which takes all mail, or what `options` say; yield its port."""
    port = free_port()
    program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program is not None, "checked by NEEDS_POSTFIX"
    process = subprocess.Popen(
        [program, "-u", "nobody", *options, f"127.0.0.1:{port}", "100"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_for(lambda: _answers(port), 10)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def postfix(sink: int, tls: str = "may", more: str = "") -> Iterator[tuple[int, Path]]:
    """Run Postfix as the exchanger of adatum.com; what it takes goes on to `sink`.

    Yields its port and its log. `tls` is its smtpd_tls_security_level; `more` are settings.
    """
    with private_directory() as directory:
        for name in ("queue", "data"):
            (directory / name).mkdir()
        shutil.chown(directory / "data", "postfix")
        make_certificate(directory)
        port = free_port()
        daemons = next(
            it for it in ("/usr/lib/postfix/sbin", "/usr/libexec/postfix") if Path(it).is_dir()
        )
        main = _MAIN.format(directory=directory, daemons=daemons, sink=sink, tls=tls)
        (directory / "main.cf").write_text(main + more)
        (directory / "master.cf").write_text(_MASTER.format(port=port))
        subprocess.run(
            ["/usr/sbin/postfix", "-c", str(directory), "start"], check=True, capture_output=True
        )
        pid_file = directory / "queue/pid/master.pid"
        assert wait_for(lambda: pid_file.exists() and pid_file.read_text().strip(), 10)
        master = int(pid_file.read_text())
        try:
            assert wait_for(lambda: listens(port), 10)
            yield port, directory / "log"
        finally:
            end(master)


@contextmanager
def dovecot_lmtp(*users: str) -> Iterator[tuple[int, Path]]:
    """Run Dovecot's LMTP; yields its port and its directory (`lmtp.sock`, `mail/USER/new`)."""
    with private_directory() as directory:
        for name in ("run", "state", "mail"):
            (directory / name).mkdir()
        shutil.chown(directory / "mail", "dovecot", "dovecot")
        (directory / "users").write_text("".join(f"{user}:{{PLAIN}}x::::\n" for user in users))
        port = free_port()
        configuration = directory / "dovecot.conf"
        configuration.write_text(_DOVECOT.format(directory=directory, port=port))
        process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(configuration)])
        try:
            assert wait_for(lambda: listens(port), 10), (directory / "log").read_text()
            yield port, directory
        finally:
            process.terminate()
            process.wait(10)


def make_certificate(directory: Path) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
        f" -subj /CN=mx.adatum.com -keyout {directory}/key -out {directory}/certificate"
    )
    subprocess.run(command.split(), check=True, capture_output=True)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def end(process: int) -> None:
    os.kill(process, signal.SIGTERM)
    assert wait_for(lambda: not Path(f"/proc/{process}").exists(), 10)
