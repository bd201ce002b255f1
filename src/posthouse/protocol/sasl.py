"""Signing in: SASL mechanisms as small machines, the server side (RFC 4422, RFC 4616).

The protocols carry the octets: base64, cancelling and the limit of a line are theirs. A server
machine takes responses until it knows the credentials; whether they are right is not known here.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct

NAME_OCTETS_MAX: Final = 1024
PASSWORD_OCTETS_MAX: Final = 4096


class SaslError(Exception):
    """The client's response cannot be understood; the message says why, without its content."""


class Challenge(Struct, frozen=True):
    """The server's next word; empty where the mechanism has nothing to say."""

    octets: bytes


class Credentials(Struct, frozen=True):
    """What the client claims.

    Attributes:
        name: Who signs in.
        password: In the clear.
        authorization: Whom it wants to act as; "" for itself (RFC 4422 §2).
    """

    name: str
    password: str
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Credentials(name={self.name!r}, password=..., authorization=...)"


class Mechanism(Protocol):
    """The server side of one sign-in."""

    def respond(self, response: bytes | None) -> Challenge | Credentials:
        """Take the client's response; first its initial response, None where it gave none.

        Raises:
            SaslError: If the response is not what the mechanism demands.
        """


class Plain:
    """PLAIN: authorization, name and password in one response (RFC 4616 §2)."""

    def respond(self, response: bytes | None) -> Challenge | Credentials:
        """Ask for the response where it did not come with AUTH."""
        if response is None:
            return Challenge(b"")
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise SaslError("PLAIN needs two NUL octets in its response")
        authorization, name, password = parts
        return _credentials(name, password, authorization)


class Login:
    """LOGIN: name, then password, each in a response (draft-murchison-sasl-login)."""

    def __init__(self) -> None:
        self._name: bytes | None = None
        self._asked = False

    def respond(self, response: bytes | None) -> Challenge | Credentials:
        """Ask for the name, unless it came with AUTH, and for the password."""
        if response is None:
            if self._asked:
                raise SaslError("LOGIN needs a response")
            self._asked = True
            return Challenge(b"Username:")
        if self._name is None:
            self._name = response
            return Challenge(b"Password:")
        return _credentials(self._name, response, b"")


SERVER_SIDE: Final[Mapping[str, Callable[[], Mechanism]]] = {"PLAIN": Plain, "LOGIN": Login}


def _credentials(name: bytes, password: bytes, authorization: bytes) -> Credentials:
    if not name or not password:
        raise SaslError("the name or the password is empty")
    if len(name) > NAME_OCTETS_MAX or len(authorization) > NAME_OCTETS_MAX:
        raise SaslError("the name is too long")
    if len(password) > PASSWORD_OCTETS_MAX:
        raise SaslError("the password is too long")
    if b"\0" in name or b"\0" in password:
        raise SaslError("a NUL octet is in the name or the password")
    try:
        return Credentials(name.decode(), password.decode(), authorization.decode())
    except UnicodeDecodeError:
        raise SaslError("the name or the password is not UTF-8") from None
