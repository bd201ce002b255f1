import pytest

from posthouse.protocol.sasl import (
    Challenge,
    Credentials,
    Login,
    Plain,
    SaslError,
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
