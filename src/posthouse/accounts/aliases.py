"""Where an address leads, and which addresses lead to an account: one graph, read both ways.

From an address mail goes, in this order: along its alias; to its account; to the same address
without a plus tag; to the domain's catch-all. A target that is none of these is a forward. An alias
that comes round to itself adds nothing, but one whose targets name its own address keeps a copy in
the account there.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from posthouse.accounts.store import Resolution
from posthouse.mail.address import Mailbox


class Directory(Protocol):
    """The addresses of a store; it is asked for folded ones, and gives targets as written."""

    def is_account(self, mailbox: Mailbox) -> bool:
        """Whether an account has this primary address."""
        ...

    def targets(self, mailbox: Mailbox) -> tuple[Mailbox, ...]:
        """Return the targets of the alias at this address; empty if there is none."""
        ...

    def sources(self, mailbox: Mailbox) -> Iterable[tuple[Mailbox, Mailbox]]:
        """Return (alias, target) where the target is `mailbox`, with or without a plus tag."""
        ...

    def sources_in(self, domain: str) -> Iterable[tuple[Mailbox, Mailbox]]:
        """Return (alias, target) for every target in a domain."""
        ...


def expand(
    start: Mailbox, directory: Directory, catch_all: Mapping[str, Mailbox], *, plus_tags: bool
) -> Resolution:
    """Return where mail for the address goes; each place once, loops ended."""
    accounts: set[str] = set()
    forwards: set[Mailbox] = set()
    seen: set[Mailbox] = set()
    waiting = [start]
    while waiting:
        wanted = waiting.pop()
        place = locate(wanted.folded, directory, catch_all, plus_tags=plus_tags)
        if place is None:
            if wanted.domain in catch_all:
                forwards.add(catch_all[wanted.domain])
            elif wanted is not start:
                forwards.add(wanted)
            continue
        if place in seen:
            continue
        seen.add(place)
        targets = directory.targets(place)
        if directory.is_account(place) and (not targets or _names(targets, place)):
            accounts.add(str(place))
        waiting.extend(target for target in targets if target.folded != place)
    return Resolution(tuple(sorted(accounts)), tuple(sorted(forwards)))


def _names(targets: tuple[Mailbox, ...], place: Mailbox) -> bool:
    return any(target.folded == place for target in targets)


def locate(
    wanted: Mailbox, directory: Directory, catch_all: Mapping[str, Mailbox], *, plus_tags: bool
) -> Mailbox | None:
    """Return the alias or account that takes mail for folded `wanted`; None if none does."""
    candidates = [wanted]
    if plus_tags:
        candidates.append(wanted.without_tag())
    if wanted.domain in catch_all:
        everything = catch_all[wanted.domain].folded
        candidates += [everything, everything.without_tag()]
    for candidate in candidates:
        if directory.targets(candidate) or directory.is_account(candidate):
            return candidate
    return None


def leading_to(
    account: Mailbox, directory: Directory, catch_all: Mapping[str, Mailbox]
) -> frozenset[Mailbox]:
    """Return every alias and group that leads to the account, and its own address."""
    own = directory.targets(account)
    if own and not _names(own, account):
        return frozenset({account})  # its mail is redirected: nothing leads here
    found = {account}
    waiting = [account]
    while waiting:
        place = waiting.pop()
        edges = list(directory.sources(place))
        for domain, mailbox in catch_all.items():
            if place in (mailbox.folded, mailbox.folded.without_tag()):
                edges += directory.sources_in(domain)
        for alias, target in edges:
            if alias not in found and (
                locate(target.folded, directory, catch_all, plus_tags=True) == place
            ):
                found.add(alias)
                waiting.append(alias)
    return frozenset(found)


def catch_all_domains(
    account: Mailbox, directory: Directory, catch_all: Mapping[str, Mailbox]
) -> frozenset[str]:
    """Return the domains whose unknown addresses reach the account."""
    return frozenset(
        domain
        for domain, mailbox in catch_all.items()
        if str(account) in expand(mailbox.folded, directory, {}, plus_tags=True).accounts
    )
