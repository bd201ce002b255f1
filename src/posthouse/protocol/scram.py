"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both sides (RFC 5802, RFC 7677).

The password never travels, the server cannot sign in elsewhere with what it keeps, and the -PLUS
variant binds the sign-in to the TLS connection, so that nobody in between can pass it on.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from posthouse.protocol.proofs import Proof, ScramSecret, SecretWanted
from posthouse.protocol.sasl import NAME_OCTETS_MAX, Challenge, SaslError
from posthouse.protocol.saslprep import SaslprepError, saslprep

MECHANISM: Final = "SCRAM-SHA-256"
MECHANISM_PLUS: Final = "SCRAM-SHA-256-PLUS"
ITERATIONS: Final = 20_000  # RFC 7677 §4 wants 4096 or more; some 15 ms for client and server
ITERATIONS_MIN: Final = 4096
ITERATIONS_MAX: Final = 1_000_000  # more, and a server could keep a client busy
NONCE_OCTETS_MAX: Final = 256
BINDINGS: Final = ("tls-exporter", "tls-server-end-point")  # RFC 9266; RFC 5929; best first

_NONCE: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")  # printable without comma
_DIGEST: Final = "sha256"


def derive(prepared: str, salt: bytes, iterations: int) -> ScramSecret:
    """Return what a server keeps of a password; some 15 ms of work at `ITERATIONS`."""
    salted = hashlib.pbkdf2_hmac(_DIGEST, prepared.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", _DIGEST)
    server_key = hmac.digest(salted, b"Server Key", _DIGEST)
    return ScramSecret(salt, iterations, hashlib.sha256(client_key).digest(), server_key)


def fake_secret(name: str, key: bytes, iterations: int = ITERATIONS) -> ScramSecret:
    """Return the secret of an account that is not there: always the same, matched by nobody."""
    unknown = hmac.digest(key, b"unknown " + name.encode("utf-8", "replace"), _DIGEST)
    return ScramSecret(salt_for(name, key), iterations, unknown, unknown)


def salt_for(name: str, key: bytes) -> bytes:
    """Return the salt of an account, there or not: nobody can tell, and it never changes.

    Args:
        name: Of the account, in its compared form.
        key: Secret of this installation.
    """
    return hmac.digest(key, b"salt " + name.encode("utf-8", "replace"), _DIGEST)[:16]


class _Hello(Struct, frozen=True):
    """The client's first message, taken apart."""

    header: str  # GS2 header, commas included
    binding: str  # "n", "y" or the binding type
    authorization: str
    name: str
    nonce: str
    bare: str


class ScramServer:
    """The server side of one SCRAM sign-in.

    Args:
        nonce: Fresh and unpredictable, printable ASCII without a comma.
        plus: The -PLUS variant was asked for.
        bindings: Channel bindings of this connection by type; none without TLS.
        plus_offered: The client could have seen -PLUS on offer: "y" is then an attack.
    """

    def __init__(
        self,
        nonce: str,
        *,
        plus: bool = False,
        bindings: Mapping[str, bytes] | None = None,
        plus_offered: bool = False,
    ) -> None:
        assert _NONCE.fullmatch(nonce), "not a nonce"
        self._nonce = nonce
        self._plus = plus
        self._bindings = bindings or {}
        self._plus_offered = plus_offered
        self._hello: _Hello | None = None
        self._first = ""
        self._secrets: Sequence[ScramSecret] = ()

    def respond(self, response: bytes | None) -> Challenge | SecretWanted | Proof:
        """Take the client's first message, then its final one.

        Raises:
            SaslError: If it is not what RFC 5802 §7 has, or the channel binding is wrong.
        """
        if response is None:
            return Challenge(b"")
        text = _ascii_or_utf8(response)
        if self._hello is None:
            self._hello = _hello(text)
            self._check_binding_flag(self._hello)
            return SecretWanted(self._hello.name, self._hello.authorization)
        if not self._secrets:
            raise SaslError("SCRAM has come to its end")
        return self._final(self._hello, text)

    def provide(self, secrets: Sequence[ScramSecret]) -> Challenge:
        """Go on with the secrets of the account: one or more, all of one salt and count."""
        assert self._hello is not None, "the client speaks first"
        assert secrets, "somebody unknown has a fake secret"
        assert len({(it.salt, it.iterations) for it in secrets}) == 1, "one salt is told"
        self._secrets = secrets
        self._nonce = self._hello.nonce + self._nonce
        salt = b64encode(secrets[0].salt).decode("ascii")
        self._first = f"r={self._nonce},s={salt},i={secrets[0].iterations}"
        return Challenge(self._first.encode("ascii"))

    def _check_binding_flag(self, hello: _Hello) -> None:
        if self._plus:
            if hello.binding not in self._bindings:
                raise SaslError("this channel binding is not supported")
        elif hello.binding == "y" and self._plus_offered:
            raise SaslError("somebody hid SCRAM-SHA-256-PLUS from the client")  # RFC 5802 §6
        elif hello.binding not in ("n", "y"):
            raise SaslError("a channel binding belongs to the -PLUS variant")

    def _final(self, hello: _Hello, text: str) -> Proof:
        without_proof, separator, proof_text = text.rpartition(",p=")
        fields = _fields(without_proof)
        if not separator or list(fields)[:2] != ["c", "r"]:
            raise SaslError("this is no final message of SCRAM")
        bound = hello.header.encode()
        if self._plus:
            bound += self._bindings[hello.binding]
        if not hmac.compare_digest(_base64(fields["c"]), bound):
            raise SaslError("the channel binding does not match")
        if not hmac.compare_digest(fields["r"].encode(), self._nonce.encode()):
            raise SaslError("the nonce is another one")
        proof = _base64(proof_text)
        message = f"{hello.bare},{self._first},{without_proof}".encode()
        matched: int | None = None
        for index, secret in enumerate(self._secrets):
            if _proves(proof, secret, message) and matched is None:
                matched = index
        secret = self._secrets[matched or 0]
        self._secrets = ()
        signature = hmac.digest(secret.server_key, message, _DIGEST)
        last_word = b"v=" + b64encode(signature) if matched is not None else b""
        return Proof(hello.name, hello.authorization, matched, last_word)


class ScramClient:
    """The client side of one SCRAM sign-in.

    Args:
        name: Who signs in.
        password: In the clear; it does not leave this object.
        nonce: Fresh and unpredictable, printable ASCII without a comma.
        binding: Type and data of the channel binding, for the -PLUS variant; None without.
        could_bind: Without a binding: the client knows how, and the server did not offer -PLUS.

    Attributes:
        mechanism: What to say after AUTH.
        initial: The first message.
        server_is_proven: The server knows the password's secret as well: it is the right one.
    """

    def __init__(
        self,
        name: str,
        password: str,
        nonce: str,
        *,
        binding: tuple[str, bytes] | None = None,
        could_bind: bool = False,
    ) -> None:
        self.mechanism = MECHANISM_PLUS if binding else MECHANISM
        self._prepared = _prepared(password)
        self._nonce = nonce
        flag = f"p={binding[0]}" if binding else ("y" if could_bind else "n")
        self._bound = f"{flag},,".encode() + (binding[1] if binding else b"")
        escaped = _prepared(name).replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={escaped},r={nonce}"
        self.initial = f"{flag},,{self._bare}".encode()
        self._signature = b""
        self.server_is_proven = False

    @property
    def believes(self) -> bool:
        """Whether a positive answer can be believed: only of who knows the secret (RFC 5802 §3)."""
        return self.server_is_proven

    def respond(self, challenge: bytes) -> bytes | None:
        """Return the answer to a challenge; None: the server is not to be trusted, so cancel."""
        try:
            text = _ascii_or_utf8(challenge)
            if not self._signature:
                return self._final(text)
            fields = _fields(text)
            self.server_is_proven = hmac.compare_digest(
                _base64(fields.get("v", "")), self._signature
            )
        except SaslError:
            return None
        return b"" if self.server_is_proven else None

    def _final(self, first: str) -> bytes:
        fields = _fields(first)
        if list(fields)[:3] != ["r", "s", "i"] or not fields["i"].isdecimal():
            raise SaslError("this is no first message of a SCRAM server")
        iterations = int(fields["i"])
        if not fields["r"].startswith(self._nonce) or len(fields["r"]) == len(self._nonce):
            raise SaslError("the nonce is another one")
        if not ITERATIONS_MIN <= iterations <= ITERATIONS_MAX:
            raise SaslError("the iteration count is not acceptable")
        salt = _base64(fields["s"])
        salted = hashlib.pbkdf2_hmac(_DIGEST, self._prepared.encode(), salt, iterations)
        without_proof = f"c={b64encode(self._bound).decode('ascii')},r={fields['r']}"
        message = f"{self._bare},{first},{without_proof}".encode()
        client_key = hmac.digest(salted, b"Client Key", _DIGEST)
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, _DIGEST)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", _DIGEST)
        self._signature = hmac.digest(server_key, message, _DIGEST)
        return without_proof.encode() + b",p=" + b64encode(proof)


def _proves(proof: bytes, secret: ScramSecret, message: bytes) -> bool:
    signature = hmac.digest(secret.stored_key, message, _DIGEST)
    if len(proof) != len(signature):
        return False
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), secret.stored_key)


def _hello(text: str) -> _Hello:
    """Take the client's first message apart (RFC 5802 §7, client-first-message)."""
    flag, _, rest = text.partition(",")
    authorization, comma, bare = rest.partition(",")
    if not comma or not (flag in ("n", "y") or flag.startswith("p=")):
        raise SaslError("this is no first message of SCRAM")
    if authorization and not authorization.startswith("a="):
        raise SaslError("this is no first message of SCRAM")
    fields = _fields(bare)
    if list(fields)[:2] != ["n", "r"]:
        raise SaslError("this is no first message of SCRAM")  # "m=" first: an unknown extension
    if not _NONCE.fullmatch(fields["r"]) or len(fields["r"]) > NONCE_OCTETS_MAX:
        raise SaslError("the nonce is too long, or not printable")
    return _Hello(
        f"{flag},{authorization},",
        flag.removeprefix("p="),
        _name(authorization.removeprefix("a=")),
        _name(fields["n"]) or _no_name(),
        fields["r"],
        bare,
    )


def _no_name() -> str:
    raise SaslError("the name is empty")


def _name(escaped: str) -> str:
    """Undo the escapes of a saslname and prepare it (RFC 5802 §5.1)."""
    if len(escaped.encode()) > NAME_OCTETS_MAX:
        raise SaslError("the name is too long")
    if "=" in re.sub("=2C|=3D", "", escaped):
        raise SaslError("the name has an equals sign that is not escaped")
    name = escaped.replace("=2C", ",").replace("=3D", "=")
    return _prepared(name) if name else ""


def _prepared(text: str) -> str:
    try:
        return saslprep(text)
    except SaslprepError as problem:
        raise SaslError(f"the name or the password {problem}") from None


def _fields(text: str) -> dict[str, str]:
    """Return the attributes of a message in their order; each has one letter."""
    fields: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or len(key) != 1 or not key.isalpha() or key in fields:
            raise SaslError("this is no message of SCRAM")
        fields[key] = value
    return fields


def _base64(text: str) -> bytes:
    try:
        return b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise SaslError("this is not base64") from None


def _ascii_or_utf8(octets: bytes) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise SaslError("the response is not UTF-8") from None
    if "\0" in text:
        raise SaslError("a NUL octet is in the response")
    return text
