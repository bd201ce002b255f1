"""Which networks an administrator may list while the server runs."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from posthouse.accounts.store import GrantError
from posthouse.policy.networks import Network, NetworkError, parse_networks

WIDEST: Final = {4: 16, 6: 32}  # shorter prefixes than these need a `because`


def checked(networks: str, because: str) -> tuple[str, ...]:
    """Return the networks of a comma-separated list, each as written.

    Raises:
        GrantError: If one is no network, all are everything, or one is wide and unexplained.
    """
    texts = tuple(text for part in networks.split(",") if (text := part.strip()))
    if not texts:
        raise GrantError("name a network: 192.0.2.7, 192.0.2.0/24 or 192.0.2.7-192.0.2.20")
    for text in texts:
        try:
            parsed = parse_networks(text)
        except NetworkError as problem:
            raise GrantError(str(problem)) from None
        for network in parsed:
            _check_width(network, text, because)
    return texts


def check_together(listed: Iterable[str], new: Iterable[str]) -> None:
    """Refuse networks that, together with those listed already, are everybody.

    Raises:
        GrantError: If more than a /8 (IPv6: a /16) of addresses would relay by grants.
    """
    networks = [net for text in (*listed, *new) for net in parse_networks(text)]
    v4 = collapse_addresses(net for net in networks if isinstance(net, IPv4Network))
    v6 = collapse_addresses(net for net in networks if isinstance(net, IPv6Network))
    for total, limit, size in (
        (sum(net.num_addresses for net in v4), 1 << 24, "more than a /8 of IPv4"),
        (sum(net.num_addresses for net in v6), 1 << 112, "more than a /16 of IPv6"),
    ):
        if total > limit:
            raise GrantError(
                f"with the grants there are, {size} would relay: that is everybody; list only your"
                " own networks (`posthouse network list` shows what is open)"
            )


def _check_width(network: Network, text: str, because: str) -> None:
    if network.prefixlen <= 1:
        raise GrantError(f"{text} is half the Internet or more: nobody may relay from everywhere")
    widest = WIDEST[network.version]
    if network.prefixlen < widest and not because.strip():
        raise GrantError(
            f"{text} is wider than /{widest}: say why (because), or list a narrower network"
        )
