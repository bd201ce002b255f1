"""CRAM-MD5 (RFC 2195): for old mail programs, and only for accounts whose secret allows it.

The server has to keep the password, or the two MD5 states that HMAC makes of it, which are as good
as the password for this mechanism. So it is never offered unless the configuration asks for it.
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import Final

from posthouse.protocol.proofs import CramSecret, Proof, SecretWanted
from posthouse.protocol.sasl import NAME_OCTETS_MAX, Challenge, SaslError

MECHANISM: Final = "CRAM-MD5"
BLOCK_OCTETS: Final = 64
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)  # RFC 1321 §3.3
_MASK: Final = 0xFFFFFFFF
_SHIFTS: Final = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
# floor(2**32 * abs(sin(i + 1))), RFC 1321 §3.4
_SINES: Final = struct.unpack(
    "<64I",
    bytes.fromhex(
        "78a46ad756b7c7e8db702024eecebdc1af0f7cf52ac68747134630a8019546fd"
        "d8988069aff7448bb15bffffbed75c892211906b937198fd8e4379a62108b449"
        "62251ef640b340c0515a5e26aac7b6e95d102fd65314440281e6a1d8c8fbd3e7"
        "e6cde121d60737c3870dd5f4ed145a4505e9e3a9f8a3effcd9026f678a4c2a8d"
        "4239faff81f6718722619d6d0c38e5fd44eabea4a9cfde4b604bbbf670bcbfbe"
        "c67e9b28fa27a1ea8530efd4051d880439d0d4d9e599dbe6f87ca21f6556acc4"
        "442229f497ff2a43a72394ab39a093fcc3595b6592cc0c8f7df4efffd15d8485"
        "4f7ea86fe0e62cfe144301a3a111084e827e53f735f23abdbbd2d72a91d386eb"
    ),
)


def derive(prepared: str) -> CramSecret:
    """Return the two states that HMAC-MD5 makes of a password: the ``{CRAM-MD5}`` of Dovecot."""
    key = prepared.encode()
    if len(key) > BLOCK_OCTETS:
        key = hashlib.md5(key, usedforsecurity=False).digest()
    key = key.ljust(BLOCK_OCTETS, b"\0")
    inner = _compress(_START, bytes(octet ^ 0x36 for octet in key))
    outer = _compress(_START, bytes(octet ^ 0x5C for octet in key))
    return CramSecret(struct.pack("<4I", *inner), struct.pack("<4I", *outer))


def digest(secret: CramSecret, message: bytes) -> bytes:
    """Return the HMAC-MD5 of a message under a stored secret (RFC 2104)."""
    inner = _finish(secret.inner, message)
    return _finish(secret.outer, inner)


class CramMd5Server:
    """The server side of one CRAM-MD5 sign-in.

    Args:
        nonce: Fresh and unpredictable, printable ASCII without ``<>@``.
        hostname: Our own name.
    """

    def __init__(self, nonce: str, hostname: str) -> None:
        self._challenge = f"<{nonce}@{hostname}>".encode("ascii")
        self._spoken = False
        self._name = ""
        self._given = b""

    def respond(self, response: bytes | None) -> Challenge | SecretWanted:
        """Say the challenge, then take name and digest.

        Raises:
            SaslError: If the client speaks first, or its answer is not a name and 32 hex digits.
        """
        if not self._spoken:
            if response:
                raise SaslError("CRAM-MD5 has no initial response")
            self._spoken = True
            return Challenge(self._challenge)
        name, space, hexadecimal = (response or b"").rpartition(b" ")
        if not space or not name or len(name) > NAME_OCTETS_MAX or b"\0" in name:
            raise SaslError("CRAM-MD5 needs a name and a digest")
        try:
            self._name, self._given = name.decode(), bytes.fromhex(hexadecimal.decode("ascii"))
        except ValueError:
            raise SaslError("the name is not UTF-8, or the digest is not hexadecimal") from None
        return SecretWanted(self._name)

    def provide(self, secrets: Sequence[CramSecret]) -> Proof:
        """Check the digest against the secrets of the account; one at least, if only a fake."""
        matched: int | None = None
        for index, secret in enumerate(secrets):
            wanted = digest(secret, self._challenge)
            if hmac.compare_digest(wanted, self._given) and matched is None:
                matched = index
        return Proof(self._name, "", matched)


def respond_as_client(challenge: bytes, name: str, password: str) -> bytes:
    """Return a client's answer to a challenge."""
    signed = hmac.new(password.encode(), challenge, "md5").hexdigest()
    return f"{name} {signed}".encode()


def _finish(state: bytes, message: bytes) -> bytes:
    """Go on from an MD5 state that one block has made, and end (RFC 1321 §3.1, §3.2)."""
    octets = BLOCK_OCTETS + len(message)
    padding = b"\x80" + b"\0" * ((55 - len(message)) % BLOCK_OCTETS)
    padded = message + padding + struct.pack("<Q", octets * 8)
    words = struct.unpack("<4I", state)
    for at in range(0, len(padded), BLOCK_OCTETS):
        words = _compress(words, padded[at : at + BLOCK_OCTETS])
    return struct.pack("<4I", *words)


def _compress(state: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    """One block of MD5 (RFC 1321 §3.4). hashlib cannot begin from a stored state."""
    words = struct.unpack("<16I", block)
    a, b, c, d = state
    for step in range(64):
        mixed, index = _mix(step, b, c, d)
        shift = _SHIFTS[step // 16][step % 4]
        turned = (a + mixed + _SINES[step] + words[index]) & _MASK
        turned = ((turned << shift) | (turned >> (32 - shift))) & _MASK
        a, d, c, b = d, c, b, (b + turned) & _MASK
    return tuple((old + new) & _MASK for old, new in zip(state, (a, b, c, d), strict=True))


def _mix(step: int, b: int, c: int, d: int) -> tuple[int, int]:
    match step // 16:
        case 0:
            return (b & c) | (~b & d), step
        case 1:
            return (d & b) | (~d & c), (5 * step + 1) % 16
        case 2:
            return b ^ c ^ d, (3 * step + 5) % 16
        case _:
            return c ^ (b | (~d & _MASK)), (7 * step) % 16
