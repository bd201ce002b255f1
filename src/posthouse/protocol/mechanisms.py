"""All mechanisms of the server side by name, and what each of them needs."""

from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct

from posthouse.protocol import cram_md5, scram
from posthouse.protocol.cram_md5 import CramMd5Server
from posthouse.protocol.oauth import OAuthBearer, XOAuth2
from posthouse.protocol.proofs import BearerToken, Proof, SecretWanted
from posthouse.protocol.sasl import Challenge, Credentials, Login, Plain
from posthouse.protocol.scram import ScramServer

OAUTHBEARER: Final = "OAUTHBEARER"
XOAUTH2: Final = "XOAUTH2"
# In the order in which they are offered: the best first, clients take the first they know.
NAMES: Final = (
    scram.MECHANISM_PLUS,
    scram.MECHANISM,
    "PLAIN",
    "LOGIN",
    OAUTHBEARER,
    XOAUTH2,
    cram_md5.MECHANISM,
)
NEED_PASSWORD: Final = frozenset({"PLAIN", "LOGIN"})
NEED_TOKEN: Final = frozenset({OAUTHBEARER, XOAUTH2})

Turn = Challenge | Credentials | SecretWanted | Proof | BearerToken


class Circumstances(Struct, frozen=True):
    """What a machine is made of besides its name.

    Attributes:
        nonce: Fresh and unpredictable: letters and digits.
        hostname: Our own name.
        bindings: Channel bindings of the connection by type; none without TLS.
        offered: Mechanisms that the client was offered.
    """

    nonce: str
    hostname: str
    bindings: Mapping[str, bytes] = {}
    offered: tuple[str, ...] = ()


class Machine(Protocol):
    """The server side of one sign-in."""

    def respond(self, response: bytes | None) -> Turn:
        """Take the client's response; first its initial response, None where it gave none.

        Raises:
            SaslError: If the response is not what the mechanism demands.
        """


def machine(mechanism: str, at: Circumstances) -> Machine:
    """Return a new machine for a mechanism of `NAMES`."""
    match mechanism:
        case "PLAIN":
            return Plain()
        case "LOGIN":
            return Login()
        case scram.MECHANISM | scram.MECHANISM_PLUS:
            return ScramServer(
                at.nonce,
                plus=mechanism == scram.MECHANISM_PLUS,
                bindings=at.bindings,
                plus_offered=scram.MECHANISM_PLUS in at.offered,
            )
        case cram_md5.MECHANISM:
            return CramMd5Server(at.nonce, at.hostname)
        case "OAUTHBEARER":
            return OAuthBearer()
        case "XOAUTH2":
            return XOAuth2()
        case _:
            raise AssertionError(f"not of our mechanisms: {mechanism}")
