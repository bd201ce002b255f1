"""Where mail for a domain goes next. The most specific route wins; order never matters."""

import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct

from posthouse.mail.address import AddressError, parse_domain

SMTP_PORT: Final = 25
SMTPS_PORT: Final = 465
_SMART_HOST: Final = re.compile(r"(smtps?)://(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::(\d{1,5}))?/?")


class TlsWish(StrEnum):
    """How well the way to the next hop is protected.

    OPPORTUNISTIC encrypts where it can and goes without where it cannot; REQUIRED never goes
    without; VERIFIED also wants a certificate in the name of the host (RFC 8314 §3.3 for a reason).
    """

    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    VERIFIED = "verified"


class SignIn(Struct, frozen=True, kw_only=True):
    """How we sign in to a smart host (RFC 4954)."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"SignIn(user={self.user!r})"


class LocalMailboxes(Struct, frozen=True):
    """Our own mailboxes and aliases."""


class Capture(Struct, frozen=True):
    """Kept in one Maildir instead of sent: for development."""


class Exchangers(Struct, frozen=True):
    """The mail exchangers of the recipient's domain, from DNS (RFC 5321 §5.1)."""

    port: int = SMTP_PORT


class SmartHost(Struct, frozen=True):
    """One fixed next hop.

    Attributes:
        host: A name, or an address in text.
        port: TCP port.
        tls_from_start: ``smtps``: TLS from the first octet, no STARTTLS.
    """

    host: str
    port: int
    tls_from_start: bool = False


Via: TypeAlias = LocalMailboxes | Capture | Exchangers | SmartHost


class Route(Struct, frozen=True):
    """What is done with mail for some domains.

    Attributes:
        via: By which way.
        tls: How well protected; means nothing for `LocalMailboxes` and `Capture`.
        sign_in: With which name and password; only to a smart host.
    """

    via: Via
    tls: TlsWish = TlsWish.OPPORTUNISTIC
    sign_in: SignIn | None = None

    def hop(self, domain: str) -> str:
        """Return the name under which connections and concurrency are counted."""
        match self.via:
            case LocalMailboxes():
                return "local"
            case Capture():
                return "capture"
            case Exchangers():
                return domain
            case SmartHost(host, port):
                return f"{host}:{port}"


_BY_MX: Final = Route(Exchangers())


class RouteError(ValueError):
    """A `via` or `to` that means nothing; the message says what is wrong with it."""


class Routes:
    """All routes of the server."""

    def __init__(
        self,
        *,
        local_domains: Collection[str],
        entries: Mapping[str, Route],
        default: Route = _BY_MX,
    ) -> None:
        """Take the routes.

        Args:
            local_domains: Domains whose mail is kept here. An exact entry for one of them (its
                `deliver_via`) wins over that, a pattern never does.
            entries: By pattern: ``domain``, ``*.suffix`` (all names below it), ``*``.
            default: For what no pattern names.

        Raises:
            RouteError: If a pattern is none.
        """
        self._local = frozenset(parse_domain(domain) for domain in local_domains)
        self._exact: dict[str, Route] = {}
        self._below: dict[str, Route] = {}
        self._default = entries.get("*", default)
        for pattern, route in entries.items():
            if pattern != "*":
                where = self._below if pattern.startswith("*.") else self._exact
                where[_domain(pattern)] = route

    def find(self, domain: str) -> Route:
        """Return the route for mail to `domain`, which is in its compared form."""
        if domain in self._exact:
            return self._exact[domain]
        if domain in self._local:
            return Route(LocalMailboxes())
        if not domain.startswith("["):
            labels = domain.split(".")
            for first in range(1, len(labels)):
                if route := self._below.get(".".join(labels[first:])):
                    return route
        return self._default


def parse_via(text: str, *, mx_port: int = SMTP_PORT) -> Via:
    """Return the way that a configuration names.

    ``mx``, ``capture``, ``smtp://host:port`` or ``smtps://host:port``; the ports are 25 and 465
    where they are absent. An IPv6 address stands in brackets.

    Raises:
        RouteError: If it is none of these.
    """
    if text == "mx":
        return Exchangers(mx_port)
    if text == "capture":
        return Capture()
    found = _SMART_HOST.fullmatch(text)
    if not found:
        raise RouteError(
            f"{text!r} is no way to send mail: write mx, capture, smtp://host:port or smtps://host"
        )
    secure = found[1] == "smtps"
    port = int(found[3] or (SMTPS_PORT if secure else SMTP_PORT))
    if not 0 < port < 65_536:
        raise RouteError(f"{port} is no port: 1 to 65535")
    return SmartHost(found[2].strip("[]").lower(), port, secure)


def _domain(pattern: str) -> str:
    try:
        return parse_domain(pattern.removeprefix("*."))
    except AddressError as error:
        raise RouteError(f"{pattern!r} is no domain: {error}") from None
