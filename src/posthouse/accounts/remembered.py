"""Which password opened which credential lately, as keyed hashes: never the password."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from posthouse.accounts.store import Credential

REMEMBERED_MAX: Final = 50_000  # successes
REMEMBERED_FOR: Final = timedelta(minutes=5)


class Remembered:
    """Successes of the last five minutes, bound to the credential: a changed one is forgotten."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[int, tuple[bytes, datetime]] = OrderedDict()

    def find(
        self, credentials: tuple[Credential, ...], prepared: str, now: datetime
    ) -> Credential | None:
        """Return the credential that this password opened lately."""
        for credential in credentials:
            digest, until = self._known.get(credential.id, (b"", now))
            if until > now and hmac.compare_digest(digest, self._digest(credential, prepared)):
                return credential
        return None

    def keep(self, credential: Credential, prepared: str, now: datetime) -> None:
        """Remember a success: for five minutes from the slow check, not from the last sign-in."""
        digest = self._digest(credential, prepared)
        known = self._known.get(credential.id)
        if known is not None and known[0] == digest and known[1] > now:
            return
        self._known[credential.id] = (digest, now + REMEMBERED_FOR)
        self._known.move_to_end(credential.id)
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)

    def _digest(self, credential: Credential, prepared: str) -> bytes:
        text = f"{credential.id} {credential.hash} {prepared}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, hashlib.sha256)
