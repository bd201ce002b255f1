"""Dovecot's POP3 on a copy of a Maildir, and a dialogue that two servers are put through."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from posthouse.lab.clients import Account
from posthouse.lab.hosts import wait_for
from tests.end_to_end.receivers import free_port, listens, private_directory

WAIT_SECONDS = 15
_CONFIGURATION = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = pop3
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:{directory}/mail
first_valid_uid = 1
mail_uid = dovecot
mail_gid = dovecot
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=dovecot gid=dovecot home={directory}/home
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


@contextmanager
def dovecot_pop3(maildir: Path, password: str) -> Iterator[tuple[str, int]]:
    """Run Dovecot's POP3 over a copy of `maildir`; everybody signs in with `password`."""
    with private_directory() as directory:
        for name in ("run", "state", "home"):
            (directory / name).mkdir()
        shutil.copytree(maildir, directory / "mail")
        for path in (directory / "home", directory / "mail", *(directory / "mail").rglob("*")):
            shutil.chown(path, "dovecot", "dovecot")
        port = free_port()
        file = directory / "dovecot.conf"
        file.write_text(_CONFIGURATION.format(directory=directory, port=port, password=password))
        process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(file)])
        try:
            assert wait_for(lambda: listens(port), 10), (directory / "log").read_text()
            yield "127.0.0.1", port
        finally:
            process.terminate()
            process.wait(10)


class Reply(Struct, frozen=True):
    """What a server said to a command.

    Attributes:
        good: ``+OK``.
        words: What stands behind the mark.
        lines: Of a multi-line answer, as on the wire without the final dot; None: one line.
    """

    good: bool
    words: str
    lines: tuple[bytes, ...] | None = None


class Dialogue:
    """One session; every command is asked as it stands."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._socket = socket.create_connection(server, WAIT_SECONDS)
        self._stream = self._socket.makefile("rb")
        self.greeting = self._status()

    def ask(self, command: str | bytes, *, many: bool = False) -> Reply:
        """Say a line; `many`: a positive answer has further lines."""
        octets = command.encode() if isinstance(command, str) else command
        self._socket.sendall(octets + b"\r\n")
        status = self._status()
        if not (many and status.good):
            return status
        lines = []
        while (line := self._stream.readline()) != b".\r\n":
            assert line, "hung up"
            assert line.endswith(b"\r\n")
            lines.append(line[:-2])
        return Reply(status.good, status.words, tuple(lines))

    def sign_in(self, account: Account) -> None:
        assert self.ask(f"USER {account.name}").good
        assert self.ask(f"PASS {account.password}").good

    def _status(self) -> Reply:
        line = self._stream.readline().decode("ascii")
        mark, _, words = line.strip().partition(" ")
        assert mark in {"+OK", "-ERR"}, line
        return Reply(mark == "+OK", words)

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
