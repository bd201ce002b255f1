"""What the configuration says about delivery, as the values that this room works with."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from posthouse.config.schema import Configuration, Security, SmartHostSignIn
from posthouse.config.schema import Via as ConfiguredVia
from posthouse.delivery.bounce import Site
from posthouse.delivery.lanes import Width
from posthouse.delivery.retry import Patience
from posthouse.delivery.routes import Route, Routes, SignIn, TlsWish, parse_via
from posthouse.delivery.transport import Manners
from posthouse.mail.address import Mailbox

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

    def route(
        via: ConfiguredVia,
        tls: Security | None = None,
        sign_in: SmartHostSignIn | None = None,
    ) -> Route:
        return Route(
            parse_via(str(via), mx_port=outbound.mx_port),
            TlsWish((tls or outbound.tls).value),
            SignIn(user=sign_in.user, password=read_secret(Path(sign_in.password_file)))
            if sign_in
            else None,
        )

    entries = {
        pattern: route(one.via, one.tls, one.sign_in)
        for one in outbound.route
        for pattern in one.to
    }
    entries |= {
        name: route(domain.deliver_via)
        for name, domain in configuration.domains.items()
        if domain.deliver_via
    }
    local = [name for name, domain in configuration.domains.items() if not domain.deliver_via]
    # A route for one of our own domains would take its mail away from its mailboxes.
    kept = {pattern: one for pattern, one in entries.items() if pattern not in local}
    default = route(outbound.via, sign_in=outbound.sign_in)
    return Routes(local_domains=local, entries=kept, default=default)


def patience_of(configuration: Configuration) -> Patience:
    """Return how long we try."""
    outbound = configuration.outbound
    return Patience(outbound.give_up_after, outbound.tell_sender_after)


def manners_of(configuration: Configuration) -> Manners:
    """Return how we present ourselves to next hops."""
    sources = tuple(ip_address(it) for it in configuration.outbound.from_addresses)
    return Manners(configuration.hostname, sources)


def width_of(configuration: Configuration) -> Width:
    """Return how many attempts there may be at a time."""
    return Width(each_hop=configuration.outbound.sessions_per_host)


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
