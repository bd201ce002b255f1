"""Which hosts take mail for a domain (RFC 5321 §5.1)."""

import asyncio
import random
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from msgspec import Struct

from posthouse.dns.answers import (
    Address,
    Answer,
    MailExchanger,
    NoData,
    NoSuchName,
    TemporaryFailure,
)
from posthouse.dns.resolver import Resolver

HOSTS_MAX: Final = 20  # the best of a longer list; the others are never reached in practice


class Exchanger(Struct, frozen=True):
    """A host that takes the domain's mail.

    Attributes:
        host: Its name.
        preference: The lower is tried first.
        addresses: In the order to try them.
        secure: That it is this host, and its addresses, were checked by DNSSEC (RFC 7672 §2.2).
        canonical: What `host` is an alias of; "" if it is none.
    """

    host: str
    preference: int
    addresses: tuple[Address, ...]
    secure: bool = False
    canonical: str = ""


class Exchangers(Struct, frozen=True):
    """Hosts in the order to try them; at least one.

    Attributes:
        hosts: By preference, equal ones shuffled.
        implicit: The domain has no MX record and is its own host.
        authentic: All look-ups were said to be checked by DNSSEC.
    """

    hosts: tuple[Exchanger, ...]
    implicit: bool = False
    authentic: bool = False


class NullMx(Struct, frozen=True):
    """The domain says that it takes no mail (RFC 7505): never try again."""

    domain: str


class NoSuchDomain(Struct, frozen=True):
    """The domain does not exist: never try again."""

    domain: str


class NoExchanger(Struct, frozen=True):
    """The domain exists and nothing in it can take mail: never try again. `detail` says why."""

    domain: str
    detail: str


class LoopsBack(Struct, frozen=True):
    """The best host for the domain is ourselves, and we do not serve it: an error of its DNS."""

    domain: str
    host: str


class Temporary(Struct, frozen=True):
    """It could not be found out: try again later."""

    domain: str
    detail: str


Finding: TypeAlias = Exchangers | NullMx | NoSuchDomain | NoExchanger | LoopsBack | Temporary


class Ourselves(Struct, frozen=True):
    """By which we know ourselves in a list of exchangers."""

    names: frozenset[str] = frozenset()
    addresses: frozenset[Address] = frozenset()


async def find(
    resolver: Resolver,
    domain: str,
    *,
    shuffle: random.Random,
    ourselves: Ourselves = Ourselves(),  # noqa: B008 - frozen
    literals: bool = False,
) -> Finding:
    """Return the hosts that take mail for a domain, or why there are none.

    Args:
        resolver: Asks.
        domain: Lower-case A-labels, or an address literal in brackets.
        shuffle: Source of the order among hosts of equal preference.
        ourselves: Hosts at which the list is cut, with all that are not better (§5.1).
        literals: Address literals may be used; else they find nothing.
    """
    if domain.startswith("["):
        return _literal(domain, allowed=literals)
    match await resolver.mx(domain):
        case Answer(values=values, authentic=authentic):
            if len(values) == 1 and values[0].host in {"", "."}:
                return NullMx(domain)
            usable = [it for it in values if it.host not in {"", "."}]
            return await _addressed(
                resolver, domain, usable, shuffle, ourselves, authentic=authentic
            )
        case NoData():
            alone = [MailExchanger(0, domain)]
            # Where the addresses are checked, that there is no MX record was checked too.
            found = await _addressed(resolver, domain, alone, shuffle, ourselves, authentic=True)
            if isinstance(found, Exchangers):
                return Exchangers(found.hosts, implicit=True)
            return found
        case NoSuchName():
            return NoSuchDomain(domain)
        case TemporaryFailure(detail=detail):
            return Temporary(domain, detail)


async def _addressed(
    resolver: Resolver,
    domain: str,
    records: list[MailExchanger],
    shuffle: random.Random,
    ourselves: Ourselves,
    *,
    authentic: bool,
) -> Finding:
    """Cut the list at ourselves, look up the addresses, put it in order."""
    own = [it for it in records if it.host in ourselves.names]
    records = _better_than(records, own)
    if not records:
        return LoopsBack(domain, own[0].host)
    shuffle.shuffle(records)
    records = sorted(records, key=lambda it: it.preference)[:HOSTS_MAX]
    answers = await asyncio.gather(*(resolver.addresses(it.host) for it in records))
    found = {
        it: answer
        for it, answer in zip(records, answers, strict=True)
        if isinstance(answer, Answer)
    }
    own = [it for it, answer in found.items() if ourselves.addresses & set(answer.values)]
    kept = _better_than(list(found), own)
    if kept:
        return Exchangers(
            tuple(_exchanger(it, found[it], authentic=authentic) for it in kept),
            authentic=authentic and all(found[it].authentic for it in kept),
        )
    failures = [answer for answer in answers if isinstance(answer, TemporaryFailure)]
    if failures:
        return Temporary(domain, failures[0].detail)
    if own:
        return LoopsBack(domain, own[0].host)
    return NoExchanger(domain, _no_address(domain, records))


def _exchanger(record: MailExchanger, found: Answer[Address], *, authentic: bool) -> Exchanger:
    return Exchanger(
        record.host,
        record.preference,
        found.values,
        secure=authentic and found.authentic,
        canonical=found.name if found.name != record.host else "",
    )


def _better_than(records: list[MailExchanger], own: list[MailExchanger]) -> list[MailExchanger]:
    limit = min((it.preference for it in own), default=None)
    return [it for it in records if limit is None or it.preference < limit]


def _no_address(domain: str, records: list[MailExchanger]) -> str:
    names = ", ".join(it.host for it in records)
    if names == domain:
        return f"{domain} has neither a mail exchanger nor an address"
    return f"the mail exchangers of {domain} ({names}) have no address"


def _literal(domain: str, *, allowed: bool) -> Finding:
    """The host that an address literal names (RFC 5321 §4.1.3)."""
    if not allowed:
        return NoExchanger(domain, "mail to addresses in brackets is not delivered here")
    text = domain[1:-1]
    try:
        address: Address = (
            IPv6Address(text[5:]) if text[:5].lower() == "ipv6:" else IPv4Address(text)
        )
    except ValueError:
        return NoExchanger(domain, f"{domain} is not an address")
    return Exchangers((Exchanger(domain, 0, (address,)),), implicit=True)
