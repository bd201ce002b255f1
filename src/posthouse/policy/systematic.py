"""One request of every kind that two sets of rules can tell apart: for comparing them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product

from msgspec.structs import replace

from posthouse.mail.address import NULL, Mailbox, ReversePath
from posthouse.policy.address_classes import address_classes_of_both
from posthouse.policy.facts import (
    Account,
    Authorship,
    Client,
    PopSession,
    Request,
    SignIn,
    WatchedName,
)
from posthouse.policy.rules import Rules

DOMAINS_MAX = 20
STRANGE = Mailbox("stranger", "nowhere.invalid")
FOREIGN = Mailbox("someone", "elsewhere.invalid")
_MOMENT = timedelta(seconds=1)


def every_request(old: Rules, new: Rules, at: datetime) -> Iterator[Request]:
    """Yield address classes x listeners x states x senders x recipients, of both rules."""
    classes = address_classes_of_both(old, new)
    listeners = dict.fromkeys((*old.listeners, *new.listeners)) or {"mx": None}
    senders = tuple(_senders(old, new))
    recipients = tuple(_recipients(old, new))
    ours = [Mailbox("ann", domain) for domain in _domains(old, new)] or [STRANGE]
    for group, listener in product(classes, listeners):
        client = Client(group.example, listener, tls=True)
        for sender, state in product(senders, _states(old, new, at)):
            path = ReversePath(sender) if sender else NULL
            author = Authorship((sender,)) if sender else None
            known = _as_known(client, state, sender if sender in ours else ours[0], at)
            for recipient in recipients:
                yield Request(at, known, path, recipient, authorship=author)


def _states(old: Rules, new: Rules, at: datetime) -> Iterator[tuple[str, object]]:
    """Yield every way of being known: nobody, signed in, fetched a moment ago, at a name."""
    yield "nobody", None
    yield "signed-in", False
    yield "signed-in", True
    windows = {door.window for rules in (old, new) for door in rules.pop_window_doors}
    edges = {window - _MOMENT for window in windows} | {window + _MOMENT for window in windows}
    for age in sorted(edges):
        yield "fetched", age
    hosts = {host for rules in (old, new) for door in rules.host_name_doors for host in door.hosts}
    lingers = {door.linger for rules in (old, new) for door in rules.host_name_doors}
    for host in sorted(hosts)[:DOMAINS_MAX]:
        yield "named", WatchedName(host, at)
        for linger in sorted(lingers):
            yield "named", WatchedName(host, at - linger - _MOMENT)


def _as_known(
    client: Client, state: tuple[str, object], own: Mailbox | None, at: datetime
) -> Client:
    assert own is not None
    account = Account(str(own), frozenset({own.folded}))
    match state:
        case ("signed-in", bool(separate)):
            return replace(client, signed_in=SignIn(account, submission_password=separate))
        case ("fetched", timedelta() as age):
            return replace(client, pop_sessions=(PopSession(account, at - age),))
        case ("named", WatchedName() as name):
            return replace(client, watched_names=(name,))
        case _:
            return client


def _senders(old: Rules, new: Rules) -> Iterator[Mailbox | None]:
    yield None
    yield STRANGE
    for domain in _domains(old, new):
        yield Mailbox("ann", domain)
    found: dict[Mailbox, None] = {}
    for rules in (old, new):
        for door in rules.doors[:DOMAINS_MAX]:
            if door.sends_as is not None:
                found.update(dict.fromkeys(sorted(door.sends_as.mailboxes)[:3]))
                found.update((Mailbox("any", it), None) for it in sorted(door.sends_as.domains)[:3])
    yield from found


def _recipients(old: Rules, new: Rules) -> Iterator[Mailbox]:
    yield FOREIGN
    for domain in _domains(old, new):
        yield Mailbox("bob", domain)
    yield Mailbox("a%elsewhere.invalid", next(iter(_domains(old, new)), "our.invalid"))
    found: dict[Mailbox, None] = {}
    for rules in (old, new):
        for door in rules.doors[:DOMAINS_MAX]:
            if door.sends_to is not None:
                found.update(dict.fromkeys(sorted(door.sends_to.mailboxes)[:3]))
                found.update((Mailbox("any", it), None) for it in sorted(door.sends_to.domains)[:3])
    yield from found


def _domains(old: Rules, new: Rules) -> list[str]:
    """Domains of either; those of one only first: there the rules differ."""
    both = old.local_domains.keys() & new.local_domains.keys()
    either = old.local_domains.keys() | new.local_domains.keys()
    changed = {it for it in both if _kind(old, it) != _kind(new, it)}
    return [*sorted((either - both) | changed), *sorted(both - changed)][:DOMAINS_MAX]


def _kind(rules: Rules, domain: str) -> tuple[bool, bool]:
    known = rules.local_domains[domain]
    return known.relayed, known.catch_all
