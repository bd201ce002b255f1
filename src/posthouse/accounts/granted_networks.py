"""Which networks an administrator may list while the server runs."""

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


def _check_width(network: Network, text: str, because: str) -> None:
    if network.prefixlen <= 1:
        raise GrantError(f"{text} is half the Internet or more: nobody may relay from everywhere")
    widest = WIDEST[network.version]
    if network.prefixlen < widest and not because.strip():
        raise GrantError(
            f"{text} is wider than /{widest}: say why (because), or list a narrower network"
        )
