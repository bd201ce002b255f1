"""The fast answer is the obvious answer."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.policy.networks import (
    Address,
    Network,
    NetworkError,
    NetworkTable,
    fold,
    parse_networks,
)

addresses = st.ip_addresses().map(fold)
networks = st.builds(
    lambda address, cut: ip_network((address, address.max_prefixlen - cut), strict=False),
    addresses,
    st.integers(0, 12),
)


@given(st.lists(networks, max_size=8), st.data())
def test_the_fast_answer_is_the_obvious_answer(nets: list[Network], data: st.DataObject) -> None:
    inside = st.sampled_from(nets).map(lambda net: net[-1]) if nets else st.nothing()
    address: Address = data.draw(addresses | inside)
    holding = [number for number, net in enumerate(nets) if address in net]
    table = NetworkTable((net, number) for number, net in enumerate(nets))
    found = table.find(address)
    assert sorted(found) == holding
    narrowest = max((nets[number] for number in holding), key=lambda n: n.prefixlen, default=None)
    assert table.narrowest(address) == (str(narrowest) if narrowest else "")
    assert {net for net, _ in table.networks()} == set(nets)


@given(st.integers(0, 2**32 - 1), st.integers(0, 5000))
def test_a_range_holds_its_ends_and_not_its_neighbours(first: int, length: int) -> None:
    last = min(first + length, 2**32 - 1)
    nets = parse_networks(f"{IPv4Address(first)}-{IPv4Address(last)}")
    assert sum(net.num_addresses for net in nets) == last - first + 1
    assert nets[0][0] == IPv4Address(first)
    assert nets[-1][-1] == IPv4Address(last)


def test_mapped_addresses_and_networks_are_ipv4() -> None:
    assert fold(ip_address("::ffff:192.0.2.1")) == ip_address("192.0.2.1")
    assert parse_networks("::ffff:192.0.2.0/120") == (ip_network("192.0.2.0/24"),)
    assert parse_networks("::ffff:192.0.2.1-::ffff:192.0.2.2") == parse_networks(
        "192.0.2.1-192.0.2.2"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("192.0.2.1/24", "did you mean 192.0.2.0/24 (256 addresses)"),
        ("192.0.2.9-192.0.2.1", "runs backwards"),
        ("2001:db8::9-2001:db8::1", "runs backwards"),
        ("192.0.2.1-2001:db8::1", "one family"),
        ("everybody", "is no network"),
        ("", "is no network"),
        ("192.0.2.0/33", "is no network"),
    ],
)
def test_what_is_no_network_says_what_would_be_one(text: str, says: str) -> None:
    with pytest.raises(NetworkError) as problem:
        parse_networks(text)
    assert says in str(problem.value)
