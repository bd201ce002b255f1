"""Whose address is it? Aliases, plus tags, catch-all and groups count as one's own."""

from posthouse.mail.address import Mailbox
from posthouse.policy.facts import Account
from posthouse.policy.rules import Door, Identity, Ownership, Rules

ALLOWED_MAX = 50  # addresses listed in a refusal; more help nobody


def owns(account: Account, mailbox: Mailbox, *, plus_tags: bool, taken: frozenset[Mailbox]) -> bool:
    """Whether mail to the address reaches the account.

    Args:
        account: With the addresses that lead to it.
        mailbox: The address in question.
        plus_tags: ``ann+shop`` belongs to ``ann``.
        taken: Addresses that are somebody else's, so that a catch-all does not own them.
    """
    folded = mailbox.folded
    if folded in account.addresses:
        return True
    if plus_tags and "+" in folded.local_part and folded.without_tag() in account.addresses:
        return True
    return mailbox.domain in account.catch_all_domains and folded not in taken


def account_may_use(
    account: Account,
    mailbox: Mailbox,
    ownership: Ownership,
    identity: Identity,
    taken: frozenset[Mailbox],
) -> bool:
    """Whether the identity rule lets the account write as the address."""
    if ownership is Ownership.ANYTHING:
        return True
    if owns(account, mailbox, plus_tags=identity.plus_tags, taken=taken):
        return True
    if ownership is Ownership.OWN_DOMAINS:
        return mailbox.domain in domains_of(account)
    return False


def place_may_use(door: Door, mailbox: Mailbox, ownership: Ownership, rules: Rules) -> bool:
    """Whether a client known by its network or host name may write as the address.

    Its own addresses are `sends_as`; where that is absent, every address in the local domains.
    """
    if ownership is Ownership.ANYTHING:
        return True
    own = door.sends_as
    if own is None:
        return mailbox.domain in rules.local_domains
    if own.holds(mailbox) or (rules.identity.plus_tags and own.holds(mailbox.without_tag())):
        return True
    return ownership is Ownership.OWN_DOMAINS and own.holds_domain_of(mailbox)


def domains_of(account: Account) -> frozenset[str]:
    """Return the domains in which the account has an address."""
    return frozenset(address.domain for address in account.addresses) | account.catch_all_domains


def texts_for_account(account: Account, ownership: Ownership) -> tuple[str, ...]:
    """Return what the account may use, its sign-in name first, as a refusal lists it."""
    if ownership is Ownership.ANYTHING:
        return ("any address",)
    if ownership is Ownership.OWN_DOMAINS:
        return tuple(sorted(f"@{domain}" for domain in domains_of(account)))
    others = sorted(text for text in map(str, account.addresses) if text != account.name)
    catch_all = sorted(f"@{domain}" for domain in account.catch_all_domains)
    return (account.name, *others[:ALLOWED_MAX], *catch_all)


def texts_for_place(door: Door, ownership: Ownership, rules: Rules) -> tuple[str, ...]:
    """Return what a client known by its network or host name may use."""
    if ownership is Ownership.ANYTHING:
        return ("any address",)
    if door.sends_as is None:
        return tuple(f"@{domain}" for domain in sorted(rules.local_domains)[:ALLOWED_MAX])
    return door.sends_as.texts()[:ALLOWED_MAX]
