"""How many strangers the network doors let in, and whether a gateway hides them."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from posthouse.config.catalogue import finding
from posthouse.config.check_doors import has_ended
from posthouse.config.diagnostic import Diagnostic
from posthouse.config.listening import serves_private_only, takes_mail
from posthouse.config.schema import Configuration, Door, Network, NetworkText
from posthouse.config.spans import Path, Spans
from posthouse.policy import networks as policy_networks
from posthouse.policy.private_networks import (
    Reach,
    gateway_of,
    is_loopback,
    is_private,
    reach_of,
)

WIDE_IPV4: Final = 2**16  # addresses of a /16
WIDE_IPV6: Final = 2**96  # addresses of a /32
# Half of all addresses that the Internet uses: not a network any more.
EVERYTHING_IPV4: Final = 2**31
EVERYTHING_IPV6: Final = 2**124
# All listed networks together: more than these, known by nothing but their network, are everybody.
EVERYBODY: Final = {4: 2**24, 6: 2**112}
_IPV4: Final = reach_of(IPv4Network("0.0.0.0/0"))
_GLOBAL_IPV6: Final = reach_of(IPv6Network("2000::/3"))  # RFC 4291 §2.5.4, as IANA allocates it


class Entry(NamedTuple):
    """One network as written, with its door and place."""

    door: Network
    number: int
    path: Path
    written: NetworkText


def check_width(configuration: Configuration, spans: Spans, now: datetime) -> Iterator[Diagnostic]:
    """Yield what is too wide, or wider than it looks. Doors that have ended are left out."""
    entries = [
        Entry(door, number, ("may_relay", number, "networks", position), written)
        for number, door in enumerate(configuration.may_relay)
        if isinstance(door, Network) and not has_ended(door, now)
        for position, written in enumerate(door.networks)
    ]
    yield from _everything(entries, spans)
    for entry in entries:
        if not entry.door.because:
            yield from _wide(entry, spans)
    yield from _gateways(configuration, entries, spans)
    yield from _narrowed_in_vain(entries, spans)


def addresses(networks: Iterable[policy_networks.Network]) -> int:
    """Return how many addresses the networks have; they do not overlap."""
    return sum(1 << network.max_prefixlen - network.prefixlen for network in networks)


def _everything(entries: list[Entry], spans: Spans) -> Iterator[Diagnostic]:
    reaches = [reach_of(network) for entry in entries for network in entry.written.networks]
    for version, used, limit in ((4, _IPV4, EVERYTHING_IPV4), (6, _GLOBAL_IPV6, EVERYTHING_IPV6)):
        covered = _covered(reaches, used)
        if EVERYBODY[version] < covered < limit:
            size = f"{covered:,}" if version == 4 else f"2^{covered.bit_length() - 1}"
            message = f"together the networks let {size} IPv{version} addresses relay"
            words = "`posthouse prove` calls that open: list only your own networks"
            yield finding("wide-together", message, spans.key(entries[0].path[:2]), words)
        if covered >= limit:
            widest = max(
                (entry for entry in entries if entry.written.networks[0].version == version),
                key=lambda entry: addresses(entry.written.networks),
            )
            message = f"these networks let half of all IPv{version} addresses relay, or more"
            words = "an open relay is blocked within hours: list only your own networks"
            yield finding("covers-everything", message, spans.value(widest.path), words)


def _covered(reaches: Iterable[Reach], used: Reach) -> int:
    """How many of the `used` addresses are in one of the networks at least."""
    version, begin, end = used
    total, reached = 0, begin - 1
    for _, first, last in sorted(each for each in reaches if each[0] == version):
        last_used = min(last, end)
        total += max(0, last_used - max(first - 1, reached))
        reached = max(reached, last_used)
    return total


def _wide(entry: Entry, spans: Spans) -> Iterator[Diagnostic]:
    networks = entry.written.networks
    count = addresses(networks)
    limit, prefix = (WIDE_IPV4, "/16") if networks[0].version == 4 else (WIDE_IPV6, "/32")
    if count > limit and not all(is_loopback(network) for network in networks):
        size = f"{count:,}" if networks[0].version == 4 else f"2^{count.bit_length() - 1}"
        message = f"{entry.written} lets {size} addresses relay"
        words = f"wider than {prefix}: narrow it, or say why in because = ..."
        yield finding("wide", message, spans.value(entry.path), words)


def _gateways(
    configuration: Configuration, entries: list[Entry], spans: Spans
) -> Iterator[Diagnostic]:
    """A private address that reaches a public listener may stand for everybody behind it."""
    suspects: dict[int, list[Entry]] = {}
    for entry in entries:
        unexplained = not entry.door.because and _comes_to_public(configuration, entry.door)
        if unexplained and any(is_private(network) for network in entry.written.networks):
            suspects.setdefault(entry.number, []).append(entry)
    for of_one_door in suspects.values():
        known = [entry for entry in of_one_door if _maker(entry)]
        entry = (known or of_one_door)[0]
        gateway = f"the gateway of {_maker(entry)}" if known else "a gateway or proxy"
        more = f" (and {len(of_one_door) - 1:,} more)" if len(of_one_door) > 1 else ""
        message = f"{entry.written}{more} may be the address of {gateway}, for everybody behind it"
        words = (
            "let a listener on a private address serve them (listeners = ...),\n"
            "or say in because = ... how clients reach this server"
        )
        yield finding("gateway", message, spans.value(entry.path), words)


def _comes_to_public(configuration: Configuration, door: Network) -> bool:
    """Whether the door is valid where others than private networks reach us, too."""
    return not all(
        serves_private_only(listener)
        for name, listener in configuration.listen.items()
        if takes_mail(listener) and (door.listeners is None or name in door.listeners)
    )


def _maker(entry: Entry) -> str:
    return next(filter(None, map(gateway_of, entry.written.networks)), "")


def _narrowed_in_vain(entries: list[Entry], spans: Spans) -> Iterator[Diagnostic]:
    """Any open door is enough, so a limit holds only if no wider door lacks it."""
    owners: dict[tuple[int, int, int], list[Entry]] = {}
    lengths: dict[int, set[int]] = {4: set(), 6: set()}
    for entry in entries:
        for network in entry.written.networks:
            owners.setdefault(_key(network, network.prefixlen), []).append(entry)
            lengths[network.version].add(network.prefixlen)
    told: set[int] = set()
    for entry in entries:
        limits = [key for key in ("sends_to", "sends_as") if getattr(entry.door, key) is not None]
        if not limits or entry.number in told:
            continue
        network = entry.written.networks[0]
        covering = [
            other
            for length in lengths[network.version]
            if length <= network.prefixlen
            for other in owners.get(_key(network, length), ())
        ]
        for key in limits:
            if other := next((each for each in covering if _lacks(each, entry, key)), None):
                told.add(entry.number)
                where = f"line {spans.line(('may_relay', other.number))}"
                message = f"{key} does not hold: {other.written} in {where} covers {entry.written}"
                words = f"any open door is enough: give that one {key} too, or take the network out"
                yield finding("narrowed-in-vain", message, spans.key((*entry.path[:2], key)), words)


def _key(network: policy_networks.Network, length: int) -> tuple[int, int, int]:
    shift = network.max_prefixlen - length
    return network.version, length, int(network.network_address) >> shift


def _lacks(other: Entry, entry: Entry, key: str) -> bool:
    shared = _share_listener(other.door, entry.door)
    return other.number != entry.number and shared and getattr(other.door, key) is None


def _share_listener(one: Door, other: Door) -> bool:
    if one.listeners is None or other.listeners is None:
        return True
    return bool(set(one.listeners) & set(other.listeners))
