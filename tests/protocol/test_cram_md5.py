import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.cram_md5 import CramMd5Server, derive, digest, respond_as_client
from posthouse.protocol.proofs import CramSecret, Proof, SecretWanted
from posthouse.protocol.sasl import Challenge, SaslError


def test_the_example_of_rfc_2195() -> None:
    server = CramMd5Server("1896.697170952", "postoffice.reston.mci.net")
    challenge = server.respond(None)
    assert challenge == Challenge(b"<1896.697170952@postoffice.reston.mci.net>")
    assert server.respond(b"tim b913a602c7eda7a495b4e6e7334d3890") == SecretWanted("tim")
    assert server.provide([derive("tanstaaftanstaaf")]) == Proof("tim", "", 0)


def test_the_two_states_are_those_that_dovecot_keeps() -> None:
    """What ``doveadm pw -s CRAM-MD5 -p secret`` prints, outer state first."""
    secret = derive("secret")
    assert (secret.outer + secret.inner).hex() == (
        "cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56"
    )


@given(password=st.text(st.characters(codec="utf-8"), max_size=90), message=st.binary(max_size=200))
def test_the_digest_is_hmac_md5(password: str, message: bytes) -> None:
    assert digest(derive(password), message) == hmac.digest(password.encode(), message, "md5")


@given(password=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), other=st.text())
def test_both_sides_agree_exactly_when_the_password_is_the_same(password: str, other: str) -> None:
    server = CramMd5Server("1.2", "mail.example.com")
    challenge = server.respond(None)
    assert isinstance(challenge, Challenge)
    server.respond(respond_as_client(challenge.octets, "ann smith", password))
    stored = [derive(other.encode("utf-8", "replace").decode()), derive(password)]
    proof = server.provide(stored)
    assert proof.name == "ann smith"
    assert proof.matched == (0 if stored[0] == stored[1] else 1)
    assert server.provide([CramSecret(b"\0" * 16, b"\0" * 16)]).matched is None


@pytest.mark.parametrize(
    "response",
    [None, b"", b"tim", b" b913", b"tim xyz", b"t\xff b913", b"t\0m b9", b"x" * 2000 + b" b9"],
)
def test_an_answer_that_is_none_is_refused(response: bytes | None) -> None:
    server = CramMd5Server("1.2", "mail.example.com")
    server.respond(None)
    with pytest.raises(SaslError):
        server.respond(response)


def test_the_client_does_not_speak_first() -> None:
    with pytest.raises(SaslError):
        CramMd5Server("1.2", "mail.example.com").respond(b"tim b913a602c7eda7a495b4e6e7334d3890")
