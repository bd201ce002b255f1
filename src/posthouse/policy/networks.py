"""From an address to the networks that hold it; any number of networks, about a microsecond."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class NetworkError(ValueError):
    """Not a network; the message says what would be one."""


def fold(address: Address) -> Address:
    """Return the IPv4 address inside an IPv4-mapped IPv6 one (RFC 4291 §2.5.5.2); others as is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4096)
def address_text(address: Address) -> str:
    """Return the address as text; the library makes it anew at every call."""
    return str(address)


@lru_cache(maxsize=4096)
def _network_text(start: int, shift: int, *, v4: bool) -> str:
    return f"{IPv4Address(start)}/{32 - shift}" if v4 else f"{IPv6Address(start)}/{128 - shift}"


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks meant by an address, a CIDR network or a ``first-last`` range.

    IPv4-mapped IPv6 networks are folded to IPv4, because client addresses are.

    Raises:
        NetworkError: If it is none of these, host bits are set, or a range runs backwards.
    """
    text = text.strip()
    try:
        if "-" in text:
            first, _, last = text.partition("-")
            networks = _range(first.strip(), last.strip())
        else:
            networks = (_network(text),)
    except ValueError as problem:
        if isinstance(problem, NetworkError):
            raise
        raise NetworkError(
            f"{text!r} is no network: write 192.0.2.0/24, 192.0.2.7 or 192.0.2.7-192.0.2.20"
        ) from None
    return tuple(_fold_network(network) for network in networks)


def _range(first: str, last: str) -> tuple[Network, ...]:
    low, high = fold(ip_address(first)), fold(ip_address(last))
    if isinstance(low, IPv4Address) and isinstance(high, IPv4Address):
        if low > high:
            raise NetworkError(f"the range runs backwards: did you mean {last}-{first}?")
        return tuple(summarize_address_range(low, high))
    if isinstance(low, IPv6Address) and isinstance(high, IPv6Address):
        if low > high:
            raise NetworkError(f"the range runs backwards: did you mean {last}-{first}?")
        return tuple(summarize_address_range(low, high))
    raise NetworkError("a range stays in one family: IPv4-IPv4 or IPv6-IPv6")


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        wide = ip_network(text, strict=False)  # raises where it is no network at all
        raise NetworkError(
            f"{text} has host bits set: did you mean {wide} ({wide.num_addresses:,} addresses)"
            f" or only {text.partition('/')[0]}?"
        ) from None


def _fold_network(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        inner = network.network_address.ipv4_mapped
        if inner is not None:
            return IPv4Network((inner, network.prefixlen - 96))
    return network


class NetworkTable:
    """Networks, each with numbers (of doors); looked up by prefix length, longest first."""

    def __init__(self, entries: Iterable[tuple[Network, int]] = ()) -> None:
        tables: dict[int, dict[int, dict[int, tuple[int, ...]]]] = {4: {}, 6: {}}
        self.count = 0
        for network, number in entries:
            shift = network.max_prefixlen - network.prefixlen
            table = tables[network.version].setdefault(shift, {})
            key = int(network.network_address) >> shift
            numbers = table.get(key, ())
            if number not in numbers:
                table[key] = (*numbers, number)
                self.count += 1
        self._v4 = tuple(sorted(tables[4].items()))
        self._v6 = tuple(sorted(tables[6].items()))

    def find(self, address: Address) -> tuple[int, ...]:
        """Return the numbers of all networks that hold the (folded) address, narrowest first."""
        value = int(address)
        found: tuple[int, ...] = ()
        for shift, table in self._v4 if isinstance(address, IPv4Address) else self._v6:
            numbers = table.get(value >> shift)
            if numbers is not None:
                found += numbers
        return found

    def narrowest(self, address: Address) -> str:
        """Return the narrowest network that holds the address, as text for the trace; or ""."""
        value = int(address)
        v4 = isinstance(address, IPv4Address)
        for shift, table in self._v4 if v4 else self._v6:
            if value >> shift in table:
                return _network_text(value >> shift << shift, shift, v4=v4)
        return ""

    def networks(self) -> Iterator[tuple[Network, tuple[int, ...]]]:
        """Yield every network with its numbers, the narrow ones first."""
        for shift, table in self._v4:
            for key, numbers in table.items():
                yield IPv4Network((key << shift, 32 - shift)), numbers
        for shift, table in self._v6:
            for key, numbers in table.items():
                yield IPv6Network((key << shift, 128 - shift)), numbers
