"""Where mail for a domain goes next. The most specific route wins; order never matters."""

import re
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from msgspec import Struct

from posthouse.mail.address import AddressError, parse_domain
from posthouse.mail.envelope import Envelope

SMTP_PORT: Final = 25
SMTPS_PORT: Final = 465
LMTP_PORT: Final = 24
KNOWN_MAX: Final = 10_000
_SMART_HOST: Final = re.compile(
    r"(smtps?|lmtp)://(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::(\d{1,5}))?/?"
)
_UNIX_SOCKET: Final = re.compile(r"lmtp://(/[^\s\x00]+)")


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


class Exchangers(Struct, frozen=True, cache_hash=True):
    """The mail exchangers of the recipient's domain, from DNS (RFC 5321 §5.1)."""

    port: int = SMTP_PORT


class SmartHost(Struct, frozen=True, cache_hash=True):
    """One fixed next hop.

    Attributes:
        host: A name, or an address in text; the path of a Unix socket with port 0.
        port: TCP port.
        tls_from_start: ``smtps``: TLS from the first octet, no STARTTLS.
        lmtp: It speaks LMTP (RFC 2033) and answers for each recipient.
    """

    host: str
    port: int
    tls_from_start: bool = False
    lmtp: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


class SmartHosts(Struct, frozen=True, cache_hash=True):
    """Several fixed next hops: when one does not answer, another does.

    Attributes:
        hosts: Two or more.
        weights: Shares of the load, one for each; empty: the first that answers takes all.
    """

    hosts: tuple[SmartHost, ...]
    weights: tuple[int, ...] = ()


Via: TypeAlias = LocalMailboxes | Capture | Exchangers | SmartHost | SmartHosts


class Pace(Struct, frozen=True):
    """How much a next hop is given.

    Attributes:
        sessions: At the same time; None for the usual number.
        messages: In one session; None for the usual number.
        seconds_each: At least so long from one message to the next; 0 for no limit.
    """

    sessions: int | None = None
    messages: int | None = None
    seconds_each: float = 0.0


class Route(Struct, frozen=True):
    """What is done with mail for some domains.

    Attributes:
        via: By which way.
        tls: How well protected; means nothing for `LocalMailboxes` and `Capture`.
        sign_in: With which name and password; only to a smart host.
        hello: Our name in EHLO; "" for the usual one.
        sources: Our addresses to come from; empty for the usual ones.
        pace: Limits of its own; None for the usual ones.
    """

    via: Via
    tls: TlsWish = TlsWish.OPPORTUNISTIC
    sign_in: SignIn | None = None
    hello: str = ""
    sources: tuple[IPv4Address | IPv6Address, ...] = ()
    pace: Pace | None = None

    def hop(self, domain: str) -> str:
        """Return the name under which concurrency is counted."""
        match self.via:
            case LocalMailboxes():
                return "local"
            case Capture():
                return "capture"
            case Exchangers():
                return domain
            case SmartHost():
                return str(self.via)
            case SmartHosts(hosts):
                return " ".join(map(str, hosts))


class Condition(Struct, frozen=True):
    """For which mail a route holds, besides where it goes; empty means any.

    Attributes:
        senders: Domains of the reverse-path, ``domain`` or ``*.suffix``.
        accounts: Who handed it in.
        listeners: Where it came in.
    """

    senders: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    listeners: frozenset[str] = frozenset()

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """The higher is the more specific: an account, then a sender, then a listener."""
        return (bool(self.accounts), bool(self.senders), bool(self.listeners))

    def holds(self, envelope: Envelope) -> bool:
        """Whether mail is meant."""
        mailbox = envelope.reverse_path.mailbox
        sender = mailbox is not None and bool(self.senders & names_of(mailbox.domain))
        return (
            (not self.accounts or envelope.account in self.accounts)
            and (not self.senders or sender)
            and (not self.listeners or envelope.listener in self.listeners)
        )


class Conditional(Struct, frozen=True):
    """A route that holds only under a condition; `to` is a pattern as in `Routes`."""

    to: str
    condition: Condition
    route: Route


def names_of(domain: str) -> frozenset[str]:
    """Return the patterns that name a domain: itself, ``*.suffix`` of each name above it, ``*``."""
    labels = domain.split(".")
    return frozenset({domain, "*", *("*." + ".".join(labels[n:]) for n in range(1, len(labels)))})


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
        conditional: Sequence[Conditional] = (),
        default: Route = _BY_MX,
    ) -> None:
        """Take the routes.

        Args:
            local_domains: Domains whose mail is kept here. An exact entry for one of them (its
                `deliver_via`) wins over that, a pattern never does.
            entries: By pattern: ``domain``, ``*.suffix`` (all names below it), ``*``.
            conditional: Those that hold for some mail only; they win over entries of the same
                pattern, and never take mail from `local_domains`.
            default: For what no pattern names.

        Raises:
            RouteError: If a pattern is none.
        """
        self._local = frozenset(parse_domain(domain) for domain in local_domains)
        self._entries = {_pattern(pattern): route for pattern, route in entries.items()}
        self._default = self._entries.pop("*", default)
        self._known: dict[str, Route] = {}  # found before
        self._conditional: dict[str, list[Conditional]] = {}
        for one in sorted(conditional, key=lambda it: it.condition.rank, reverse=True):
            self._conditional.setdefault(_pattern(one.to), []).append(one)

    def find(self, domain: str, envelope: Envelope | None = None) -> Route:
        """Return the route for mail to `domain`, which is in its compared form.

        Args:
            domain: Where it goes.
            envelope: What else is known of it; without it no condition holds.
        """
        if self._conditional:
            return self._found(domain, envelope)
        known = self._known.get(domain)
        if known is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[domain] = self._found(domain, None)
        return known

    def _found(self, domain: str, envelope: Envelope | None) -> Route:
        if domain in self._local:
            return self._entries.get(domain) or Route(LocalMailboxes())
        labels = [] if domain.startswith("[") else domain.split(".")
        names = [domain, *("*." + ".".join(labels[n:]) for n in range(1, len(labels)))]
        for name in names:
            if route := self._conditioned(name, envelope) or self._entries.get(name):
                return route
        return self._conditioned("*", envelope) or self._default

    def chosen(self, via: str, domain: str, envelope: Envelope) -> Route:
        """Return the route for mail that an administrator moved to `via`.

        Where a route goes that way already, its sign-in and protection come with it.

        Raises:
            RouteError: If `via` means nothing.
        """
        usual = self.find(domain, envelope)
        wanted = parse_via(via, mx_port=self._mx_port)
        known = [*self._entries.values(), self._default]
        known += [one.route for many in self._conditional.values() for one in many]
        return next(
            (route for route in known if route.via == wanted),
            Route(wanted, usual.tls, hello=usual.hello, sources=usual.sources),
        )

    @property
    def by_domain_only(self) -> bool:
        """Whether all mail for a domain goes the same way."""
        return not self._conditional

    @property
    def _mx_port(self) -> int:
        via = self._default.via
        return via.port if isinstance(via, Exchangers) else SMTP_PORT

    def _conditioned(self, name: str, envelope: Envelope | None) -> Route | None:
        if envelope is None:
            return None
        candidates = self._conditional.get(name, ())
        return next((it.route for it in candidates if it.condition.holds(envelope)), None)


def parse_ways(texts: Sequence[str], weights: Sequence[int], *, mx_port: int = SMTP_PORT) -> Via:
    """Return the way that one or several `via` name.

    Raises:
        RouteError: If one is none, or several are not all fixed hosts.
    """
    ways = [parse_via(text, mx_port=mx_port) for text in texts]
    if len(ways) == 1:
        return ways[0]
    hosts = tuple(way for way in ways if isinstance(way, SmartHost))
    if len(hosts) != len(ways) or (weights and len(weights) != len(ways)):
        raise RouteError("several ways must all be hosts, with a weight for each or none")
    return SmartHosts(hosts, tuple(weights))


def parse_via(text: str, *, mx_port: int = SMTP_PORT) -> Via:
    """Return the way that a configuration names.

    ``mx``, ``capture``, ``smtp://host:port``, ``smtps://host:port``, ``lmtp://host:port`` or
    ``lmtp:///path`` for a Unix socket; the ports are 25, 465 and 24 where they are absent. An
    IPv6 address stands in brackets.

    Raises:
        RouteError: If it is none of these.
    """
    if text == "mx":
        return Exchangers(mx_port)
    if text == "capture":
        return Capture()
    if path := _UNIX_SOCKET.fullmatch(text):
        return SmartHost(path[1], 0, lmtp=True)
    found = _SMART_HOST.fullmatch(text)
    if not found:
        raise RouteError(
            f"{text!r} is no way to send mail: write mx, capture, smtp://host:port, smtps://host or"
            " lmtp://host:port"
        )
    port = int(found[3] or _PORTS[found[1]])
    if not 0 < port < 65_536:
        raise RouteError(f"{port} is no port: 1 to 65535")
    host = found[2].strip("[]").lower()
    return SmartHost(host, port, found[1] == "smtps", lmtp=found[1] == "lmtp")


_PORTS: Final = {"smtp": SMTP_PORT, "smtps": SMTPS_PORT, "lmtp": LMTP_PORT}


def _pattern(pattern: str) -> str:
    if pattern == "*":
        return pattern
    prefix = "*." if pattern.startswith("*.") else ""
    try:
        return prefix + parse_domain(pattern.removeprefix("*."))
    except AddressError as error:
        raise RouteError(f"{pattern!r} is no domain: {error}") from None
