"""Grants made while the server runs (`posthouse network add`), as doors for the policy."""

from collections.abc import Iterable

from posthouse.accounts.store import Grant
from posthouse.policy.rules import Door, DoorKind


def doors_of(grants: Iterable[Grant]) -> tuple[Door, ...]:
    """Return a network door for each grant, those lately ended too: decisions can say so."""
    return tuple(
        Door(
            kind=DoorKind.NETWORK,
            name=grant.name or f"grant {grant.id}",
            where=f"grant {grant.id}",
            until=grant.until,
            because=grant.because,
            networks=grant.networks,
        )
        for grant in grants
    )
