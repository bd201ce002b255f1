"""What a sign-in can ask for besides a password: a stored secret, a judgement of a token.

The machines of `scram`, `cram_md5` and `oauth` return these from `respond`; a session answers them
with the help of the accounts. `sasl` has the words that every mechanism uses.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

NONCE_OCTETS: Final = 18  # 144 random bits; given by the session, the cores have none of their own


class SecretWanted(Struct, frozen=True):
    """Who signs in; the machine goes on with `provide` and the secrets of that account.

    Attributes:
        name: Who signs in.
        authorization: Whom it wants to act as; "" for itself.
    """

    name: str
    authorization: str = ""


class Proof(Struct, frozen=True):
    """The client proved that it knows a secret, or failed to.

    Attributes:
        name: Who signs in.
        authorization: Whom it wants to act as; "" for itself.
        matched: Index of the secret it knows, among those provided; None: it knows none.
        last_word: To be sent as a challenge before the success is told; the client answers it by
            an empty response. Not to be sent if the sign-in is refused all the same. Empty: none.
    """

    name: str
    authorization: str
    matched: int | None
    last_word: bytes = b""


class BearerToken(Struct, frozen=True):
    """A token that somebody else issued; whether it is good is not known here.

    Attributes:
        name: Whom the client names; "" if it leaves that to the token.
        token: As given, printable ASCII.
    """

    name: str
    token: str

    def __repr__(self) -> str:
        return f"BearerToken(name={self.name!r}, token=...)"


class ScramSecret(Struct, frozen=True):
    """What a server keeps of a password for SCRAM (RFC 5802 §3): it cannot sign in with it.

    Attributes:
        salt: As it is told to clients.
        iterations: Rounds of PBKDF2.
        stored_key: Proofs of the client are checked with it.
        server_key: Ours are made with it.
    """

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "ScramSecret(...)"


class CramSecret(Struct, frozen=True):
    """The MD5 states after the padded keys of HMAC (RFC 2195 §2): as good as the password.

    Attributes:
        inner: Four 32-bit words, little-endian.
        outer: The same.
    """

    inner: bytes
    outer: bytes

    def __repr__(self) -> str:
        return "CramSecret(...)"


class PlainSecret(Struct, frozen=True):
    """A password that can be read: for APOP."""

    password: str

    def __repr__(self) -> str:
        return "PlainSecret(...)"


Secrets = Sequence[ScramSecret] | Sequence[CramSecret] | Sequence[PlainSecret]
