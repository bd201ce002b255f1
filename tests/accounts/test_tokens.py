"""Bearer tokens: signed by keys of all kinds, introspected over HTTP, and everything in between."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jwt

from posthouse.accounts import http_post
from posthouse.accounts.answers import ElsewhereError, TokenError
from posthouse.accounts.tokens import (
    IntrospectedTokens,
    Introspection,
    SignedTokens,
    TokenRules,
    judged,
)

NOON: Final = datetime(2026, 5, 4, 12, tzinfo=UTC)
RULES: Final = TokenRules("https://id.example.com", "mail.example.com", "mail")
KEY: Final = jwk.ECKey.generate_key("P-256")
OTHER: Final = jwk.ECKey.generate_key("P-256")


def claims(**changes: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "iss": "https://id.example.com",
        "aud": ["mail.example.com"],
        "scope": "openid mail",
        "email": "ann@example.com",
        "exp": int((NOON + timedelta(hours=1)).timestamp()),
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def signed(key: jwk.Key = KEY, algorithm: str = "ES256", /, **changes: object) -> str:
    return jwt.encode({"alg": algorithm}, claims(**changes), key, algorithms=[algorithm])


def tokens(keys: str) -> SignedTokens:
    return SignedTokens(keys, RULES, lambda: NOON)


SET: Final = json.dumps({"keys": [OTHER.as_dict(private=False), KEY.as_dict(private=False)]})


async def test_a_signed_token_names_its_holder() -> None:
    for keys in (SET, json.dumps(KEY.as_dict(private=False)), KEY.as_pem(private=False).decode()):
        assert await tokens(keys).holder(signed()) == "ann@example.com"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (jwk.RSAKey.generate_key(2048), "RS256"),
        (jwk.RSAKey.generate_key(2048), "PS256"),
        (jwk.ECKey.generate_key("P-384"), "ES384"),
        (jwk.OKPKey.generate_key("Ed25519"), "Ed25519"),
    ],
)
async def test_keys_of_all_kinds_do(key: jwk.Key, algorithm: str) -> None:
    pem = key.as_pem(private=False).decode()  # type: ignore[union-attr]
    assert await tokens(pem).holder(signed(key, algorithm)) == "ann@example.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int((NOON - timedelta(minutes=2)).timestamp())},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": int((NOON + timedelta(minutes=2)).timestamp())},
        {"iat": int((NOON + timedelta(days=2)).timestamp())},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "web.example.com"},
        {"aud": None},
        {"scope": "openid mailbox"},
        {"scope": None},
        {"email": None},
        {"email": ["ann@example.com"]},
        {"email_verified": False},
    ],
)
async def test_a_token_that_says_something_else_is_not_good(changes: dict[str, object]) -> None:
    with pytest.raises(TokenError):
        await tokens(SET).holder(signed(**changes))


async def test_a_token_that_nobody_here_trusts_is_not_good() -> None:
    stranger = jwk.ECKey.generate_key("P-256")
    symmetric = jwk.OctKey.generate_key(256)
    for token in (
        signed(stranger),
        jwt.encode({"alg": "HS256"}, claims(), symmetric),
        signed()[:-4] + "AAAA",
        "",
        "a.b.c",
        "eyJhbGciOiJub25lIn0.e30.",  # alg: none
    ):
        with pytest.raises(TokenError):
            await tokens(SET).holder(token)


@given(st.text(max_size=60))
def test_any_text_is_no_token(text: str) -> None:
    with pytest.raises(TokenError):
        asyncio.run(tokens(SET).holder(text))


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "{}",
        '{"keys": []}',
        '{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}',
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ],
)
def test_what_is_no_public_key_is_refused(keys: str) -> None:
    with pytest.raises(ValueError, match="key"):
        tokens(keys)


def test_a_claim_of_another_name_may_name_the_account() -> None:
    assert judged({"sub": "ann"}, TokenRules(claim="sub"), NOON) == "ann"
    assert judged({"sub": "ann", "scp": ["mail"]}, TokenRules(claim="sub", scope="mail"), NOON)


# ---------------------------------------------------------------- introspection


class Issuer:
    """An HTTP server that says what it is told to."""

    def __init__(self) -> None:
        self.answer = b""
        self.requests: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(length))
        writer.write(self.answer)
        if self.answer:
            writer.close()
        else:
            await reader.read()
            writer.close()

    def says(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/introspect?v=1"
    yield issuer
    server.close()
    await server.wait_closed()


def asked(issuer: Issuer) -> IntrospectedTokens:
    place = Introspection(issuer.url, "post house", "s:ecret")
    rules = TokenRules(scope="mail", claim="username")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return IntrospectedTokens(place, rules, lambda: NOON, tls=tls)


async def test_the_issuer_is_asked_once_a_minute(issuer: Issuer) -> None:
    issuer.says({"active": True, "username": "ann@example.com", "scope": "mail"})
    tokens = asked(issuer)
    assert await tokens.holder("opaque&1") == "ann@example.com"
    assert await tokens.holder("opaque&1") == "ann@example.com"
    (request,) = issuer.requests
    assert request.startswith(b"POST /introspect?v=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Authorization: Basic cG9zdCUyMGhvdXNlOnMlM0FlY3JldA==\r\n" in request
    assert request.endswith(b"\r\n\r\ntoken=opaque%261&token_type_hint=access_token")


async def test_the_body_may_come_in_chunks_or_until_the_end(issuer: Issuer) -> None:
    body = b'{"active":true,"username":"ann@example.com","scope":"mail"}'
    chunked = b"%x;x=y\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (10, body[:10], len(body) - 10, body[10:])
    for answer in (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
        b"HTTP/1.0 200 OK\r\n\r\n" + body,
    ):
        issuer.answer = answer
        assert await asked(issuer).holder("opaque") == "ann@example.com"


@pytest.mark.parametrize(
    "content",
    [
        {"active": False},
        {"active": "true", "username": "ann@example.com", "scope": "mail"},
        {"active": True, "username": "ann@example.com"},
        {"active": True, "scope": "mail"},
    ],
)
async def test_a_token_that_the_issuer_does_not_vouch_for_is_not_good(
    issuer: Issuer, content: object
) -> None:
    issuer.says(content)
    with pytest.raises(TokenError):
        await asked(issuer).holder("opaque")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]",
    ],
)
async def test_an_issuer_that_makes_no_sense_cannot_be_asked(
    issuer: Issuer, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_post, "SECONDS_MAX", 0.15 if not answer else 5.0)
    issuer.answer = answer
    with pytest.raises(ElsewhereError):
        await asked(issuer).holder("opaque")


async def test_an_issuer_that_is_not_there_cannot_be_asked() -> None:
    for url in ("http://127.0.0.1:1/", "ftp://127.0.0.1/", "http:///x"):
        place = Introspection(url)
        with pytest.raises(ElsewhereError):
            await IntrospectedTokens(place, TokenRules(), lambda: NOON).holder("opaque")
