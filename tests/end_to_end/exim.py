"""Exim of Debian's package, unpacked and never installed, with its own spool in a directory."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from posthouse.lab.hosts import wait_for
from tests.end_to_end.programs import PEERS, run
from tests.end_to_end.receivers import free_port, listens, make_certificate, private_directory
from tests.end_to_end.server import ANN

PROGRAM = PEERS / "usr/sbin/exim4"
USER = "Debian-exim"
NEEDS_EXIM = pytest.mark.skipif(
    not PROGRAM.exists() or os.geteuid() != 0,
    reason="Exim is not unpacked (make peers), or this is not root",
)

_CONFIGURATION = """\
exim_path = {program}
spool_directory = {directory}/spool
log_file_path = {directory}/log/%slog
pid_file_path = {directory}/pid
primary_hostname = mx.adatum.com
deliver_drop_privilege
disable_ipv6
dns_again_means_nonexist = *
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = {directory}/certificate
tls_privatekey = {directory}/key
local_interfaces = 127.0.0.1
acl_smtp_rcpt = recipient
acl_smtp_data = content
domainlist taken = adatum.com
accept_8bitmime
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
trusted_users = root
never_users =
untrusted_set_sender = *

begin acl
recipient:
  accept domains = +taken
         local_parts = carol : dora
  deny   domains = +taken
         message = 5.1.1 nobody of this name here
  deny   message = 5.7.1 relaying is not for you
content:
  accept

begin routers
onwards:
  driver = manualroute
  transport = onwards
  route_list = * 127.0.0.1::{next_port}
  self = send

begin transports
onwards:
  driver = smtp
  hosts_try_auth = *
  hosts_require_tls = {tls}
  tls_verify_certificates =
  hosts_try_chunking = *
  hosts_try_fastopen =
  hosts_try_dane =
  allow_localhost

begin retry
* * F,1m,5s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{name}^{password}
"""


class Exim:
    """An Exim with all it has in `directory`.

    Attributes:
        port: Where it listens, once `serving`.
    """

    def __init__(self, directory: Path, next_port: int, tls: str) -> None:
        for name in ("spool", "log"):
            (directory / name).mkdir()
            shutil.chown(directory / name, USER, USER)
        make_certificate(directory)
        shutil.chown(directory / "key", USER, USER)
        self._directory = directory
        self._file = directory / "exim.conf"
        self._file.write_text(
            _CONFIGURATION.format(
                program=PROGRAM, directory=directory, next_port=next_port, tls=tls,
                name=ANN.name, password=ANN.password,
            )
        )  # fmt: skip
        self.port = free_port()

    def send(self, sender: str, *recipients: str, content: bytes) -> str:
        """Hand a message in and deliver it at once, as sendmail does; return what is printed."""
        command = (str(PROGRAM), "-C", str(self._file), "-odf", "-oi", "-f", sender)
        _, printed = run(*command, *recipients, given=content, seconds=40)
        return printed

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Listen until the block ends."""
        process = subprocess.Popen(
            [PROGRAM, "-C", self._file, "-bdf", "-q5s", "-oX", str(self.port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert wait_for(lambda: listens(self.port), 10), self.log()
            yield self
        finally:
            process.terminate()
            process.wait(10)

    def log(self) -> str:
        """Return all it has logged."""
        return "".join(it.read_text(errors="replace") for it in self._directory.glob("log/*log"))


@contextmanager
def exim(next_port: int, *, tls: str = "") -> Iterator[Exim]:
    """Make an Exim that sends all mail to `next_port`; `tls` are the hosts that must have it."""
    with private_directory() as directory:
        yield Exim(directory, next_port, tls)
