"""Postfix and Dovecot of Debian, set up in a directory of their own, as providers set them up."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from posthouse.lab.hosts import wait_for
from tests.probe.places import NAME, certificate

USER, PASSWORD = "ann@proseware.com", "six-blue-herons"
START_SECONDS: Final = 20.0

DOVECOT: Final = """\
base_dir = {place}/run
state_dir = {place}/state
log_path = {place}/log
protocols = pop3 submission
listen = 127.0.0.1
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
auth_mechanisms = plain login
auth_failure_delay = 0
disable_plaintext_auth = yes
first_valid_uid = 0
mail_location = maildir:{place}/mail/%u
hostname = {name}
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_trusted = no
passdb {{
  driver = passwd-file
  args = {place}/users
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home={place}/mail/%u
}}
service auth {{
  unix_listener {place}/run/sign-in {{
    mode = 0666
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {submission}
  }}
  inet_listener submissions {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

MAIN_CF: Final = """\
compatibility_level = 3.6
queue_directory = {place}/queue
data_directory = {place}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {place}/log
maillog_file_prefixes = {place}
myhostname = {name}
mydestination = proseware.com
local_recipient_maps =
local_transport = error:none
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 192.0.2.0/24
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sign_in}
smtpd_sender_login_maps = texthash:{place}/senders
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
"""

MASTER_CF: Final = """\
127.0.0.1:{mx} inet n - n - - smtpd
127.0.0.1:{submission} inet n - n - - smtpd {signed}
127.0.0.1:{submissions} inet n - n - - smtpd {signed} -o smtpd_tls_wrappermode=yes
127.0.0.1:{careless} inet n - n - - smtpd {careless_options}
127.0.0.1:{open} inet n - n - - smtpd -o mynetworks=0.0.0.0/0
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
anvil     unix - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""
_SIGNED: Final = (
    "-o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes"
    " -o smtpd_client_restrictions=permit_sasl_authenticated,reject"
    " -o smtpd_sender_restrictions=reject_sender_login_mismatch"
)
_CARELESS: Final = "-o smtpd_sasl_auth_enable=yes -o smtpd_tls_security_level=none"


def missing() -> str:
    """Return why the two cannot be run here; "" if they can."""
    found = all(shutil.which(it, path="/usr/sbin:/usr/bin") for it in ("postfix", "dovecot"))
    if not found or not Path("/usr/lib/dovecot/submission").exists():
        return "Postfix or Dovecot is not here: tests/peers/install"
    return "their masters have to be root" if os.geteuid() else ""


@contextmanager
def provider() -> Iterator[tuple[dict[str, int], Path]]:
    """Run both; give the ports by name, and the authority to trust."""
    names = (
        "mx", "submission", "submissions", "careless", "open", "pop3", "pop3s",
        "dovecot_submission",
    )  # fmt: skip
    ports = free_ports(names)
    # A socket's path must be short, and both servers read what lies in here as other users.
    place = Path(tempfile.mkdtemp(prefix="ph-"))
    place.chmod(0o755)
    chain, key, authority = certificate(place, NAME)
    values = {"place": place, "name": NAME, "chain": chain, "key": key}
    (place / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    (place / "users").chmod(0o644)
    try:
        with ExitStack() as stack:
            stack.enter_context(_dovecot(place / "dovecot", ports, values))
            stack.enter_context(_postfix(place / "postfix", ports, values))
            yield ports, authority
    finally:
        shutil.rmtree(place, ignore_errors=True)


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket()) for name in names}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in sockets.items()}


@contextmanager
def _dovecot(place: Path, ports: dict[str, int], values: dict[str, object]) -> Iterator[None]:
    place.mkdir()
    (place / "mail").mkdir()
    shutil.chown(place / "mail", "dovecot", "dovecot")
    text = DOVECOT.replace("uid=vmail gid=vmail", "uid=dovecot gid=dovecot").format(
        **{**values, "place": place},
        pop3=ports["pop3"], pop3s=ports["pop3s"], submission=ports["dovecot_submission"],
        relay=ports["open"],
    )  # fmt: skip
    shutil.copy(place.parent / "users", place / "users")
    (place / "dovecot.conf").write_text(text)
    command = ["/usr/sbin/dovecot", "-F", "-c", str(place / "dovecot.conf")]
    with (place / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            assert wait_for(lambda: answers(ports["pop3"]), START_SECONDS), _last_words(place)
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def _postfix(place: Path, ports: dict[str, int], values: dict[str, object]) -> Iterator[None]:
    for name in ("queue", "data"):
        (place / name).mkdir(parents=True)
    shutil.chown(place / "data", "postfix")
    (place / "senders").write_text(f"{USER} {USER}\n")
    sign_in = place.parent / "dovecot/run/sign-in"
    text = MAIN_CF.format(**{**values, "place": place}, sign_in=sign_in)
    (place / "main.cf").write_text(text)
    (place / "master.cf").write_text(
        MASTER_CF.format(**ports, signed=_SIGNED, careless_options=_CARELESS)
    )
    subprocess.run(
        ["/usr/sbin/postfix", "-c", str(place), "start"], check=True, capture_output=True
    )
    pid_file = place / "queue/pid/master.pid"
    assert wait_for(lambda: pid_file.exists() and pid_file.read_text().strip(), START_SECONDS)
    master = int(pid_file.read_text().split()[0])
    try:
        assert wait_for(lambda: answers(ports["submission"]), START_SECONDS), _last_words(place)
        yield
    finally:
        os.kill(master, signal.SIGTERM)
        wait_for(lambda: not Path(f"/proc/{master}").exists(), 10)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        time.sleep(0.05)
        return False


def _last_words(place: Path) -> str:
    files = [place / name for name in ("output", "log")]
    return "\n".join(it.read_text(errors="replace")[-2000:] for it in files if it.exists())
