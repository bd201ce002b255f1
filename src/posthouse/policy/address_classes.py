"""The finite classes of client addresses that the rules can tell apart.

The policy sees an address only through the network doors that hold it. So all addresses held by
the same doors are one class, and one of them speaks for all.
"""

from collections.abc import Hashable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from posthouse.policy.networks import Address, NetworkTable
from posthouse.policy.rules import AddressSet, Door, Rules

SPACE: Final = {4: 1 << 32, 6: 1 << 128}
# Ranges nobody reaches from outside: private, loopback, link-local, carrier NAT (RFC 6890).
_INTERNAL_V4: Final = ((0, 1 << 24), (10 << 24, 11 << 24), (127 << 24, 128 << 24))
_MULTICAST_V4: Final = 224 << 24

Signature = tuple[frozenset[str], object, AddressSet | None, AddressSet | None]


class AddressClass(Struct, frozen=True):
    """Addresses that the same kinds of doors hold.

    Attributes:
        version: 4 or 6.
        doors: Numbers of doors that stand for all of this class; empty: in no network.
        example: One address of the class, a public one where there is one.
        width: How many addresses.
    """

    version: int
    doors: tuple[int, ...]
    example: Address
    width: int


def address_classes(rules: Rules) -> tuple[AddressClass, ...]:
    """Return all classes, those in no network first. 100,000 networks take about a second.

    Doors that differ only in name and networks behave alike and are one kind.
    """
    return _classes(rules, [_signature(door) for door in rules.doors])


def address_classes_of_both(old: Rules, new: Rules) -> tuple[AddressClass, ...]:
    """Return the classes that either of two sets of rules can tell apart.

    Numbers of doors are those of `old`, then of `new`.
    """
    count = len(old.doors)
    entries = [
        *((network, it) for network, them in old.networks.networks() for it in them),
        *((network, it + count) for network, them in new.networks.networks() for it in them),
    ]
    both = replace(old, doors=old.doors + new.doors, networks=NetworkTable(entries))
    sides = [("old", _signature(door)) for door in old.doors]
    return _classes(both, [*sides, *(("new", _signature(door)) for door in new.doors)])


def _classes(rules: Rules, signatures: Sequence[Hashable]) -> tuple[AddressClass, ...]:
    merged: dict[tuple[int, frozenset[Hashable]], AddressClass] = {}
    for version in (4, 6):
        for start, end, doors in _intervals(rules, version):
            key = (version, frozenset(signatures[number] for number in doors))
            known = merged.get(key)
            example = _example(start, end, version)
            width = end - start
            if known is None:
                merged[key] = AddressClass(version, tuple(sorted(doors)), example, width)
            else:
                better = example if not _is_public(known.example) else known.example
                merged[key] = AddressClass(version, known.doors, better, known.width + width)
    return tuple(sorted(merged.values(), key=lambda it: (bool(it.doors), it.version, -it.width)))


def _signature(door: Door) -> Signature:
    return (door.listeners, door.until, door.sends_as, door.sends_to)


def _intervals(rules: Rules, version: int) -> Iterator[tuple[int, int, frozenset[int]]]:
    """Yield (first, behind the last, doors that hold it) for the whole space, gaps included."""
    opens: dict[int, list[int]] = {}
    closes: dict[int, list[int]] = {}
    for network, numbers in rules.networks.networks():
        if network.version == version:
            start = int(network.network_address)
            opens.setdefault(start, []).extend(numbers)
            closes.setdefault(start + network.num_addresses, []).extend(numbers)
    active: dict[int, int] = {}
    at = 0
    for edge in sorted({*opens, *closes, SPACE[version]}):
        if edge > at:
            yield at, edge, frozenset(active)
            at = edge
        for number in closes.get(edge, ()):
            active[number] -= 1
            if not active[number]:
                del active[number]
        for number in opens.get(edge, ()):
            active[number] = active.get(number, 0) + 1


def _example(start: int, end: int, version: int) -> Address:
    """An address inside, preferably one that a stranger on the Internet may have."""
    if version == 6:
        wish = int(IPv6Address("2001:db8::1"))
        return IPv6Address(wish if start <= wish < end else (start + end) // 2)
    for wish_v4 in ("203.0.113.9", "198.51.100.9", "192.0.2.9"):
        if start <= int(IPv4Address(wish_v4)) < end:
            return IPv4Address(wish_v4)
    middle = (start + end) // 2
    return IPv4Address(middle if middle < end else start)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        return not address.is_private
    value = int(address)
    return value < _MULTICAST_V4 and not any(low <= value < high for low, high in _INTERNAL_V4)
