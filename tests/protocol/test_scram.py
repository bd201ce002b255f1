"""SCRAM-SHA-256: the RFC's example, both sides together, and everything that may go wrong."""

from base64 import b64decode, b64encode
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.proofs import Proof, ScramSecret, SecretWanted
from posthouse.protocol.sasl import Challenge, SaslError
from posthouse.protocol.saslprep import SaslprepError, saslprep
from posthouse.protocol.scram import ScramClient, ScramServer, derive, fake_secret, salt_for

SECRET: Final = derive("pencil", b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
CLIENT_NONCE: Final = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE: Final = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
BINDINGS: Final = {"tls-server-end-point": b"\x01" * 32}


def played(client: ScramClient, server: ScramServer, secrets: list[ScramSecret]) -> Proof:
    """Let both sides talk until the server knows."""
    assert isinstance(server.respond(client.initial), SecretWanted)
    answer = client.respond(server.provide(secrets).octets)
    assert answer is not None
    proof = server.respond(answer)
    assert isinstance(proof, Proof)
    return proof


def test_the_example_of_rfc_7677() -> None:
    client, server = ScramClient("user", "pencil", CLIENT_NONCE), ScramServer(SERVER_NONCE)
    assert client.initial == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert server.respond(client.initial) == SecretWanted("user")
    first = server.provide([SECRET])
    assert first == Challenge(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = client.respond(first.octets)
    assert final == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    proof = server.respond(final)
    assert proof == Proof("user", "", 0, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert client.respond(proof.last_word) == b""
    assert client.server_is_proven


def is_fit(text: str) -> bool:
    try:
        return bool(saslprep(text))
    except SaslprepError:
        return False


LETTERS = st.characters(codec="utf-8", categories=["Ll", "Lo", "Nd", "P"], max_codepoint=0x2FF)
NAMES = st.text(LETTERS, min_size=1, max_size=20).filter(is_fit)


@settings(max_examples=60)
@given(name=NAMES, password=NAMES, other=NAMES, plus=st.booleans())
def test_both_sides_agree_exactly_when_the_password_is_the_same(
    name: str, password: str, other: str, plus: bool
) -> None:
    known, tried, prepared_name = saslprep(password), saslprep(other), saslprep(name)
    binding = next(iter(BINDINGS.items())) if plus else None
    for given_password in (password, other):
        client = ScramClient(name, given_password, "clientnonce", binding=binding)
        server = ScramServer("servernonce", plus=plus, bindings=BINDINGS, plus_offered=True)
        proof = played(client, server, [derive(known, b"salt", 4096)])
        assert proof.name == prepared_name
        right = given_password == password or tried == known
        assert (proof.matched == 0) is right
        assert bool(proof.last_word) is right
        if right:
            assert client.respond(proof.last_word) == b""


def test_any_of_several_passwords_of_one_salt_is_known_by_its_place() -> None:
    secrets = [derive(text, b"one salt", 4096) for text in ("first", "second", "third")]
    for place, text in enumerate(("first", "second", "third")):
        client = ScramClient("ann", text, "abc")
        proof = played(client, ScramServer("def"), secrets)
        assert proof.matched == place
        assert client.respond(proof.last_word) == b"", "signed with the key of that password"


def test_a_name_may_have_commas_and_equals_signs() -> None:
    client = ScramClient("a=b,c", "pencil", "abc")
    assert client.initial == b"n,,n=a=3Db=2Cc,r=abc"
    assert ScramServer("def").respond(client.initial) == SecretWanted("a=b,c")


def test_an_authorization_identity_is_carried() -> None:
    server = ScramServer("def")
    assert server.respond(b"n,a=bob,n=ann,r=abc") == SecretWanted("ann", "bob")


def test_without_an_initial_response_the_client_is_asked() -> None:
    server = ScramServer("def")
    assert server.respond(None) == Challenge(b"")
    assert isinstance(server.respond(b"n,,n=ann,r=abc"), SecretWanted)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=ann",
        b"n,,n=,r=abc",
        b"n,,r=abc,n=ann",
        b"n,,m=x,n=ann,r=abc",  # a mandatory extension that nobody knows
        b"n,,n=ann,r=",
        b"n,,n=ann,r=a\x01c",
        b"n,,n=ann,r=" + b"x" * 300,
        b"n,,n=a=2cb,r=abc",
        b"n,,n=a=b,r=abc",
        b"n,,n=" + b"x" * 2000 + b",r=abc",
        b"n,x,n=ann,r=abc",
        b"q,,n=ann,r=abc",
        b"p=tls-unique,,n=ann,r=abc",
        b"n,,n=\xff,r=abc",
        b"n,,n=a\x00b,r=abc",
        b"n,,n=ann,r=abc,r=def",
    ],
)
def test_a_first_message_that_is_none_is_refused(first: bytes) -> None:
    with pytest.raises(SaslError):
        ScramServer("def").respond(first)


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"c=biws,r=abcdef",
        b"c=biws,r=abcde,p=AAAA",  # another nonce
        b"c=eSws,r=abcdef,p=AAAA",  # another header
        b"c=%%%%,r=abcdef,p=AAAA",
        b"c=biws,r=abcdef,p=%%%%",
        b"r=abcdef,c=biws,p=AAAA",
        b"\xff",
    ],
)
def test_a_final_message_that_is_none_is_refused(final: bytes) -> None:
    server = ScramServer("def")
    server.respond(b"n,,n=ann,r=abc")
    server.provide([SECRET])
    with pytest.raises(SaslError):
        server.respond(final)


def test_a_proof_of_another_length_proves_nothing() -> None:
    server = ScramServer("def")
    server.respond(b"n,,n=ann,r=abc")
    server.provide([SECRET])
    assert server.respond(b"c=biws,r=abcdef,p=AAAA") == Proof("ann", "", None)
    with pytest.raises(SaslError):
        server.respond(b"")


def test_plus_binds_to_the_connection() -> None:
    """RFC 5802 §6: what somebody in between passes on has another binding."""
    client = ScramClient("user", "pencil", "abc", binding=("tls-server-end-point", b"\x02" * 32))
    server = ScramServer("def", plus=True, bindings=BINDINGS, plus_offered=True)
    server.respond(client.initial)
    final = client.respond(server.provide([SECRET]).octets)
    assert final is not None
    with pytest.raises(SaslError, match="channel binding"):
        server.respond(final)


def test_a_hidden_plus_is_noticed() -> None:
    """RFC 5802 §6: "y" says that the client could bind and was not offered to."""
    client = ScramClient("user", "pencil", "abc", could_bind=True)
    with pytest.raises(SaslError, match="hid"):
        ScramServer("def", bindings=BINDINGS, plus_offered=True).respond(client.initial)
    assert isinstance(ScramServer("def").respond(client.initial), SecretWanted)


def test_plus_needs_a_binding_that_the_connection_has() -> None:
    with pytest.raises(SaslError, match="not supported"):
        ScramServer("def", plus=True, bindings=BINDINGS).respond(b"p=tls-unique,,n=ann,r=abc")
    with pytest.raises(SaslError):
        ScramServer("def", plus=True, bindings=BINDINGS).respond(b"n,,n=ann,r=abc")


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=other,s=c2FsdA==,i=4096",
        b"r=abc,s=c2FsdA==,i=4096",  # the server added nothing
        b"r=abcdef,s=c2FsdA==,i=1",  # too quick to try passwords
        b"r=abcdef,s=c2FsdA==,i=99999999",  # would keep the client busy
        b"r=abcdef,s=c2FsdA==,i=x",
        b"e=other-error",
        b"\xff",
    ],
)
def test_a_client_does_not_trust_every_server(challenge: bytes) -> None:
    assert ScramClient("user", "pencil", "abc").respond(challenge) is None


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    client = ScramClient("user", "pencil", "abc")
    assert client.respond(b"r=abcdef,s=c2FsdA==,i=4096") is not None
    assert client.respond(b"v=" + b64encode(b"\0" * 32)) is None
    assert not client.server_is_proven


def test_somebody_unknown_has_a_salt_that_never_changes_and_no_password() -> None:
    key = b"k" * 32
    fake = fake_secret("nobody@example.com", key)
    assert fake == fake_secret("nobody@example.com", key)
    assert fake.salt == salt_for("nobody@example.com", key)
    assert fake.salt != salt_for("somebody@example.com", key)
    assert len(fake.salt) == 16
    assert played(ScramClient("nobody", "x", "abc"), ScramServer("def"), [fake]).matched is None


def test_secrets_do_not_show() -> None:
    assert repr(SECRET) == "ScramSecret(...)"


@given(octets=st.binary(max_size=200))
def test_any_octets_are_answered_or_refused(octets: bytes) -> None:
    server = ScramServer("def")
    for response in (octets, octets):
        try:
            if isinstance(server.respond(response), SecretWanted):
                server.provide([SECRET])
        except SaslError:
            return
