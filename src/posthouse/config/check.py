"""What is possible but cannot be meant: cross-checks between the parts of a configuration.

`load` refuses what is no configuration; this looks at one that is. Errors here must stop a
server as well; warnings are for whoever runs it.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from posthouse.config.catalogue import finding
from posthouse.config.check_doors import check_doors
from posthouse.config.compile import compile_rules, domain_paths
from posthouse.config.diagnostic import Diagnostic, is_fatal
from posthouse.config.listening import is_loopback_only, listens_on, takes_passwords_in_clear
from posthouse.config.policy_tests import failures, run_tests
from posthouse.config.schema import Configuration, Listener, ServiceName
from posthouse.config.spans import Path, Spans
from posthouse.config.width import check_width
from posthouse.policy.rules import Ownership
from posthouse.protocol.mechanisms import NEED_TOKEN

_GIVE_UP_MIN: Final = timedelta(days=4)  # RFC 5321 §4.5.4.1: "at least 4-5 days"


def check(configuration: Configuration, spans: Spans, now: datetime) -> list[Diagnostic]:
    """Return what is suspicious or cannot work, in the order of the lines.

    Where nothing else is wrong, the file's own tests are put to its rules.

    Args:
        configuration: As loaded.
        spans: Where its parts stand.
        now: The moment, with a zone: entries end.
    """
    found = [
        *_names(configuration, spans),
        *_domains(configuration, spans),
        *_listeners(configuration, spans),
        *check_doors(configuration, spans, now),
        *check_width(configuration, spans, now),
        *_identity(configuration, spans),
        *_outbound(configuration, spans),
        *_resolvers(configuration, spans),
        *_authentication(configuration, spans),
        *_screening(configuration, spans),
        *_tests(configuration, spans),
    ]
    if configuration.test and not is_fatal(found):
        rules = compile_rules(configuration, spans)
        found += failures(run_tests(configuration.test, rules, now), spans)
    return sorted(found, key=lambda each: (each.line, each.column, each.code))


def _names(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    trial = is_loopback_only(configuration)
    if "." not in configuration.hostname and not trial:
        words = f'write the full name, such as "{configuration.hostname}.example.com"'
        message = f"{configuration.hostname} is not a full host name"
        yield finding("short-hostname", message, spans.value(("hostname",)), words)
    if not configuration.tls.certificate and not trial:
        words = "add [tls] with certificate and key"
        yield finding("self-made", "the certificate will be one that nobody trusts", None, words)
    postmaster = configuration.postmaster
    if configuration.domains and postmaster and postmaster.domain not in configuration.domains:
        message = f"postmaster {postmaster} is not a mailbox here"
        place = spans.value(("postmaster",))
        yield finding("postmaster-foreign", message, place, _in_one_of(configuration.domains))


def _domains(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    paths = domain_paths(spans)
    if not configuration.domains:
        message = "there is no domain that mail is taken for"
        yield finding("no-domains", message, None, 'add [domains."example.com"]')
    for domain, entry in configuration.domains.items():
        path: Path = paths.get(domain, ("domains",))
        if entry.catch_all and entry.catch_all.domain not in configuration.domains:
            message = f"catch_all {entry.catch_all} is not a mailbox here"
            place = spans.value((*path, "catch_all"))
            yield finding("catch-all-foreign", message, place, _in_one_of(configuration.domains))
        via = entry.deliver_via
        if via and via.host and listens_on(configuration, via.host, via.port):
            message = f"mail for {domain} would come back to this server"
            words = "name the server that keeps this domain's mail"
            yield finding("deliver-via-self", message, spans.value((*path, "deliver_via")), words)


def _in_one_of(domains: Iterable[str]) -> str:
    return f"use an address in {', '.join(list(domains)[:5])}"


def _listeners(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    for name, listener in configuration.listen.items():
        path: Path = ("listen", name)
        if listener.service in (ServiceName.HELP, ServiceName.CONSOLE):
            message = f"{listener.service.value} is not served in this version"
            place = spans.value((*path, "service"))
            yield finding("service-not-yet", message, place, "nothing will listen there")
        yield from _mechanisms(configuration, name, listener, spans)
        if takes_passwords_in_clear(configuration, name, listener):
            message = f"listener {name} takes passwords without encryption"
            where = spans.value((*path, "tls")) if spans.line(path) else None
            yield finding("password-in-clear", message, where, 'write tls = "before-sign-in"')


def _mechanisms(
    configuration: Configuration, name: str, listener: Listener, spans: Spans
) -> Iterator[Diagnostic]:
    """Mechanisms that could not work where they are listed."""
    place = spans.value(("listen", name, "mechanisms"))
    for mechanism in listener.mechanisms or ():
        if mechanism in NEED_TOKEN and configuration.accounts.tokens is None:
            words = "add [accounts.tokens], or leave it out"
            yield finding("mechanism", f"{mechanism} needs somebody's tokens", place, words)
        if mechanism == "APOP" and listener.service is not ServiceName.POP3:
            yield finding("mechanism", "APOP is for pop3 listeners", place, "leave it out")
        if mechanism in ("APOP", "CRAM-MD5") and not configuration.accounts.keep_plain:
            words = "write keep_plain = true in [accounts], or leave it out"
            message = f"{mechanism} will work for nobody in the end"
            yield finding("nobody-has-plain", message, place, words)


def _identity(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    identity = configuration.identity
    if identity.reverse_path is identity.from_ is Ownership.ANYTHING:
        message = "whoever may send at all may write as anybody"
        words = 'write from = "own-domains", or sends_as in the doors that need it'
        yield finding("anything", message, spans.value(("identity", "from")), words)


def _outbound(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    outbound = configuration.outbound
    if outbound.give_up_after < _GIVE_UP_MIN:
        message = "mail is given up soon: a server may be down for a weekend"
        place = spans.value(("outbound", "give_up_after"))
        yield finding("gives-up-early", message, place, 'write "5 days"')
    if outbound.tell_sender_after >= outbound.give_up_after:
        message = "senders hear of waiting mail only when it is given up"
        place = spans.value(("outbound", "tell_sender_after"))
        yield finding("told-late", message, place, "make it shorter than give_up_after")
    yield from _same_routes(configuration, spans)
    for number, route in enumerate(outbound.route):
        for position, destination in enumerate(route.to):
            if destination in configuration.domains:
                message = f"{destination} is our own: this route is never used for it"
                place = spans.value(("outbound", "route", number, "to", position))
                words = f'write deliver_via in [domains."{destination}"]'
                yield finding("route-unused", message, place, words)


def _same_routes(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    """Two routes for the same mail: order does not matter, so neither is the one that is meant."""
    known: dict[tuple[object, ...], int] = {}
    for number, route in enumerate(configuration.outbound.route):
        conditions = (
            frozenset(map(str, route.senders)),
            frozenset(map(str, route.accounts)),
            frozenset(route.listeners),
        )
        for position, destination in enumerate(route.to):
            first = known.setdefault((destination, *conditions), number)
            if first != number:
                line = spans.line(("outbound", "route", first))
                message = f"mail for {destination} has two routes, here and in line {line}"
                place = spans.value(("outbound", "route", number, "to", position))
                yield finding("same-route", message, place, "keep one of them, or tell them apart")


def _resolvers(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    """DANE that somebody asked for in so many words, and that cannot be had."""
    outbound, dns = configuration.outbound, configuration.dns
    wanted = outbound.dane and "dane" in outbound.model_fields_set
    here = any(ip_address(server.host).is_loopback for server in dns.servers)
    if wanted and dns.servers and not (dns.trust_ad or here):
        message = "DANE cannot be used: no resolver here is believed about DNSSEC"
        words = "use a resolver on this machine, or write trust_ad = true in [dns]"
        yield finding("dane-unseen", message, spans.value(("outbound", "dane")), words)


def _authentication(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    name = configuration.authentication.forwards_as
    domain = configuration.domains.get(name) if name else None
    if name and (domain is None or domain.deliver_via):
        kept_here = [each for each, it in configuration.domains.items() if not it.deliver_via]
        message = f"mail for {name} is not kept here, so reports would be lost"
        place = spans.value(("authentication", "forwards_as"))
        words = f"use one of {', '.join(kept_here[:5])}" if kept_here else "add a domain"
        yield finding("forwards-as-foreign", message, place, words)


def _screening(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    limits = configuration.limits
    budgets = (
        limits.each_account.recipients,
        limits.each_account.new_recipients,
        limits.each_address.recipients,
    )
    for number, entry in enumerate(configuration.screening):
        if entry.ask == "recipient-budget" and not any(budgets):
            words = 'add [limits.each_account] with recipients = "500 per hour"'
            place = spans.value(("screening", number, "ask"))
            yield finding("budget-missing", "there is no budget to ask about", place, words)


def _tests(configuration: Configuration, spans: Spans) -> Iterator[Diagnostic]:
    for number, test in enumerate(configuration.test):
        if test.listener is not None and test.listener not in configuration.listen:
            message = f"there is no listener {test.listener}"
            words = f"there are {', '.join(configuration.listen)}"
            place = spans.value(("test", number, "listener"))
            yield finding("listener-unknown", message, place, words)
