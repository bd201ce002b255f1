"""From the configuration to the rules that the policy decides by.

Every rule carries the line it comes from. What has ended stays in: the policy tells an entry that
has ended from a stranger, and says so.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from posthouse.config import schema
from posthouse.config.spans import Path, Spans
from posthouse.mail.address import Mailbox, parse_domain, parse_mailbox
from posthouse.policy.lost_address import LostAddressRule
from posthouse.policy.networks import Network, NetworkTable, parse_networks
from posthouse.policy.rules import (
    AddressSet,
    AuthorRule,
    CheckRule,
    Door,
    DoorKind,
    Identity,
    Limits,
    ListenerRule,
    LocalDomain,
    Rules,
    Service,
)


def compile_rules(
    configuration: schema.Configuration,
    spans: Spans,
    grants: Iterable[Door] = (),
    name: str = "posthouse.toml",
) -> Rules:
    """Return the rules; `grants` are doors opened at run time, of whatever kind.

    Raises:
        NetworkError: If a grant's networks cannot be read; those of the file have been.
    """
    doors: list[Door] = []
    entries: list[tuple[Network, int]] = []
    for number, entry in enumerate(configuration.may_relay):
        doors.append(_door(entry, spans.where(("may_relay", number), name)))
        if isinstance(entry, schema.Network):
            entries += [(net, number) for each in entry.networks for net in each.networks]
    for grant in grants:
        entries += [(net, len(doors)) for each in grant.networks for net in parse_networks(each)]
        doors.append(grant)
    return Rules(
        hostname=configuration.hostname,
        listeners=_listeners(configuration, spans, name),
        local_domains=_local_domains(configuration, spans, name),
        doors=tuple(doors),
        networks=NetworkTable(entries),
        identity=_identity(configuration.identity, spans.where(("identity",), name)),
        limits=_limits(configuration.limits),
        checks=_checks(configuration, spans, name),
        authors=_authors(configuration.authentication, spans, name),
        serves_pop3=any(
            it.service is schema.ServiceName.POP3 for it in configuration.listen.values()
        ),
    )


def address_set(patterns: Iterable[str]) -> AddressSet:
    """Return the set that patterns in their compared form (`values.read_pattern`) mean."""
    mailboxes: set[Mailbox] = set()
    domains: set[str] = set()
    parents: set[str] = set()
    everything = False
    for pattern in patterns:
        if pattern == "*":
            everything = True
        elif pattern.startswith("*."):
            parents.add(pattern[2:])
        elif "@" in pattern[1:]:
            mailboxes.add(parse_mailbox(pattern).folded)
        else:
            domains.add(pattern.removeprefix("@"))
    return AddressSet(frozenset(mailboxes), frozenset(domains), frozenset(parents), everything)


def _door(entry: schema.AnyDoor, where: str) -> Door:
    door = Door(
        kind=DoorKind(entry.who),
        name=entry.name or entry.who,
        where=where,
        listeners=frozenset(entry.listeners or ()),
        sends_as=None if entry.sends_as is None else address_set(entry.sends_as),
        sends_to=None if entry.sends_to is None else address_set(entry.sends_to),
        until=entry.until,
        because=entry.because,
    )
    match entry:
        case schema.SignedIn():
            return replace(door, passwords=entry.passwords)
        case schema.PopWindow():
            return replace(door, window=entry.window)
        case schema.Network():
            return replace(door, networks=tuple(each.text for each in entry.networks))
        case schema.Certificate():
            return replace(door, certificates=frozenset(entry.certificates))
        case schema.HostName():
            return replace(door, hosts=frozenset(entry.hosts), linger=entry.linger)


def _listeners(
    configuration: schema.Configuration, spans: Spans, name: str
) -> dict[str, ListenerRule]:
    services = {
        schema.ServiceName.SMTP: Service.SMTP,
        schema.ServiceName.SUBMISSION: Service.SUBMISSION,
    }
    return {
        each: ListenerRule(
            name=each,
            service=services[listener.service],
            tls_before_sign_in=listener.tls_rule is schema.TlsRule.BEFORE_SIGN_IN,
            ports=tuple(dict.fromkeys(endpoint.port for endpoint in listener.on)),
            tls_from_start=listener.tls_rule is schema.TlsRule.FROM_START,
            mechanisms=listener.mechanisms or (),
            proxied_from=network_table(listener.proxied_from),
            told_from=network_table(listener.xclient_from),
            asks_certificate=asks_certificate(configuration, each),
            mends_newlines=listener.bare_newlines == "mend",
            greeting_pause=listener.pause_before_greeting,
            where=spans.where(("listen", each), name),
        )
        for each, listener in configuration.listen.items()
        if listener.service in services
    }


def asks_certificate(configuration: schema.Configuration, name: str) -> bool:
    """Whether clients of a listener are asked for a certificate.

    On smtp only where a door names it: many servers show some certificate when they are asked, and
    one that is not trusted ends the connection.
    """
    doors = [door for door in configuration.may_relay if isinstance(door, schema.Certificate)]
    if any(name in (door.listeners or ()) for door in doors):
        return True
    is_submission = configuration.listen[name].service is schema.ServiceName.SUBMISSION
    return is_submission and any(door.listeners is None for door in doors)


def network_table(entries: Iterable[schema.NetworkText]) -> NetworkTable | None:
    """Return networks that can be asked for an address; None where there are none."""
    networks = [(network, 0) for entry in entries for network in entry.networks]
    return NetworkTable(networks) if networks else None


def _local_domains(
    configuration: schema.Configuration, spans: Spans, name: str
) -> dict[str, LocalDomain]:
    lines = domain_paths(spans)
    return {
        domain: LocalDomain(
            domain=domain,
            where=spans.where(lines.get(domain, ("domains",)), name),
            relayed=entry.deliver_via is not None,
            catch_all=entry.catch_all is not None,
        )
        for domain, entry in configuration.domains.items()
    }


def domain_paths(spans: Spans) -> dict[str, Path]:
    """Return where each domain stands: as a key it may be written in capitals or its own script."""
    return {
        parse_domain(str(path[1]).removesuffix(".")): path for path in spans.below(("domains",))
    }


def _identity(identity: schema.Identity, where: str) -> Identity:
    return Identity(
        reverse_path=identity.reverse_path,
        from_=identity.from_,
        reply_to=identity.reply_to,
        plus_tags=identity.plus_tags,
        hold=identity.otherwise == "hold",
        where=where,
    )


def _authors(wishes: schema.Authentication, spans: Spans, name: str) -> AuthorRule:
    return AuthorRule(
        refuses=wishes.dmarc == "enforce",
        forwarders=frozenset(wishes.trusted_forwarders),
        where=spans.where(("authentication", "dmarc"), name) if wishes.dmarc == "enforce" else "",
    )


def _limits(limits: schema.Limits) -> Limits:
    return Limits(
        message_octets=limits.message_size,
        recipients_per_message=limits.recipients_per_message,
        sessions=limits.sessions,
        sessions_per_address=limits.sessions_per_address,
        hops=limits.hops,
        account_recipients=limits.each_account.recipients,
        account_new_recipients=limits.each_account.new_recipients,
        address_recipients=limits.each_address.recipients,
        address_connections=limits.each_address.connections,
    )


def lost_address_rule(lost: schema.LostAddresses) -> LostAddressRule:
    """Return when an address counts as lost, and what then happens."""
    return LostAddressRule(
        names=lost.unrelated_names,
        within=lost.within,
        lasts=lost.lasts,
        stops_relaying=lost.then == "sign-in-only",
        shared=NetworkTable((net, 0) for each in lost.shared for net in each.networks),
    )


def _checks(configuration: schema.Configuration, spans: Spans, name: str) -> dict[str, CheckRule]:
    return {
        entry.name: CheckRule(
            name=entry.name,
            ask=entry.ask,
            found=entry.found,
            no_answer=entry.no_answer,
            where=spans.where(("screening", number), name),
        )
        for number, entry in enumerate(configuration.screening)
    }
