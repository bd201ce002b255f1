"""The client side of a sign-in: which mechanism to take, and what to say in it (RFC 4422)."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from posthouse.protocol import cram_md5, scram
from posthouse.protocol.sasl import SaslError


class SignIn(Protocol):
    """One sign-in."""

    @property
    def mechanism(self) -> str:
        """What to say after AUTH."""

    @property
    def initial(self) -> bytes | None:
        """The initial response; None where the server speaks first."""

    @property
    def believes(self) -> bool:
        """Whether a positive answer can be believed now: the server did what it had to."""

    def respond(self, challenge: bytes) -> bytes | None:
        """Return the answer to a challenge; None: there is nothing left to say, so cancel."""


class _Told:
    """PLAIN and LOGIN: the server is told name and password, and proves nothing."""

    believes = True

    def __init__(self, mechanism: str, responses: Iterable[bytes], *, speaks_first: bool) -> None:
        self.mechanism = mechanism
        self._responses = list(responses)
        self.initial = self._responses.pop(0) if speaks_first else None

    def respond(self, _: bytes) -> bytes | None:
        return self._responses.pop(0) if self._responses else None


class _CramMd5:
    """CRAM-MD5, for servers that offer nothing better (RFC 2195)."""

    mechanism = cram_md5.MECHANISM
    initial = None

    def __init__(self, name: str, password: str) -> None:
        self._name, self._password = name, password
        self.believes = False

    def respond(self, challenge: bytes) -> bytes | None:
        if self.believes:  # asked a second time
            return None
        self.believes = True
        return cram_md5.respond_as_client(challenge, self._name, self._password)


def choose_sign_in(
    wanted: Sequence[str], offered: Sequence[str], name: str, password: str, nonce: str = ""
) -> SignIn | None:
    """Return the client side of the first wanted mechanism that is offered; None: there is none.

    Args:
        wanted: Best first, of SCRAM-SHA-256, PLAIN, LOGIN and CRAM-MD5.
        offered: By the server, in capitals.
        name: Who signs in.
        password: In the clear; it travels only by PLAIN and LOGIN.
        nonce: Fresh and unpredictable, printable ASCII without a comma; without one there is no
            SCRAM.
    """
    for mechanism in wanted:
        if mechanism not in offered:
            continue
        match mechanism:
            case scram.MECHANISM if nonce:
                try:
                    return scram.ScramClient(name, password, nonce)
                except SaslError:  # the password cannot be prepared: another mechanism takes it
                    continue
            case "PLAIN":
                token = b"\0" + name.encode() + b"\0" + password.encode()
                return _Told(mechanism, [token], speaks_first=True)
            case "LOGIN":
                return _Told(mechanism, [name.encode(), password.encode()], speaks_first=False)
            case cram_md5.MECHANISM:
                return _CramMd5(name, password)
            case _:
                continue
    return None
