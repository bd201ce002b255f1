"""Bearer tokens: signed ones checked by configured keys, others by asking their issuer.

A JSON Web Token (RFC 7519, RFC 9068) needs no question; an opaque one is introspected (RFC 7662).
Only asymmetric signatures count: a key that checks must not be one that signs.
"""

import hashlib
import json
import ssl
import warnings
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from math import inf
from typing import Final, Literal
from urllib.parse import quote

from joserfc import jwk, jwt
from joserfc.errors import JoseError, SecurityWarning
from msgspec import Struct

from posthouse.accounts.answers import ElsewhereError, TokenError
from posthouse.accounts.http_post import post_form
from posthouse.protocol.http import HttpError

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS512",
    "ES256",
    "ES384",
    "Ed25519",
    "EdDSA",
)
LEEWAY: Final = timedelta(seconds=60)  # clocks differ
REMEMBERED_FOR: Final = timedelta(minutes=1)  # mail programs sign in at every poll
REMEMBERED_MAX: Final = 10_000


class TokenRules(Struct, frozen=True):
    """What a token must say.

    Attributes:
        issuer: Exact ``iss``; "" for any (introspection only: there we asked the issuer).
        audience: Must be in ``aud``; "" for any.
        scope: Must be among the scopes; "" for none.
        claim: Which claim names the account.
    """

    issuer: str = ""
    audience: str = ""
    scope: str = ""
    claim: str = "email"


class SignedTokens:
    """Judges JSON Web Tokens by keys of the configuration."""

    def __init__(self, keys: str, rules: TokenRules, now: Callable[[], datetime]) -> None:
        """Read the keys.

        Args:
            keys: A JSON Web Key set, one JSON Web Key, or a public key in PEM.
            rules: What a token must say.
            now: The clock.

        Raises:
            ValueError: If these are no keys, or symmetric ones.
        """
        assert rules.issuer, "somebody else's tokens are signed as well"
        self._keys = _keys(keys)
        self._rules = rules
        self._now = now

    async def holder(self, token: str) -> str:
        """Return whose token it is.

        Raises:
            TokenError: If it is not good.
        """
        claims = self._claims(token)
        if not isinstance(claims.get("exp"), int):
            raise TokenError("the token has no end")
        if claims.get("iss") != self._rules.issuer:
            raise TokenError("another issuer made the token")
        return judged(claims, self._rules, self._now())

    def _claims(self, token: str) -> Mapping[str, object]:
        """Return the claims under a signature that one of the keys confirms."""
        for key in self._keys:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", SecurityWarning)  # EdDSA has a newer name
                    return jwt.decode(token, key, algorithms=ALGORITHMS).claims
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                continue
        raise TokenError("none of the keys has signed the token")


class Introspection(Struct, frozen=True):
    """Whom to ask about a token (RFC 7662).

    Attributes:
        url: Of the endpoint.
        client_id: Who we are there.
        client_secret: Our password there.
    """

    url: str
    client_id: str = ""
    client_secret: str = ""

    def __repr__(self) -> str:
        return f"Introspection({self.url!r}, {self.client_id!r}, ...)"


class IntrospectedTokens:
    """Judges tokens by asking their issuer; good answers are remembered for a minute."""

    def __init__(
        self,
        place: Introspection,
        rules: TokenRules,
        now: Callable[[], datetime],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._place = place
        self._rules = rules
        self._now = now
        self._tls = tls or ssl.create_default_context()
        self._known: OrderedDict[bytes, tuple[str, datetime]] = OrderedDict()

    async def holder(self, token: str) -> str:
        """Return whose token it is.

        Raises:
            TokenError: If it is not good.
            ElsewhereError: If the issuer cannot be asked, or answers what makes no sense.
        """
        key, now = hashlib.sha256(token.encode()).digest(), self._now()
        known = self._known.get(key)
        if known is not None and known[1] > now:
            return known[0]
        claims = await self._ask(token)
        if claims.get("active") is not True:
            raise TokenError("its issuer says that it is not active")
        holder = judged(claims, self._rules, now)
        self._known[key] = (holder, now + REMEMBERED_FOR)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return holder

    async def _ask(self, token: str) -> Mapping[str, object]:
        place = self._place
        headers: dict[str, str] = {}
        if place.client_id:  # RFC 6749 §2.3.1
            pair = f"{quote(place.client_id, safe='')}:{quote(place.client_secret, safe='')}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode("ascii")
        fields = {"token": token, "token_type_hint": "access_token"}
        try:
            answer = json.loads(await post_form(place.url, fields, headers, tls=self._tls))
        except (HttpError, ValueError) as problem:
            raise ElsewhereError(f"the token's issuer cannot be asked: {problem}") from problem
        if not isinstance(answer, dict):
            raise ElsewhereError("the token's issuer answers something else")
        return answer


def judged(claims: Mapping[str, object], rules: TokenRules, now: datetime) -> str:
    """Return whom the claims name, if they say what they must.

    Raises:
        TokenError: If not.
    """
    seconds, leeway = now.timestamp(), LEEWAY.total_seconds()
    bounds = {"exp": (seconds - leeway, inf), "nbf": (-inf, seconds + leeway)}
    bounds["iat"] = bounds["nbf"]
    for name, (least, most) in bounds.items():
        value = claims.get(name)
        if value is not None and not (isinstance(value, int | float) and least < value <= most):
            raise TokenError(f"the token is not valid now ({name})")
    if rules.issuer and claims.get("iss", rules.issuer) != rules.issuer:
        raise TokenError("another issuer made the token")
    if rules.audience and rules.audience not in _words(claims.get("aud")):
        raise TokenError("the token is for somebody else")
    if rules.scope and rules.scope not in _scopes(claims):
        raise TokenError(f"the token has no scope {rules.scope}")
    if rules.claim == "email" and claims.get("email_verified") is False:
        raise TokenError("nobody has verified the address in the token")
    holder = claims.get(rules.claim)
    if not isinstance(holder, str) or not holder:
        raise TokenError(f"the token has no claim {rules.claim}")
    return holder


def _scopes(claims: Mapping[str, object]) -> list[str]:
    scope = claims.get("scope", claims.get("scp"))
    return scope.split() if isinstance(scope, str) else _words(scope)


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [it for it in value if isinstance(it, str)] if isinstance(value, list) else []


def _keys(text: str) -> list[jwk.Key]:
    try:
        if text.lstrip().startswith("{"):
            read = json.loads(text)
            entries = read.get("keys", [read])
            keys = [jwk.import_key(it) for it in entries if it.get("use", "sig") == "sig"]
        else:
            keys = [_pem(text)]
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise ValueError(f"these are no keys: {problem}") from None
    if not keys or any(key.key_type == "oct" for key in keys):
        raise ValueError("public keys are needed: whoever has a symmetric one can make tokens")
    return keys


def _pem(text: str) -> jwk.Key:
    """Read a public key in PEM without being told its kind."""
    kinds: tuple[Literal["RSA", "EC", "OKP"], ...] = ("RSA", "EC", "OKP")
    for kind in kinds:
        with suppress(JoseError, ValueError, TypeError):
            return jwk.import_key(text, kind)
    raise ValueError("this is no public key in PEM")
