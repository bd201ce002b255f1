"""The half that delivers: mailboxes, next hops, reports."""

import random
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from posthouse.accounts.store import Resolution, StoreError
from posthouse.authentication.srs import Rewriter
from posthouse.config.schema import Configuration
from posthouse.delivery.attempts import Attempts, Ways
from posthouse.delivery.bounce import Reporter
from posthouse.delivery.dispatcher import Dispatcher
from posthouse.delivery.forwarding import Rewrite, read_secrets, rewriting
from posthouse.delivery.lanes import Width
from posthouse.delivery.languages import SenderLanguages
from posthouse.delivery.local import CaptureDelivery, LocalDelivery
from posthouse.delivery.long_lines import LongLineCarrier, LongLines
from posthouse.delivery.next_hosts import HostFinder
from posthouse.delivery.opening import client_contexts
from posthouse.delivery.outcomes import Outcome
from posthouse.delivery.relay_recipients import RecipientRules, RelayRecipients, read_recipients
from posthouse.delivery.rewriting import RewritingCarrier
from posthouse.delivery.routes import Routes
from posthouse.delivery.settings import manners_of, patience_of, routes_of, site_of, width_of
from posthouse.delivery.signing import KeyRing, Post, SigningCarrier
from posthouse.delivery.signing_keys import SigningKeys
from posthouse.dns.exchangers import Ourselves
from posthouse.doctor.translation import language_of
from posthouse.mail.address import AddressError, Mailbox, ReversePath
from posthouse.server.ground import Ground
from posthouse.server.protection import Protection
from posthouse.server.troubles import EXIT_CONFIGURATION, StartError


class PostOffice:
    """Where mail for one of our addresses goes, postmaster included (RFC 5321 §4.5.1)."""

    def __init__(self, ground: Ground, configuration: Configuration) -> None:
        """Begin.

        Raises:
            StartError: If the secret of rewritten addresses cannot be read or made.
        """
        self._accounts = ground.stores.accounts
        self._now = ground.now
        self._secrets = read_srs_secrets(ground.stores.directory / "srs.secrets")
        self.configuration = configuration
        self.languages = SenderLanguages(self._chosen_language)
        self.use(configuration)

    def use(self, configuration: Configuration) -> None:
        """Take another configuration."""
        self.configuration = configuration
        wanted = (language_of(it) for it in configuration.refusals.languages)
        self.languages.default = next(wanted, "en")

    def _chosen_language(self, account: str) -> str:
        try:
            return self._accounts.language(account)
        except StoreError:
            return ""

    @property
    def returns(self) -> Rewriter | None:
        """Makes rewritten reverse-paths and leads them back; None without a domain of ours."""
        domain = self.configuration.forwarding_domain
        return Rewriter(domain, self._secrets) if domain else None

    @property
    def post(self) -> Post:
        """Who we are where mail is signed and sealed."""
        configuration, wishes = self.configuration, self.configuration.authentication
        seals = configuration.forwarding_domain if wishes.forwarded == "rewrite" else ""
        return Post(configuration.hostname, seals, signs=wishes.outgoing == "sign")

    def rewrite(self, path: ReversePath, now: datetime) -> ReversePath:
        """Return the reverse-path for a copy that an alias sends on."""
        returns = self.returns
        if returns is None or self.configuration.authentication.forwarded != "rewrite":
            return path
        return rewriting(returns, self.configuration.domains.__contains__)(path, now)

    def rewrite_for(self, destination: str) -> Rewrite | None:
        """Return how reverse-paths change on the way to a domain; None if they do not."""
        domain = self.configuration.domains.get(destination)
        if domain is None or not domain.rewrite_senders:
            return None
        returns = self.returns
        if returns is None:
            return None
        return rewriting(returns, self.configuration.domains.__contains__)

    def resolve(self, mailbox: Mailbox) -> Resolution:
        """Return accounts and forwards; raises `StoreError`.

        What is sent to a postmaster whom nobody made an account for is kept in a mailbox of that
        name all the same: it can be read there.
        """
        returns = self.returns
        if returns is not None and returns.is_rewritten(mailbox):
            target = returns.reverse(mailbox, self._now())
            return Resolution(forwards=(target,)) if isinstance(target, Mailbox) else Resolution()
        plus_tags = self.configuration.identity.plus_tags
        found = self._accounts.resolve(mailbox, plus_tags=plus_tags)
        postmaster = self.configuration.postmaster_mailbox
        is_postmaster = mailbox.local_part.lower() == "postmaster" or mailbox == postmaster
        if found.known or not is_postmaster:
            return found
        found = self._accounts.resolve(postmaster, plus_tags=plus_tags)
        return found if found.known else Resolution(accounts=(str(postmaster.folded),))


class Outgoing(Struct, frozen=True, eq=False):
    """What delivers.

    Attributes:
        dispatcher: Takes what is due.
        carrier: Its connections.
        lines: What it does with long lines.
        recipients: Who exists behind domains that are passed on.
        protection: What other domains demand of TLS, and what they are told.
    """

    dispatcher: Dispatcher
    carrier: SigningCarrier
    lines: LongLineCarrier
    recipients: RelayRecipients
    protection: Protection


def outgoing(configuration: Configuration, ground: Ground, office: PostOffice) -> Outgoing:
    """Return what delivers.

    Raises:
        StartError: If a password file of a smart host cannot be read.
    """
    spool, log = ground.stores.spool, ground.log
    chance = random.Random()  # noqa: S311 - for the order of hosts, not for secrets
    patience = patience_of(configuration)
    hosts = HostFinder(
        ground.resolver,
        chance,
        ourselves(configuration),
        literals=configuration.outbound.address_literals,
    )
    protection = Protection(configuration, ground, client_contexts())
    transport = protection.transport(hosts, manners_of(configuration))
    keys = SigningKeys(ground.stores.directory / "dkim")
    ring = KeyRing(keys, ground.resolver.txt, now=ground.now, log=log)
    carrier = SigningCarrier(transport, ring, office.post, ground.now)
    lines = LongLineCarrier(carrier, LongLines(configuration.outbound.long_lines))
    attempts = Attempts(
        spool,
        _ways(ground, office, lines),
        Reporter(site_of(configuration), patience, spool.new_id, office.rewrite, office.languages),
        patience,
        now=ground.now,
        uniform=chance.uniform,
        log=log,
    )
    routes = read_routes(configuration, ground.base)
    width = share_of(width_of(configuration), ground.worker.count)
    dispatcher = Dispatcher(
        spool, routes, attempts, now=ground.now, log=log, width=width, hosts=hosts
    )

    async def probe(mailbox: Mailbox) -> Outcome:
        return await transport.probe(dispatcher.routes.find(mailbox.domain), mailbox, ground.now())

    rules = recipient_rules(configuration, ground.base)
    recipients = RelayRecipients(rules, probe, ground.now)
    return Outgoing(dispatcher, carrier, lines, recipients, protection)


def _ways(ground: Ground, office: PostOffice, lines: LongLineCarrier) -> Ways:
    return Ways(
        local=LocalDelivery(office.resolve, ground.maildir_of, ground.log),
        capture=CaptureDelivery(ground.stores.directory / "captured", ground.log),
        transport=RewritingCarrier(lines, office.rewrite_for, ground.now),
    )


def share_of(width: Width, workers: int) -> Width:
    """Return what one of several workers may use, so that together they use what is configured.

    One attempt at a time is the least: a next hop that is to get one gets as many as there are
    workers, but no faster than `rate` says.
    """
    if workers == 1:
        return width
    return replace(
        width,
        sessions=max(1, width.sessions // workers),
        each_hop=max(1, width.each_hop // workers),
        seconds_each=width.seconds_each * workers,
        workers=workers,
    )


def recipient_rules(configuration: Configuration, base: Path) -> RecipientRules:
    """Return how recipients of domains that are passed on are known.

    Raises:
        StartError: If a file of them cannot be read.
    """
    listed = {}
    for name, domain in configuration.domains.items():
        if domain.recipients_file:
            try:
                listed[name] = read_recipients(base / domain.recipients_file)
            except (OSError, UnicodeDecodeError, AddressError) as problem:
                message = f"the recipients of {name} cannot be read: {problem}"
                raise StartError(message, EXIT_CONFIGURATION) from None
    asked = (name for name, domain in configuration.domains.items() if domain.verify_recipients)
    return RecipientRules(listed, frozenset(asked))


def read_srs_secrets(path: Path) -> tuple[bytes, ...]:
    """Return the secrets of rewritten addresses; one is made if there is none.

    Raises:
        StartError: If the file cannot be used.
    """
    try:
        return read_secrets(path)
    except (OSError, ValueError) as problem:
        raise StartError(f"the secret of forwarded addresses cannot be used: {problem}") from None


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
