"""The Sender Rewriting Scheme: reverse-paths of forwarded mail that come back to us.

A forwarder that keeps the reverse-path fails SPF, so it writes its own domain there and packs the
old path into the local-part: ``SRS0=hash=day=domain=local-part``. A second forwarder makes ``SRS1``
of that, so that the path does not grow. There is no RFC; the form is that of libsrs2, with HMAC-
SHA256 and a longer hash.

Who could make such addresses could relay through us. So an address is looked at before anything is
read out of it: only one that we signed, not long ago, leads anywhere; and only for reports, which
have the null reverse-path (the caller asks `may_return`).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from msgspec import Struct

from posthouse.mail.address import Mailbox, ReversePath, parse_domain

HASH_CHARACTERS: Final = 8  # 40 bits, in base32: local-parts may lose their case on the way
SECRET_OCTETS_MIN: Final = 16
AGE_MAX: Final = timedelta(days=21)  # longer than anybody tries to deliver
_DAYS: Final = 1024
_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_FORM: Final = re.compile(
    r"(SRS0)[=+-]([^=]+)=([A-Z2-7]{2}=[^=]+=.+)|(SRS1)[=+-]([^=]+)=([^=]+=[=+-].+)",
    re.IGNORECASE | re.DOTALL,
)
_FOREIGN_ONE: Final = re.compile(r"SRS1[=+-][^=]+=([^=]+=[=+-].+)", re.IGNORECASE | re.DOTALL)
_FOREIGN_ZERO: Final = re.compile(r"SRS0([=+-].+)", re.IGNORECASE | re.DOTALL)


class Trouble(Enum):
    """Why an address leads nowhere."""

    NOT_OURS = "the address has the form of SRS, but nothing of that form is made here"
    FORGED = "its signature is not ours"
    EXPIRED = "it was made too long ago"


class Rewriter(Struct, frozen=True):
    """Makes and reverses addresses of one domain.

    Attributes:
        domain: Ours; in the addresses that are made.
        secrets: The first signs, all are believed: so they can be changed without loss.
        age_max: How long an address leads back.
    """

    domain: str
    secrets: Sequence[bytes]
    age_max: timedelta = AGE_MAX

    def __post_init__(self) -> None:
        assert self.secrets, "without a secret everybody could make addresses"
        assert all(len(secret) >= SECRET_OCTETS_MIN for secret in self.secrets)
        assert self.age_max < timedelta(days=_DAYS // 2)

    def rewrite(self, path: ReversePath, now: datetime) -> ReversePath:
        """Return the reverse-path under which a forwarded message goes on.

        The null path stays as it is, and so does one in our domain. The result may be longer than
        64 octets (RFC 5321 §4.5.3.1.1 asks not to enforce that limit needlessly).
        """
        mailbox = path.mailbox
        if mailbox is None or mailbox.domain == self.domain:
            return path
        if (foreign := _FOREIGN_ONE.fullmatch(mailbox.local_part)) is not None:
            return self._path("SRS1", foreign[1])  # the first forwarder stays in it, no other
        if (foreign := _FOREIGN_ZERO.fullmatch(mailbox.local_part)) is not None:
            return self._path("SRS1", f"{mailbox.domain}={foreign[1]}")
        return self._path("SRS0", f"{_day(now)}={mailbox.domain}={mailbox.local_part}")

    def reverse(self, mailbox: Mailbox, now: datetime) -> Mailbox | Trouble:
        """Return where a report to one of our addresses goes, or why nowhere.

        Args:
            mailbox: For which `is_rewritten` is true.
            now: The time.
        """
        found = _FORM.fullmatch(mailbox.local_part)
        if found is None:
            return Trouble.NOT_OURS
        kind, digest, rest = (part for part in found.groups() if part is not None)
        kind = kind.upper()
        if not any(_is_signed(digest, kind, rest, secret) for secret in self.secrets):
            return Trouble.FORGED
        if kind == "SRS1":
            domain, _, local_part = rest.partition("=")
            return _mailbox(f"SRS0{local_part}", domain)
        day, domain, local_part = rest.split("=", 2)
        if _age(day, now) > self.age_max:
            return Trouble.EXPIRED
        return _mailbox(local_part, domain)

    def is_rewritten(self, mailbox: Mailbox) -> bool:
        """Whether an address of ours has the form of SRS: then it is never an account."""
        return mailbox.domain == self.domain and has_form(mailbox.local_part)

    def _path(self, kind: str, rest: str) -> ReversePath:
        digest = _hash(kind, rest, self.secrets[0])
        return ReversePath(Mailbox(f"{kind}={digest}={rest}", self.domain))


def has_form(local_part: str) -> bool:
    """Whether a local-part begins as those of SRS do."""
    return local_part[:4].upper() in ("SRS0", "SRS1") and local_part[4:5] in ("=", "+", "-")


def may_return(path: ReversePath) -> bool:
    """Whether mail to a rewritten address may be let through at all: only reports may."""
    return path.is_null


def _hash(kind: str, rest: str, secret: bytes) -> str:
    """The signature; case does not count, because hosts on the way may change it."""
    text = f"{kind}={rest}".casefold().encode("utf-8", "surrogatepass")
    digest = hmac.new(secret, text, hashlib.sha256).digest()
    return base64.b32encode(digest[: HASH_CHARACTERS * 5 // 8]).decode()


def _day(now: datetime) -> str:
    number = int(now.timestamp()) // 86_400 % _DAYS
    return _BASE32[number >> 5] + _BASE32[number & 31]


def _age(day: str, now: datetime) -> timedelta:
    """How long ago that day was; days to come count as long ago, save for tomorrow."""
    high, low = (_BASE32.index(sign) for sign in day.upper())
    today = int(now.timestamp()) // 86_400
    days = (today - (high << 5 | low)) % _DAYS
    return timedelta(days=0 if days == _DAYS - 1 else days)


def _is_signed(digest: str, kind: str, rest: str, secret: bytes) -> bool:
    ours = _hash(kind, rest, secret).encode()
    return hmac.compare_digest(digest.upper().encode("utf-8", "surrogatepass"), ours)


def _mailbox(local_part: str, domain: str) -> Mailbox:
    return Mailbox(local_part, parse_domain(domain))  # we signed it, so it was one
