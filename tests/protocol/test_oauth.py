import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.oauth import OAuthBearer, XOAuth2, first_message, refusal
from posthouse.protocol.proofs import BearerToken
from posthouse.protocol.sasl import Challenge, SaslError

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


def test_the_example_of_rfc_7628() -> None:
    message = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer "
        + TOKEN.encode()
        + b"\x01\x01"
    )
    assert OAuthBearer().respond(message) == BearerToken("user@example.com", TOKEN)


def test_the_name_may_be_left_to_the_token() -> None:
    message = f"n,,\x01auth=bearer {TOKEN}\x01\x01".encode()
    assert OAuthBearer().respond(message) == BearerToken("", TOKEN)


def test_xoauth2_as_google_describes_it() -> None:
    message = f"user=someuser@example.com\x01auth=Bearer {TOKEN}\x01\x01".encode()
    assert XOAuth2().respond(message) == BearerToken("someuser@example.com", TOKEN)


@pytest.mark.parametrize("machine", [OAuthBearer, XOAuth2])
def test_without_an_initial_response_the_client_is_asked(
    machine: type[OAuthBearer | XOAuth2],
) -> None:
    assert machine().respond(None) == Challenge(b"")


@given(
    name=st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=30),
    token=st.from_regex(r"[A-Za-z0-9._~+/-]{1,80}={0,2}", fullmatch=True),
    mechanism=st.sampled_from(["OAUTHBEARER", "XOAUTH2"]),
)
def test_what_a_client_says_is_understood(name: str, token: str, mechanism: str) -> None:
    machine = OAuthBearer() if mechanism == "OAUTHBEARER" else XOAuth2()
    assert machine.respond(first_message(mechanism, name, token)) == BearerToken(name, token)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01\x01",
        b"n,a=ann,\x01auth=Bearer x",
        b"n,a=ann,\x01auth=Bearer x\x01",
        b"n,a=ann\x01auth=Bearer x\x01\x01",
        b"p=tls-unique,a=ann,\x01auth=Bearer x\x01\x01",
        b"n,b=ann,\x01auth=Bearer x\x01\x01",
        b"n,a=ann,\x01host=x\x01\x01",
        b"n,a=ann,\x01auth=Basic x\x01\x01",
        b"n,a=ann,\x01auth=Bearer \x01\x01",
        b"n,a=ann,\x01auth=Bearer a b\x01\x01",
        b"n,a=ann,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
        b"n,a=a\nn,\x01auth=Bearer x\x01\x01",
        b"n,a=\xff,\x01auth=Bearer x\x01\x01",
        b"n,a=ann,\x01auth=Bearer " + b"x" * 9000 + b"\x01\x01",
    ],
)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    for machine in (OAuthBearer(), XOAuth2()):
        with pytest.raises(SaslError):
            machine.respond(message)


@given(st.binary(max_size=100))
def test_any_octets_are_answered_or_refused(octets: bytes) -> None:
    for machine in (OAuthBearer(), XOAuth2()):
        with suppress(SaslError):
            machine.respond(octets)


def test_a_refusal_says_where_a_token_comes_from() -> None:
    address = "https://id.example.com/.well-known/openid-configuration"
    assert json.loads(refusal(scope="mail", discovery=address)) == {
        "status": "invalid_token",
        "scope": "mail",
        "openid-configuration": address,
    }
    assert json.loads(refusal()) == {"status": "invalid_token"}


def test_a_token_does_not_show() -> None:
    assert TOKEN not in repr(BearerToken("ann", TOKEN))
