"""The client side of each mechanism, against the server side and against servers that cheat."""

import hashlib
import hmac
from base64 import b64decode, b64encode

import pytest

from posthouse.mail.reply import Reply
from posthouse.protocol import cram_md5, scram
from posthouse.protocol.proofs import Proof, SecretWanted
from posthouse.protocol.sasl import SERVER_SIDE, Challenge, Credentials
from posthouse.protocol.scram import ScramServer, derive
from posthouse.protocol.signing_in import choose_sign_in
from posthouse.protocol.smtp.client import NOT_PROVEN, ClientConnection
from posthouse.protocol.smtp.client_events import SignInAnswered

ALL = (scram.MECHANISM, "PLAIN", "LOGIN", "CRAM-MD5")
SECRET = derive("pencil", b"0123456789abcdef", 4096)
YES = Reply(235, "2.7.0", "Signed in")


@pytest.mark.parametrize("mechanism", SERVER_SIDE)
def test_the_client_says_what_the_server_understands(mechanism: str) -> None:
    sign_in = choose_sign_in((mechanism,), ("LOGIN", "PLAIN"), "ann", "secret")
    assert sign_in is not None
    server = SERVER_SIDE[mechanism]()
    step = server.respond(sign_in.initial)
    while isinstance(step, Challenge):
        step = server.respond(sign_in.respond(step.octets))
    assert step == Credentials("ann", "secret")
    assert sign_in.believes
    assert sign_in.respond(b"more?") is None


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("PLAIN", "CRAM-MD5", "SCRAM-SHA-256"), "SCRAM-SHA-256"),
        (("CRAM-MD5", "LOGIN", "PLAIN"), "PLAIN"),
        (("CRAM-MD5", "LOGIN"), "LOGIN"),
        (("CRAM-MD5",), "CRAM-MD5"),
        (("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "GSSAPI"), ""),
    ],
)
def test_the_client_takes_the_best_that_is_offered(offered: tuple[str, ...], chosen: str) -> None:
    found = choose_sign_in(ALL, offered, "ann", "pencil", "nonce")
    assert (found.mechanism if found is not None else "") == chosen


def test_without_a_nonce_or_with_a_password_it_cannot_prepare_there_is_no_scram() -> None:
    for password, nonce in (("pencil", ""), ("pen\ue000cil", "nonce")):
        found = choose_sign_in(ALL, ALL, "ann", password, nonce)
        assert found is not None
        assert found.mechanism == "PLAIN"


def test_cram_md5_answers_one_challenge_and_no_second_one() -> None:
    client = choose_sign_in(("CRAM-MD5",), ALL, "ann", "pencil")
    assert client is not None
    assert client.initial is None
    assert not client.believes
    signed = hmac.new(b"pencil", b"<1.2@mail.example>", hashlib.md5).hexdigest()
    assert client.respond(b"<1.2@mail.example>") == f"ann {signed}".encode()
    assert client.respond(b"<1.2@mail.example>") is None
    assert client.mechanism == cram_md5.MECHANISM


def connected() -> ClientConnection:
    connection = ClientConnection()
    connection.receive(b"220 mx ESMTP\r\n")
    connection.next_event()
    connection.hello("client.example")
    connection.receive(b"250-mx\r\n250 AUTH SCRAM-SHA-256 PLAIN\r\n")
    connection.next_event()
    connection.bytes_to_send()
    return connection


def said(connection: ClientConnection) -> bytes:
    return b64decode(connection.bytes_to_send().strip().rpartition(b" ")[2])


def asked(connection: ClientConnection, octets: bytes) -> None:
    connection.receive(b"334 " + b64encode(octets) + b"\r\n")
    assert connection.next_event() is None


def test_both_sides_of_scram_prove_themselves_through_the_client_core() -> None:
    connection, server = connected(), ScramServer("servernonce")
    assert connection.sign_in("ann", "pencil", ALL, "clientnonce") == "SCRAM-SHA-256"
    assert isinstance(server.respond(said(connection)), SecretWanted)
    asked(connection, server.provide([SECRET]).octets)
    proof = server.respond(said(connection))
    assert isinstance(proof, Proof)
    assert proof.matched == 0
    asked(connection, proof.last_word)
    assert connection.bytes_to_send() == b"\r\n"
    connection.receive(YES.encode())
    assert connection.next_event() == SignInAnswered(YES)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_server_that_proves_nothing_is_not_believed(steps: int) -> None:
    connection, server = connected(), ScramServer("servernonce")
    connection.sign_in("ann", "pencil", ALL, "clientnonce")
    server.respond(said(connection))
    if steps:
        asked(connection, server.provide([SECRET]).octets)
    connection.receive(YES.encode())
    assert connection.next_event() == SignInAnswered(NOT_PROVEN)


@pytest.mark.parametrize("challenge", [b"v=AAAA", b"r=other,s=AAAA,i=4096", b"e=other-error", b""])
def test_a_server_that_says_nonsense_is_told_to_stop(challenge: bytes) -> None:
    connection = connected()
    connection.sign_in("ann", "pencil", ALL, "clientnonce")
    connection.bytes_to_send()
    asked(connection, challenge)
    assert connection.bytes_to_send() == b"*\r\n"
    connection.receive(YES.encode())  # and does not
    assert connection.next_event() == SignInAnswered(NOT_PROVEN)
