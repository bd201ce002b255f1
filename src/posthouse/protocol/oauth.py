"""OAUTHBEARER (RFC 7628) and XOAUTH2: a token of an authorization server instead of a password."""

import json
import re
from typing import Final

from posthouse.protocol.proofs import BearerToken
from posthouse.protocol.sasl import NAME_OCTETS_MAX, Challenge, SaslError

TOKEN_OCTETS_MAX: Final = 8192
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +")
_SEPARATOR: Final = "\x01"


class OAuthBearer:
    """The server side of OAUTHBEARER (RFC 7628 §3)."""

    def respond(self, response: bytes | None) -> Challenge | BearerToken:
        """Take the client's message; ask for it where it did not come with AUTH.

        Raises:
            SaslError: If it is not what RFC 7628 §3.1 has.
        """
        if response is None:
            return Challenge(b"")
        header, *pairs = _parts(response)
        flag, _, rest = header.partition(",")
        authorization, comma, surplus = rest.partition(",")
        if flag not in ("n", "y") or not comma or surplus:
            raise SaslError("OAUTHBEARER begins with n,a=name,")
        if authorization and not authorization.startswith("a="):
            raise SaslError("OAUTHBEARER begins with n,a=name,")
        name = authorization.removeprefix("a=").replace("=2C", ",").replace("=3D", "=")
        return BearerToken(_checked_name(name), _token(pairs))


class XOAuth2:
    """The server side of XOAUTH2, as Google and Microsoft describe it."""

    def respond(self, response: bytes | None) -> Challenge | BearerToken:
        """Take the client's message; ask for it where it did not come with AUTH.

        Raises:
            SaslError: If user or token are missing.
        """
        if response is None:
            return Challenge(b"")
        pairs = _parts(response)
        names = [pair.removeprefix("user=") for pair in pairs if pair.startswith("user=")]
        if len(names) != 1 or not names[0]:
            raise SaslError("XOAUTH2 needs one user")
        return BearerToken(_checked_name(names[0]), _token(pairs))


def refusal(*, scope: str = "", discovery: str = "") -> bytes:
    """Return what is told to a client whose token is not good (RFC 7628 §3.2.2).

    It is sent as a challenge; whatever the client answers, the sign-in then fails.

    Args:
        scope: Scope that a token needs, if any.
        discovery: Address of the authorization server's metadata (RFC 8414), if known.
    """
    content = {"status": "invalid_token"}
    if scope:
        content["scope"] = scope
    if discovery:
        content["openid-configuration"] = discovery
    return json.dumps(content, separators=(",", ":")).encode("ascii")


def first_message(mechanism: str, name: str, token: str) -> bytes:
    """Return what a client says."""
    if mechanism == "XOAUTH2":
        return f"user={name}\x01auth=Bearer {token}\x01\x01".encode()
    escaped = name.replace("=", "=3D").replace(",", "=2C")
    return f"n,a={escaped},\x01auth=Bearer {token}\x01\x01".encode()


def _parts(response: bytes) -> list[str]:
    try:
        text = response.decode()
    except UnicodeDecodeError:
        raise SaslError("the response is not UTF-8") from None
    if not text.endswith(_SEPARATOR * 2) or "\0" in text:
        raise SaslError("the response does not end as it should")
    return text[:-2].split(_SEPARATOR)


def _token(pairs: list[str]) -> str:
    given = [pair.removeprefix("auth=") for pair in pairs if pair.startswith("auth=")]
    if len(given) != 1 or not (scheme := _BEARER.match(given[0])):
        raise SaslError("one bearer token is needed")
    token = given[0][scheme.end() :]
    if len(token) > TOKEN_OCTETS_MAX or not _TOKEN.fullmatch(token):
        raise SaslError("this is no bearer token")
    return token


def _checked_name(name: str) -> str:
    if len(name.encode()) > NAME_OCTETS_MAX or not name.isprintable():
        raise SaslError("the name is too long, or not printable")
    return name
