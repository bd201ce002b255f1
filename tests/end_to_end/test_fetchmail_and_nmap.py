"""fetchmail fetches from us as it has for thirty years; nmap's scripts see what we say we are."""

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from tests.end_to_end.programs import PEERS, needs, run
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, running

pytestmark = [pytest.mark.peer, pytest.mark.slow]
FETCHMAIL = PEERS / "usr/bin/fetchmail"
NEEDS_FETCHMAIL = pytest.mark.skipif(
    not FETCHMAIL.exists(), reason="fetchmail is not unpacked (make peers)"
)
LINES = "\r\n.a dot\r\n..two dots\r\nFrom here\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(SIGNED_IN)
    with running(tmp_path_factory.mktemp("fetchmail"), text, ANN, BOB) as it:
        yield it


def send_to_bob(server: Server, *tokens: str) -> None:
    with smtplib.SMTP(*server.place("mx"), timeout=10) as client:
        for token in tokens:
            client.sendmail("x@adatum.com", BOB.name, f"Subject: {token}\r\n{LINES}")
    assert wait_for(lambda: all(token in str(server.mailbox("bob")) for token in tokens), 15)


class Fetchmail:
    """A fetchmail with a home of its own, which writes what it fetches into a file."""

    def __init__(self, home: Path, server: Server, listener: str, options: str) -> None:
        self._file = home / "rc"
        self._fetched = home / "fetched"
        self._fetched.touch()
        host, port = server.place(listener)
        encrypted = "ssl" if listener == "pop3s" else "sslproto tls1.2+"
        self._file.write_text(
            f'set no syslog\nset idfile "{home}/ids"\nset pidfile "{home}/pid"\n'
            f"poll {host} service {port} protocol pop3 uidl timeout 10\n"
            f'  user "{BOB.name}" password "{BOB.password}" is root here {options}\n'
            f'  {encrypted} no sslcertck mda "cat >> {self._fetched}"\n'
        )
        self._file.chmod(0o600)

    def fetch(self) -> tuple[int, str, str]:
        """Run once; return the exit code, what it printed, and all it has ever fetched."""
        code, printed = run(
            str(FETCHMAIL), "-f", str(self._file), "--nodetach", "-v", "--daemon", "0"
        )
        return code, printed, self._fetched.read_text()


@NEEDS_FETCHMAIL
@pytest.mark.parametrize("listener", ["pop3", "pop3s"])
def test_fetchmail_keeps_mail_and_fetches_only_what_is_new(
    server: Server, listener: str, tmp_path: Path
) -> None:
    program = Fetchmail(tmp_path, server, listener, "keep")
    send_to_bob(server, f"first-{listener}")
    code, printed, fetched = program.fetch()
    assert code == 0, printed
    assert "TLS" in printed
    assert fetched.count(f"Subject: first-{listener}") == 1
    assert "\n.a dot\n..two dots\n" in fetched
    code, printed, fetched = program.fetch()
    assert code == 1, "1 is: no new mail"
    assert fetched.count(f"Subject: first-{listener}") == 1
    send_to_bob(server, f"second-{listener}")
    code, printed, fetched = program.fetch()
    assert code == 0, printed
    assert fetched.count(f"Subject: first-{listener}") == 1
    assert fetched.count(f"Subject: second-{listener}") == 1


@NEEDS_FETCHMAIL
def test_fetchmail_takes_all_away(server: Server, tmp_path: Path) -> None:
    program = Fetchmail(tmp_path, server, "pop3s", "fetchall no keep")
    send_to_bob(server, "away-1", "away-2", "away-3")
    code, printed, fetched = program.fetch()
    assert code == 0, printed
    assert all(f"Subject: away-{number}" in fetched for number in (1, 2, 3))
    code, printed, _ = program.fetch()
    assert code == 1, printed
    assert server.mailbox("bob") == []
    assert server.fetch(BOB) == []


def nmap(server: Server, listener: str, script: str) -> str:
    host, port = server.place(listener)
    code, printed = run(
        "nmap", "-Pn", "-n", "-p", str(port), "--script", f"+{script}", host, seconds=60
    )
    assert code == 0, printed
    assert script in printed, printed
    return printed


@needs("nmap")
def test_nmap_sees_our_extensions_of_smtp(server: Server) -> None:
    printed = nmap(server, "mx", "smtp-commands")
    for word in ("mail.proseware.com", "PIPELINING", "SIZE", "STARTTLS", "8BITMIME", "CHUNKING"):
        assert word in printed
    offered = next(line for line in printed.splitlines() if "PIPELINING" in line)
    assert "AUTH" not in offered, "strangers do not sign in at mx"


@needs("nmap")
def test_nmap_sees_our_capabilities_of_pop3(server: Server) -> None:
    printed = nmap(server, "pop3", "pop3-capabilities")
    for word in ("UIDL", "TOP", "STLS", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"):
        assert word in printed, printed
    assert "USER" not in printed.partition("pop3-capabilities")[2], "no password before TLS"
