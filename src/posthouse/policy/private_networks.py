"""Networks that mean something else in each place, and those where a gateway hides everybody."""

from ipaddress import ip_network
from typing import Final

from posthouse.policy.networks import Address, Network

Reach = tuple[int, int, int]  # version, first and last address


def reach_of(network: Network) -> Reach:
    """Return what a network reaches, as numbers: quick to compare by the hundred thousand."""
    first = int(network.network_address)
    return network.version, first, first + (1 << network.max_prefixlen - network.prefixlen) - 1


_LOOPBACK: Final = tuple(reach_of(ip_network(each)) for each in ("127.0.0.0/8", "::1/128"))
_PRIVATE: Final = _LOOPBACK + tuple(
    reach_of(ip_network(each))
    for each in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # RFC 1918
        "100.64.0.0/10",  # RFC 6598: behind the NAT of a provider
        "169.254.0.0/16", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
_GATEWAYS: Final = {
    "Docker": reach_of(ip_network("172.17.0.0/16")),
    "Docker Desktop": reach_of(ip_network("192.168.65.0/24")),
    "Podman": reach_of(ip_network("10.88.0.0/16")),
    "rootless containers": reach_of(ip_network("10.0.2.0/24")),
}


def is_loopback(network: Network) -> bool:
    """Whether it is this machine."""
    return _inside(reach_of(network), _LOOPBACK)


def is_private(network: Network) -> bool:
    """Whether it is used by many, each for themselves (RFC 1918, RFC 6598, RFC 4193)."""
    return _inside(reach_of(network), _PRIVATE)


def is_private_address(address: Address) -> bool:
    """Whether the address is in a private network."""
    return is_private(ip_network(address))


def gateway_of(network: Network) -> str:
    """Return whose containers usually reach the world by it, or ""."""
    reach = reach_of(network)
    return next((maker for maker, each in _GATEWAYS.items() if _inside(reach, (each,))), "")


def _inside(reach: Reach, others: tuple[Reach, ...]) -> bool:
    version, first, last = reach
    return any(version == v and begin <= first and last <= end for v, begin, end in others)
