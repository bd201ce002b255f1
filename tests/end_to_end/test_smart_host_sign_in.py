"""We sign in at Postfix, with Dovecot's passwords behind it, by whatever mechanism it offers."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from tests.end_to_end.receivers import NEEDS_DOVECOT, NEEDS_POSTFIX, postfix, private_directory
from tests.end_to_end.server import ANN, SIGNED_IN, configuration, running
from tests.end_to_end.talking import signed_in

pytestmark = [pytest.mark.slow, NEEDS_POSTFIX, NEEDS_DOVECOT]

_DOVECOT = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols =
ssl = no
auth_mechanisms = {mechanisms}
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/tmp
}}
service auth {{
  unix_listener {directory}/auth {{
    mode = 0666
  }}
}}
"""
_POSTFIX = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {socket}
smtpd_sasl_security_options = noanonymous
"""


@contextmanager
def dovecot_auth(mechanisms: str) -> Iterator[Path]:
    """Run Dovecot's authentication alone; yields its socket."""
    with private_directory() as directory:
        for name in ("run", "state"):
            (directory / name).mkdir()
        (directory / "users").write_text("isp:{PLAIN}sesame::::\n")
        file = directory / "dovecot.conf"
        file.write_text(_DOVECOT.format(directory=directory, mechanisms=mechanisms))
        process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(file)])
        try:
            place = directory / "auth"
            assert wait_for(place.exists, 10), (directory / "log").read_text()
            yield place
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ("cram-md5 plain login scram-sha-256", "SCRAM-SHA-256"),
        ("plain login", "PLAIN"),
        ("cram-md5", "CRAM-MD5"),
    ],
)
def test_postfix_takes_our_sign_in(tmp_path: Path, offered: str, taken: str) -> None:
    (tmp_path / "password").write_text("sesame\n")
    sign_in = f'sign_in = {{ user = "isp", password_file = "{tmp_path}/password" }}'
    with (
        socket.create_server(("127.0.0.1", 0)) as sink,
        dovecot_auth(offered) as place,
        postfix(sink.getsockname()[1], more=_POSTFIX.format(socket=place)) as (port, log),
        running(
            tmp_path,
            configuration(SIGNED_IN, via=f"smtp://127.0.0.1:{port}", outbound=sign_in),
            ANN,
        ) as server,
    ):
        with signed_in(server.place("submissions"), ANN) as talk:
            content = f"From: {ANN.name}\r\n\r\nHello.\r\n".encode()
            assert talk.mail(ANN.name, "carol@adatum.com", content=content).code == 250
        server.wait_for_events("delivered")
        assert f"sasl_method={taken}, sasl_username=isp" in log.read_text()
