import pytest

from posthouse.protocol.sasl import (
    SERVER_SIDE,
    Challenge,
    Credentials,
    Login,
    Plain,
    SaslError,
    choose_sign_in,
)


def test_plain_takes_its_initial_response() -> None:
    assert Plain().respond(b"\0ann\0secret") == Credentials("ann", "secret")
    assert Plain().respond("bob\0änn\0pä".encode()) == Credentials("änn", "pä", "bob")


def test_plain_asks_when_there_is_no_initial_response() -> None:
    plain = Plain()
    assert plain.respond(None) == Challenge(b"")
    assert plain.respond(b"\0ann\0secret") == Credentials("ann", "secret")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"ann\0secret",
        b"a\0b\0c\0d",
        b"\0\0secret",
        b"\0ann\0",
        b"\0a\xff\0secret",
        b"\0" + b"a" * 1025 + b"\0secret",
        b"\0ann\0" + b"s" * 4097,
    ],
)
def test_plain_refuses_what_is_not_plain(response: bytes) -> None:
    with pytest.raises(SaslError):
        Plain().respond(response)


def test_login_asks_for_name_and_password() -> None:
    login = Login()
    assert login.respond(None) == Challenge(b"Username:")
    assert login.respond(b"ann") == Challenge(b"Password:")
    assert login.respond(b"secret") == Credentials("ann", "secret")


def test_login_takes_the_name_with_the_command() -> None:
    login = Login()
    assert login.respond(b"ann") == Challenge(b"Password:")
    assert login.respond(b"secret") == Credentials("ann", "secret")


def test_login_does_not_ask_twice() -> None:
    login = Login()
    login.respond(None)
    with pytest.raises(SaslError):
        login.respond(None)


def test_login_refuses_nul() -> None:
    login = Login()
    login.respond(b"a\0nn")
    with pytest.raises(SaslError):
        login.respond(b"secret")


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(Credentials("ann", "secret"))


def test_the_client_says_what_the_server_understands() -> None:
    for mechanism in SERVER_SIDE:
        sign_in = choose_sign_in((mechanism,), ("LOGIN", "PLAIN"), "ann", "secret")
        assert sign_in is not None
        server = SERVER_SIDE[mechanism]()
        step = server.respond(sign_in.initial)
        while isinstance(step, Challenge):
            step = server.respond(sign_in.respond(step.octets))
        assert step == Credentials("ann", "secret")
        assert sign_in.respond(b"more?") is None


def test_the_client_takes_the_first_it_wants() -> None:
    chosen = choose_sign_in(("LOGIN", "PLAIN"), ("PLAIN", "LOGIN"), "a", "b")
    assert chosen is not None
    assert chosen.mechanism == "LOGIN"
    assert choose_sign_in(("PLAIN",), ("GSSAPI",), "a", "b") is None
