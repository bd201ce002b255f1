"""APOP (RFC 1939 section 7): only for accounts whose password can be read here.

The greeting ends with a timestamp; the digest is MD5 over it and the password.
"""

import hashlib
import hmac
from collections.abc import Sequence

from posthouse.protocol.proofs import PlainSecret


def timestamp(nonce: str, hostname: str) -> str:
    """Return what the greeting must end with; `nonce` is fresh, ASCII without ``<>@``."""
    return f"<{nonce}@{hostname}>"


def matched(stamp: str, digest: str, secrets: Sequence[PlainSecret]) -> int | None:
    """Return which of the secrets the client knows; None: none of them."""
    found: int | None = None
    for index, secret in enumerate(secrets):
        told = stamp.encode("ascii") + secret.password.encode("utf-8", "surrogatepass")
        wanted = hashlib.md5(told, usedforsecurity=False).hexdigest()
        if hmac.compare_digest(wanted.encode(), digest.encode()) and found is None:
            found = index
    return found
