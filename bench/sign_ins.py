"""Dovecot, for Postfix to ask whether a password is right."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.servers import PASSWORD, USER

_CONF: Final = """\
base_dir = {directory}/run
state_dir = {directory}/run
log_path = {directory}/log
protocols =
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
auth_mechanisms = plain
auth_cache_size = 1M
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {directory}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {directory}/auth {{
    mode = 0666
  }}
}}
"""


@contextmanager
def sign_in_server(directory: Path) -> Iterator[str]:
    """Run Dovecot's sign-in service; yield its socket, or "" if Dovecot is not here."""
    if shutil.which("dovecot") is None or os.geteuid():
        yield ""
        return
    directory.mkdir(mode=0o711)
    (directory / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    (directory / "users").chmod(0o644)
    (directory / "dovecot.conf").write_text(_CONF.format(directory=directory))
    command = ["dovecot", "-F", "-c", str(directory / "dovecot.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        socket = directory / "auth"
        for _ in range(100):
            if socket.exists():
                break
            time.sleep(0.05)
        try:
            yield str(socket) if socket.exists() else ""
        finally:
            process.terminate()
