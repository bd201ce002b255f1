"""The half that delivers: mailboxes, next hops, reports."""

import random
from ipaddress import ip_address
from pathlib import Path

from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.store import Resolution
from posthouse.config.schema import Configuration
from posthouse.delivery.attempts import Attempts, Ways
from posthouse.delivery.bounce import Reporter
from posthouse.delivery.dispatcher import Dispatcher
from posthouse.delivery.local import CaptureDelivery, LocalDelivery
from posthouse.delivery.next_hosts import HostFinder
from posthouse.delivery.routes import Routes
from posthouse.delivery.settings import manners_of, patience_of, routes_of, site_of, width_of
from posthouse.delivery.transport import Transport, client_contexts
from posthouse.dns.exchangers import Ourselves
from posthouse.dns.resolver import Resolver
from posthouse.mail.address import Mailbox
from posthouse.server.ground import Ground
from posthouse.server.troubles import EXIT_CONFIGURATION, StartError


class PostOffice:
    """Where mail for one of our addresses goes, postmaster included (RFC 5321 §4.5.1)."""

    def __init__(self, accounts: SqliteAccountStore, configuration: Configuration) -> None:
        self._accounts = accounts
        self.configuration = configuration

    def resolve(self, mailbox: Mailbox) -> Resolution:
        """Return accounts and forwards; raises `StoreError`.

        What is sent to a postmaster whom nobody made an account for is kept in a mailbox of that
        name all the same: it can be read there.
        """
        plus_tags = self.configuration.identity.plus_tags
        found = self._accounts.resolve(mailbox, plus_tags=plus_tags)
        if found.known or mailbox.local_part.lower() != "postmaster":
            return found
        postmaster = self.configuration.postmaster_mailbox
        found = self._accounts.resolve(postmaster, plus_tags=plus_tags)
        return found if found.known else Resolution(accounts=(str(postmaster.folded),))


def outgoing(
    configuration: Configuration, ground: Ground, resolver: Resolver, office: PostOffice
) -> tuple[Dispatcher, Transport]:
    """Return what delivers, and its connections.

    Raises:
        StartError: If a password file of a smart host cannot be read.
    """
    spool, log = ground.stores.spool, ground.log
    chance = random.Random()  # noqa: S311 - for the order of hosts, not for secrets
    patience = patience_of(configuration)
    transport = Transport(
        HostFinder(resolver, chance, ourselves(configuration)),
        manners_of(configuration),
        client_contexts(),
    )
    attempts = Attempts(
        spool,
        Ways(
            local=LocalDelivery(office.resolve, ground.maildir_of, log),
            capture=CaptureDelivery(ground.stores.directory / "captured", log),
            transport=transport,
        ),
        Reporter(site_of(configuration), patience, spool.new_id),
        patience,
        now=ground.now,
        uniform=chance.uniform,
        log=log,
    )
    routes, width = read_routes(configuration, ground.base), width_of(configuration)
    dispatcher = Dispatcher(spool, routes, attempts, now=ground.now, log=log, width=width)
    return dispatcher, transport


def read_routes(configuration: Configuration, base: Path) -> Routes:
    """Return the routes, with the passwords of smart hosts.

    Raises:
        StartError: If a password file cannot be read.
    """

    def read_secret(path: Path) -> str:
        try:
            return (base / path).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as problem:
            message = f"the password file {base / path} cannot be read: {problem}"
            raise StartError(message, EXIT_CONFIGURATION) from None

    return routes_of(configuration, read_secret)


def ourselves(configuration: Configuration) -> Ourselves:
    """Return by what we know ourselves among exchangers: more preferred ones only are tried."""
    addresses = {
        ip_address(endpoint.host)
        for listener in configuration.listen.values()
        for endpoint in listener.on
        if not ip_address(endpoint.host).is_unspecified
        and endpoint.port == configuration.outbound.mx_port
    }
    return Ourselves(frozenset({configuration.hostname}), frozenset(addresses))
