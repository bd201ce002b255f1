"""What the configuration says about delivery, as the values that this room works with."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from posthouse.config.schema import Configuration, Outbound, SmartHostSignIn
from posthouse.config.schema import Route as ConfiguredRoute
from posthouse.config.schema import Via as ConfiguredVia
from posthouse.delivery.bounce import Site
from posthouse.delivery.lanes import Width
from posthouse.delivery.opening import Manners
from posthouse.delivery.retry import Patience
from posthouse.delivery.routes import (
    Condition,
    Conditional,
    Pace,
    Route,
    Routes,
    SignIn,
    TlsWish,
    Via,
    parse_ways,
)
from posthouse.mail.address import Mailbox
from posthouse.policy.rules import Budget

ReadSecret = Callable[[Path], str]


def routes_of(configuration: Configuration, read_secret: ReadSecret) -> Routes:
    """Return the routes.

    Args:
        configuration: The file.
        read_secret: Returns the password in a file; what it raises comes through.

    Raises:
        RouteError: If a route means nothing; the configuration's own checks come before that.
    """
    outbound = configuration.outbound
    make = _Maker(outbound, read_secret)
    routes = [(one, make.route(one)) for one in outbound.route]
    entries = {pattern: it for one, it in routes if not _condition(one) for pattern in one.to}
    entries |= {
        name: make.plain(domain.deliver_via)
        for name, domain in configuration.domains.items()
        if domain.deliver_via
    }
    local = [name for name, domain in configuration.domains.items() if not domain.deliver_via]
    # A route for one of our own domains would take its mail away from its mailboxes.
    kept = {pattern: one for pattern, one in entries.items() if pattern not in local}
    conditional = [
        Conditional(pattern, condition, it)
        for one, it in routes
        if (condition := _condition(one))
        for pattern in one.to
        if pattern not in configuration.domains
    ]
    return Routes(
        local_domains=local, entries=kept, conditional=conditional, default=make.default()
    )


class _Maker:
    """Makes routes of what is written."""

    def __init__(self, outbound: Outbound, read_secret: ReadSecret) -> None:
        self._outbound = outbound
        self._read_secret = read_secret

    def plain(self, via: ConfiguredVia) -> Route:
        """Return a way with nothing of its own."""
        return Route(self._via(via, ()), TlsWish(self._outbound.tls.value))

    def default(self) -> Route:
        """Return the way of what no route takes."""
        outbound = self._outbound
        return Route(
            self._via(outbound.via, outbound.weights),
            TlsWish(outbound.tls.value),
            self._signed_in(outbound.sign_in),
        )

    def route(self, one: ConfiguredRoute) -> Route:
        """Return a route as written."""
        return Route(
            self._via(one.via, one.weights),
            TlsWish((one.tls or self._outbound.tls).value),
            self._signed_in(one.sign_in),
            hello=one.hello or "",
            sources=tuple(map(ip_address, one.from_addresses)),
            pace=_pace(one),
        )

    def _via(self, via: ConfiguredVia, weights: tuple[int, ...]) -> Via:
        texts = [str(each) for each in via.every]
        return parse_ways(texts, weights, mx_port=self._outbound.mx_port)

    def _signed_in(self, sign_in: SmartHostSignIn | None) -> SignIn | None:
        if sign_in is None:
            return None
        password = self._read_secret(Path(sign_in.password_file))
        return SignIn(user=sign_in.user, password=password)


def _pace(one: ConfiguredRoute) -> Pace | None:
    distance = seconds_each(one.rate)
    if not (one.sessions_per_host or one.messages_per_session or distance):
        return None
    return Pace(one.sessions_per_host, one.messages_per_session, distance)


def seconds_each(rate: Budget | None) -> float:
    """Return how far apart messages are at this rate; 0 for no limit."""
    return rate.period.total_seconds() / rate.count if rate else 0.0


def _condition(one: ConfiguredRoute) -> Condition | None:
    """For which mail a route holds; None: for all."""
    if not (one.senders or one.accounts or one.listeners):
        return None
    # "*" as sender is no condition, but it names every domain: all mail but reports.
    return Condition(
        senders=frozenset(one.senders),
        accounts=frozenset(str(account.folded) for account in one.accounts),
        listeners=frozenset(one.listeners),
    )


def patience_of(configuration: Configuration) -> Patience:
    """Return how long we try."""
    outbound = configuration.outbound
    return Patience(outbound.give_up_after, outbound.tell_sender_after)


def manners_of(configuration: Configuration) -> Manners:
    """Return how we present ourselves to next hops."""
    outbound = configuration.outbound
    return Manners(
        outbound.hello or configuration.hostname,
        tuple(map(ip_address, outbound.from_addresses)),
        messages=outbound.messages_per_session,
    )


def width_of(configuration: Configuration) -> Width:
    """Return how many attempts there may be at a time."""
    outbound = configuration.outbound
    return Width(
        sessions=outbound.sessions,
        each_hop=outbound.sessions_per_host,
        seconds_each=seconds_each(outbound.rate),
    )


def site_of(configuration: Configuration) -> Site:
    """Return who we are in reports."""
    postmaster = configuration.postmaster_mailbox
    domain = configuration.domains.get(postmaster.domain)
    here = domain is not None and domain.deliver_via is None
    return Site(
        hostname=configuration.hostname,
        author=Mailbox("postmaster", configuration.hostname) if not here else postmaster,
        postmaster=postmaster if here else None,
        contact=configuration.refusals.contact,
    )
