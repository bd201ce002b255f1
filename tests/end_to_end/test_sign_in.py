"""Signing in to a running server: by SCRAM, by a passwd file, behind a proxy, after a reload."""

import poplib
import smtplib
import socket
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import pytest

from posthouse.lab.clients import trusting_context
from posthouse.protocol.scram import ScramClient
from tests.end_to_end.server import ANN, BOB, Server, configuration, running

PROXIED = """
[listen.proxied]
service = "submission"
on = ["127.0.0.1:0"]
tls = "offered"
proxied_from = ["127.0.0.1"]
mechanisms = ["SCRAM-SHA-256"]
"""
pytestmark = pytest.mark.slow
CAROL = "carol@proseware.com"
DAVE = "dave@proseware.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("sign-in")
    (directory / "users").write_text(f"{CAROL}:{{PLAIN}}quiet moss\n")
    accounts = f'[accounts]\ndirectory = "passwd-file:{directory}/users"\n'
    with running(directory, configuration(PROXIED, accounts), ANN, BOB) as it:
        yield it


@contextmanager
def connected(server: Server, listener: str) -> Iterator[BinaryIO]:
    with socket.create_connection(server.place(listener), 10) as it, it.makefile("rwb") as stream:
        yield cast("BinaryIO", stream)


def say(stream: BinaryIO, text: str) -> str:
    stream.write(text.encode() + b"\r\n")
    stream.flush()
    return reply(stream)


def reply(stream: BinaryIO) -> str:
    while True:
        line = stream.readline().decode().strip()
        if line[3:4] != "-":
            return line


def scram(stream: BinaryIO, name: str, password: str) -> str:
    client = ScramClient(name, password, "nonce")
    said = say(stream, f"AUTH SCRAM-SHA-256 {b64encode(client.initial).decode()}")
    while said.startswith("334 "):
        answer = client.respond(b64decode(said[4:]))
        assert answer is not None
        said = say(stream, b64encode(answer).decode())
    return said


def test_behind_a_proxy_the_case_names_the_real_client(server: Server) -> None:
    with connected(server, "proxied") as stream:
        stream.write(b"PROXY TCP4 192.0.2.77 203.0.113.25 56324 587\r\n")
        stream.flush()
        assert reply(stream).startswith("220 ")
        say(stream, "EHLO a.example")
        assert scram(stream, ANN.name, "wrong").startswith("535")
        assert scram(stream, ANN.name, ANN.password).startswith("235")
        say(stream, "QUIT")
    assert '"client":"192.0.2.77"' in server.log().replace('": "', '":"')


def test_a_proxy_that_says_nothing_of_its_client_gets_no_greeting(server: Server) -> None:
    with connected(server, "proxied") as stream:
        stream.write(b"EHLO a.example\r\n")
        stream.flush()
        try:
            assert stream.readline() == b""
        except ConnectionError:
            return


def test_who_is_in_the_passwd_file_sends_and_fetches(server: Server) -> None:
    host, port = server.place("submissions")
    with smtplib.SMTP_SSL(host, port, timeout=10, context=trusting_context()) as client:
        client.ehlo()
        assert "SCRAM" not in client.esmtp_features["auth"], "not everybody could use it"
        client.login(CAROL, "quiet moss")
        client.sendmail(CAROL, BOB.name, f"From: {CAROL}\r\nSubject: moss\r\n\r\nHello.\r\n")
    host, port = server.place("pop3s")
    mail = poplib.POP3_SSL(host, port, timeout=10, context=trusting_context())
    mail.user(CAROL)
    assert mail.pass_("quiet moss").startswith(b"+OK")
    mail.quit()
    with (
        smtplib.SMTP_SSL(
            *server.place("submissions"), timeout=10, context=trusting_context()
        ) as client,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        client.login(CAROL, "loud moss")


def test_a_changed_passwd_file_counts_at_once_and_its_names_after_a_reload(server: Server) -> None:
    users = server.file.parent / "users"
    users.write_text(f"{CAROL}:{{PLAIN}}other moss\n{DAVE}:{{PLAIN}}dry leaves\n")
    with smtplib.SMTP_SSL(
        *server.place("submissions"), timeout=10, context=trusting_context()
    ) as client:
        client.login(CAROL, "other moss")
        assert client.mail(CAROL)[0] == 250
        assert client.rcpt(DAVE)[0] == 550
        server.reconfigure(server.file.read_text())
        assert client.rcpt(DAVE)[0] == 250
