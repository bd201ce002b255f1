"""Proof that no stranger relays, or the shortest session in which one would.

The rules distinguish finitely many classes of clients, listeners, senders and recipients. All of
them are put to the very functions that decide on the wire.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import product
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.mail.address import NULL, Mailbox, ReversePath
from posthouse.policy.address_classes import AddressClass, address_classes
from posthouse.policy.decision import Verdict
from posthouse.policy.facts import Account, Client, PopSession, Request, SignIn, WatchedName
from posthouse.policy.recognition import is_over, recognise
from posthouse.policy.relaying import decide_mail, decide_recipient
from posthouse.policy.rules import Door, DoorKind, Passwords, Rules

# More addresses than this, known by nothing but their network, are everybody: in IPv4 more than
# a /8, in IPv6 more than a /16. No provider has so many customers on one list.
EVERYBODY: Final = {4: 1 << 24, 6: 1 << 112}
FOREIGN: Final = Mailbox("someone", "elsewhere.invalid")
STRANGE: Final = Mailbox("stranger", "nowhere.invalid")
NAMES_TRIED_MAX: Final = 200  # sub-domains and look-alikes of this many domains are tried


class Passage(Struct, frozen=True):
    """One way to relay: who may, by which door, how wide it is, until when.

    Attributes:
        kind: ``signed-in``, ``pop-window``, ``network`` or ``host-name``.
        name: Of the door.
        where: Its configuration line.
        listeners: Where; empty: every SMTP listener.
        addresses: How many client addresses; None where the door looks at no address.
        until: When it ends; None: never.
        ended: It has ended: nobody relays by it.
        sends_as: Senders it is for; empty: by the identity rule.
        sends_to: Recipients it is for; empty: any.
        because: The operator's own words.
    """

    kind: str
    name: str
    where: str
    listeners: tuple[str, ...]
    addresses: int | None
    until: date | datetime | None
    ended: bool
    sends_as: tuple[str, ...]
    sends_to: tuple[str, ...]
    because: str


class Witness(Struct, frozen=True):
    """A session that would relay for a stranger.

    Attributes:
        client: Address to come from.
        listener: Where to.
        why: What makes it possible, in one sentence.
        where: The configuration line.
        session: What to type: ready for `posthouse simulate --client CLIENT`.
    """

    client: str
    listener: str
    why: str
    where: str
    session: tuple[str, ...]


class Proof(Struct, frozen=True):
    """What was shown.

    Attributes:
        closed: No stranger relays.
        questions: How many were put to the policy.
        classes: How many classes of addresses there are.
        passages: Every way to relay.
        passed_on: Domains whose mail anybody may bring and which is passed on, with their lines.
        witnesses: Sessions that would relay for strangers, the shortest first.
    """

    closed: bool
    questions: int
    classes: int
    passages: tuple[Passage, ...]
    passed_on: tuple[tuple[str, str], ...]
    witnesses: tuple[Witness, ...]


def prove(rules: Rules, at: datetime) -> Proof:
    """Show that no path leads from a stranger to a foreign domain, or how one does."""
    classes = address_classes(rules)
    questions = 0
    witnesses: list[Witness] = [*_everybody(rules, classes, at)]
    for request in _strangers(rules, classes, at):
        questions += 1
        if _would_relay(request, rules):
            why = "a client that came through no door may write to a foreign domain"
            witnesses.append(_witness(request, why, ""))
            break
    relayed = ((it.domain, it.where) for it in rules.local_domains.values() if it.relayed)
    return Proof(
        closed=not witnesses,
        questions=questions,
        classes=len(classes),
        passages=tuple(passages(rules, at)),
        passed_on=tuple(relayed),
        witnesses=tuple(sorted(witnesses, key=lambda it: len(it.session))),
    )


def passages(rules: Rules, at: datetime) -> Iterator[Passage]:
    """Yield every way to relay, ended ones too."""
    widths: dict[int, int] = {}
    for network, numbers in rules.networks.networks():
        for number in numbers:
            widths[number] = widths.get(number, 0) + network.num_addresses
    for number, door in enumerate(rules.doors):
        yield Passage(
            door.kind.value,
            door.name,
            door.where,
            tuple(sorted(door.listeners)),
            widths.get(number, 0) if door.kind is DoorKind.NETWORK else None,
            door.until,
            is_over(door, at),
            door.sends_as.texts() if door.sends_as else (),
            door.sends_to.texts() if door.sends_to else (),
            door.because,
        )


# ------------------------------------------------------------------ known by too little


def _everybody(rules: Rules, classes: tuple[AddressClass, ...], at: datetime) -> Iterator[Witness]:
    """Where the networks that may relay are so wide together that strangers are in them."""
    for version in (4, 6):
        wide = [it for it in classes if it.version == version and _relays(it, rules, at)]
        width = sum(it.width for it in wide)
        if width <= EVERYBODY[version]:
            continue
        widest = max(wide, key=lambda it: it.width)
        door = rules.doors[widest.doors[0]]
        request = _as_known(widest, door, rules, at)
        why = f"{width:,} IPv{version} addresses may relay by their networks: that is everybody"
        yield _witness(request, why, door.where)


def _relays(group: AddressClass, rules: Rules, at: datetime) -> bool:
    """Whether clients of this class relay, knowing them by nothing but their address.

    A door that is limited to our own domains relays nothing.
    """
    return any(
        _recipient_for(rules.doors[number]).domain not in rules.local_domains
        and _would_relay(_as_known(group, rules.doors[number], rules, at), rules)
        for number in group.doors
    )


def _as_known(group: AddressClass, door: Door, rules: Rules, at: datetime) -> Request:
    """The request of somebody at such an address who writes as the door wants it."""
    listener = min(door.listeners) if door.listeners else next(iter(rules.listeners), "mx")
    sender = _sender_for(door, rules)
    return Request(at, Client(group.example, listener), sender, _recipient_for(door))


def _sender_for(door: Door, rules: Rules) -> ReversePath:
    own = door.sends_as
    if own is not None and own.mailboxes:
        return ReversePath(min(own.mailboxes))
    if own is not None and own.domains:
        return ReversePath(Mailbox("anybody", min(own.domains)))
    if own is not None and own.parents:
        return ReversePath(Mailbox("anybody", f"any.{min(own.parents)}"))
    if own is not None and own.everything:
        return ReversePath(STRANGE)
    return (
        ReversePath(Mailbox("anybody", min(rules.local_domains))) if rules.local_domains else NULL
    )


def _recipient_for(door: Door) -> Mailbox:
    limit = door.sends_to
    if limit is None or limit.everything:
        return FOREIGN
    if limit.mailboxes:
        return min(limit.mailboxes)
    return Mailbox("someone", min(limit.domains | {f"any.{it}" for it in limit.parents}))


# ------------------------------------------------------------------ strangers


def _strangers(rules: Rules, classes: tuple[AddressClass, ...], at: datetime) -> Iterator[Request]:
    """Yield every kind of request in which no door stands open, to every kind of foreign domain."""
    recipients = tuple(_foreign_recipients(rules))
    senders = tuple(_senders(rules))
    for group, listener in product(classes, rules.listeners or ("mx",)):
        client = Client(group.example, listener)
        for state, sender in product(_near_misses(client, rules, at), senders):
            request = Request(at, state, sender)
            if recognise(request, rules).open:
                continue
            for recipient in recipients:
                yield replace(request, forward_path=recipient)


def _senders(rules: Rules) -> Iterator[ReversePath]:
    yield NULL
    yield ReversePath(STRANGE)
    yield ReversePath(FOREIGN)
    for domain in sorted(rules.local_domains)[:3]:
        yield ReversePath(Mailbox("ann", domain))
    for door in rules.doors[:NAMES_TRIED_MAX]:
        if door.sends_as is not None:
            yield _sender_for(door, rules)


def _foreign_recipients(rules: Rules) -> Iterator[Mailbox]:
    """Foreign domains of every kind: unrelated, below, above and beside ours."""
    yield FOREIGN
    candidates = {f"sub.{rules.hostname}", rules.hostname.partition(".")[2]}
    for domain in sorted(rules.local_domains)[:NAMES_TRIED_MAX]:
        candidates |= {f"sub.{domain}", f"not{domain}", f"{domain}.invalid"}
        candidates.add(domain.partition(".")[2])
    for door in rules.doors[:NAMES_TRIED_MAX]:
        if door.sends_to is not None:
            candidates.add(_recipient_for(door).domain)
    for domain in sorted(candidates - {""}):
        if domain not in rules.local_domains and domain != rules.hostname:
            yield Mailbox("someone", domain)


def _near_misses(client: Client, rules: Rules, at: datetime) -> Iterator[Client]:
    """Every way of being almost recognised: what must not be enough."""
    yield client
    yield replace(client, tls=True, hello=rules.hostname)
    ann = Account("ann@our.invalid", frozenset({Mailbox("ann", "our.invalid")}))
    owners = [ann]
    owners += [
        Account(f"ann@{domain}", frozenset({Mailbox("ann", domain)}))
        for domain in sorted(rules.local_domains)[:3]
    ]
    for door in rules.pop_window_doors:
        for owner, late in product(owners, (timedelta(), door.window, -timedelta(minutes=9))):
            just_over = at - late - timedelta(microseconds=1)
            yield replace(client, pop_sessions=(PopSession(owner, just_over),))
        yield replace(client, unreadable=frozenset({"pop-window"}))
    for door in rules.host_name_doors:
        gone = at - door.linger - timedelta(microseconds=1)
        named = tuple(WatchedName(host, gone) for host in sorted(door.hosts)[:3])
        yield replace(client, watched_names=named)
        yield replace(client, unreadable=door.hosts)
    for door in rules.signed_in_doors:
        if door.passwords is not Passwords.EITHER or door.listeners or door.until is not None:
            for submission in (False, True):
                yield replace(client, signed_in=SignIn(ann, submission_password=submission))


def _would_relay(request: Request, rules: Rules) -> bool:
    """Whether both MAIL and RCPT are accepted."""
    return (
        decide_mail(request, rules).verdict is Verdict.ACCEPT
        and decide_recipient(request, rules).verdict is Verdict.ACCEPT
    )


def _witness(request: Request, why: str, where: str) -> Witness:
    session = (
        "EHLO stranger.invalid",
        f"MAIL FROM:{request.reverse_path}",
        f"RCPT TO:<{request.forward_path}>",
        "DATA",
        f"From: <{_author(request)}>",
        "Subject: relayed for a stranger",
        "",
        ".",
        "QUIT",
    )
    return Witness(str(request.client.address), request.client.listener, why, where, session)


def _author(request: Request) -> Mailbox:
    """Return a From that fits the reverse-path: whoever is recognised must write as itself."""
    path = request.reverse_path
    return path.mailbox if path is not None and path.mailbox is not None else STRANGE
