"""Mailboxes and paths (RFC 5321 §4.1.2, RFC 6531 §3.3).

Inside a local-part, `%` and `!` are ordinary characters: old routing tricks are never interpreted
here. A source route (`@a,@b:user@domain`) is accepted and ignored, as RFC 5321 §4.1.2 asks.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Final

import idna
from msgspec import Struct

LOCAL_PART_OCTETS_MAX: Final = 64  # RFC 5321 §4.5.3.1.1
DOMAIN_OCTETS_MAX: Final = 255  # RFC 5321 §4.5.3.1.2
REWRITTEN_OCTETS_MAX: Final = 192  # as other forwarders make them; §4.5.3.1 wants no needless limit
PATH_OCTETS_MAX: Final = 256  # RFC 5321 §4.5.3.1.3, the brackets included
REMEMBERED_SIGNS_MAX: Final = 320  # longer ones are read again: memory is bounded so

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_DOT_STRING: Final = re.compile(rf"[{_ATEXT}\x80-\U0010ffff]+(?:\.[{_ATEXT}\x80-\U0010ffff]+)*")
_QUOTED: Final = re.compile(r'"((?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*)"')
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?|_[A-Za-z0-9_-]{1,62}")
_REWRITTEN: Final = re.compile(r"SRS[01][=+-]", re.IGNORECASE)  # Sender Rewriting Scheme
_SOURCE_ROUTE: Final = re.compile(r"@[^:,\s<>@]+(?:,@[^:,\s<>@]+)*:")


class AddressError(ValueError):
    """Not an address; the message says in plain words what is wrong with it."""


class Mailbox(Struct, frozen=True, order=True):
    """A local-part at a domain.

    Attributes:
        local_part: As sent, unquoted. Case is kept: only the final host may fold it (§2.4).
        domain: Lower-case A-labels without a trailing dot, or an address literal in brackets.
    """

    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{_local_part_text(self.local_part)}@{self.domain}"

    @property
    def folded(self) -> "Mailbox":
        """The mailbox with its local-part in lower case: how our own addresses are compared."""
        return Mailbox(self.local_part.casefold(), self.domain)

    @property
    def is_ascii(self) -> bool:
        """Whether it can be sent to a host without SMTPUTF8 (RFC 6531)."""
        return self.local_part.isascii()

    def without_tag(self) -> "Mailbox":
        """The mailbox without a plus tag (RFC 5233 §1): `ann+shop` becomes `ann`."""
        name, _, _ = self.local_part.partition("+")
        return Mailbox(name, self.domain) if name else self


@lru_cache(maxsize=4096)
def _local_part_text(local_part: str) -> str:
    """Return what stands before the @, quoted where it has to be (RFC 5321 §4.1.2)."""
    if _DOT_STRING.fullmatch(local_part):
        return local_part
    quoted = local_part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


class ReversePath(Struct, frozen=True):
    """Where a report of non-delivery goes: the argument of MAIL FROM.

    The null reverse-path ``<>`` marks a report; nothing may ever bounce to it (§4.5.5).
    """

    mailbox: Mailbox | None

    @property
    def is_null(self) -> bool:
        """Whether this is ``<>``."""
        return self.mailbox is None

    def __str__(self) -> str:
        return f"<{self.mailbox}>" if self.mailbox else "<>"


NULL: Final = ReversePath(None)


def parse_mailbox(text: str) -> Mailbox:
    """Return the mailbox that `text` (`local-part@domain`, no brackets) names.

    Raises:
        AddressError: If it is not one address, or a part is too long (RFC 5321 §4.5.3.1).
    """
    return _parse_once(text) if len(text) <= REMEMBERED_SIGNS_MAX else _parse(text)


def _parse(text: str) -> Mailbox:
    if not text.isprintable():
        hidden = next(sign for sign in text if not sign.isprintable())
        raise AddressError(f"a control character ({ord(hidden):#04x}) is in the address")
    quoted = _QUOTED.match(text)
    if quoted:
        local_part, rest = re.sub(r"\\(.)", r"\1", quoted[1]), text[quoted.end() :]
    else:
        local_part, at, domain = text.rpartition("@")
        if not at:
            raise AddressError("the domain is missing: an address looks like name@example.com")
        if not _DOT_STRING.fullmatch(local_part):
            raise AddressError("the part before @ has a character or dot that may not stand there")
        rest = "@" + domain
    if not rest.startswith("@"):
        raise AddressError("something stands between the quoted name and @")
    if not local_part:
        raise AddressError("the part before @ is empty")
    octets_max = REWRITTEN_OCTETS_MAX if _REWRITTEN.match(local_part) else LOCAL_PART_OCTETS_MAX
    if len(local_part.encode("utf-8", "surrogatepass")) > octets_max:
        raise AddressError(f"the part before @ is longer than {octets_max} octets")
    return Mailbox(local_part, parse_domain(rest[1:]))


_parse_once = lru_cache(maxsize=4096)(_parse)  # the same few hundred people write all day


def parse_domain(text: str) -> str:
    """Return a domain or address literal in its compared form: lower-case A-labels (RFC 5890).

    Raises:
        AddressError: If it is neither a domain name nor an address literal (RFC 5321 §4.1.3).
    """
    if text.startswith("["):
        return _address_literal(text)
    if not text.isascii():
        text = _to_a_labels(text)
    if not text or len(text) > DOMAIN_OCTETS_MAX:
        raise AddressError("the domain is empty" if not text else "the domain is too long")
    domain = text.lower()
    for label in domain.split("."):
        if not _LABEL.fullmatch(label):
            raise AddressError(f"{text!a} is not a domain name")
    return domain


def domain_for_people(domain: str) -> str:
    """Return the domain with U-labels, for pages and terminals; never for the wire."""
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain


def parse_reverse_path(text: str) -> ReversePath:
    """Return the path in `text`, brackets included: ``<a@b>`` or ``<>`` (RFC 5321 §4.1.2).

    Raises:
        AddressError: If it is not a path.
    """
    inside = _inside_brackets(text)
    return ReversePath(parse_mailbox(inside)) if inside else NULL


def parse_forward_path(text: str, *, postmaster_domain: str) -> Mailbox:
    """Return the mailbox in `text`, brackets included; `<postmaster>` needs no domain (§4.5.1).

    Raises:
        AddressError: If it is not a path, or it is the null path.
    """
    inside = _inside_brackets(text)
    if inside.lower() == "postmaster":
        return Mailbox(inside, postmaster_domain)
    if not inside:
        raise AddressError("the recipient is empty")
    return parse_mailbox(inside)


def _inside_brackets(text: str) -> str:
    if not (text.startswith("<") and text.endswith(">") and len(text) >= 2):
        raise AddressError("an address in a command stands in angle brackets: <name@example.com>")
    if len(text.encode("utf-8", "surrogatepass")) > PATH_OCTETS_MAX + LOCAL_PART_OCTETS_MAX:
        raise AddressError("the address is too long")
    inside = text[1:-1]
    if inside.startswith("@") and (route := _SOURCE_ROUTE.match(inside)):
        return inside[route.end() :]
    return inside


def _address_literal(text: str) -> str:
    """`[192.0.2.1]` or `[IPv6:2001:db8::1]`, in one spelling for each address."""
    if not text.endswith("]"):
        raise AddressError("an address literal ends with ]")
    inside = text[1:-1]
    try:
        if inside[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inside[5:])}]"
        return f"[{ipaddress.IPv4Address(inside)}]"
    except ValueError:
        raise AddressError(f"{text!a} is not an IP address in brackets") from None


def _to_a_labels(text: str) -> str:
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise AddressError(f"{text!a} is not a domain name") from None
