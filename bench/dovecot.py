"""Dovecot: for Postfix to ask whether a password is right, and beside our POP3."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench.programs import BenchError, free_ports
from bench.servers import PASSWORD, USER, Contender, Running, stop, users, wait_for_greeting

NOBODY: Final = 65534

_CONF: Final = """\
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/log
protocols = {protocols}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_internal_user = dovecot
default_login_user = dovenull
auth_mechanisms = plain
auth_cache_size = 10M
mail_location = maildir:%h
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {directory}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={directory}/mail/%n
}}
service auth {{
  unix_listener {directory}/auth {{
    mode = 0666
  }}
}}
"""

# For load: processes that live long and wait for clients, in Dovecot's high-performance mode.
_POP3: Final = """
mail_max_userip_connections = 1000
service pop3-login {{
  inet_listener pop3 {{
    port = {port}
  }}
  service_count = 0
  process_min_avail = 2
  client_limit = 1000
}}
service pop3 {{
  service_count = 100000
  process_min_avail = 10
  process_limit = 200
}}
service anvil {{
  client_limit = 2000
}}
"""


def is_here() -> bool:
    """Whether Dovecot can be started."""
    return shutil.which("dovecot") is not None and not os.geteuid()


@contextmanager
def sign_in_server(directory: Path) -> Iterator[str]:
    """Run Dovecot's sign-in service; yield its socket, or "" if Dovecot is not here."""
    if not is_here():
        yield ""
        return
    _set_up(directory, [USER], _CONF.format(directory=directory, protocols=""))
    with subprocess.Popen(_command(directory), stderr=subprocess.DEVNULL) as process:
        socket = directory / "auth"
        for _ in range(100):
            if socket.exists():
                break
            time.sleep(0.05)
        try:
            yield str(socket) if socket.exists() else ""
        finally:
            stop(process)


def dovecot(directory: Path, count: int) -> Contender:
    """Return Dovecot as a POP3 server with so many users; Maildirs are in `mail/NAME`.

    Raises:
        BenchError: If it is not here, or we are not root.
    """
    if not is_here():
        raise BenchError("Dovecot is not here (./bench/install), or this is not run as root")
    return Contender("Dovecot", partial(_run, directory, count))


@contextmanager
def _run(directory: Path, count: int) -> Iterator[Running]:
    port = free_ports(1)[0]
    form = _CONF + _POP3
    text = form.format(directory=directory, protocols="pop3", port=port)
    _set_up(directory, users(count), text)
    began = time.monotonic()
    with subprocess.Popen(_command(directory), stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_greeting(port)
            yield Running("Dovecot", process.pid, {"pop3": port}, time.monotonic() - began)
        finally:
            stop(process)


def _set_up(directory: Path, names: list[str], configuration: str) -> None:
    directory.mkdir(mode=0o711, exist_ok=True)
    (directory / "users").write_text("".join(f"{it}:{{PLAIN}}{PASSWORD}\n" for it in names))
    (directory / "users").chmod(0o644)
    (directory / "dovecot.conf").write_text(configuration)


def _command(directory: Path) -> list[str]:
    return ["dovecot", "-F", "-c", str(directory / "dovecot.conf")]
