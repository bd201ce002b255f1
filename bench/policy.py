"""How long one decision takes, with few and with many networks, beside a linear table.

The peer is how a flat list of restrictions works: networks are tried from the top. Run with
``python -m bench.policy``; the figures are medians of several rounds, taken in turns.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address, ip_network

from posthouse.config.compile import compile_rules
from posthouse.config.load import load
from posthouse.mail.address import Mailbox, ReversePath
from posthouse.policy.facts import Account, Client, Request, SignIn
from posthouse.policy.networks import Network
from posthouse.policy.relaying import decide_recipient
from posthouse.policy.rules import Rules

ROUNDS, CALLS = 9, 5_000
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN = Account("ann@example.com", frozenset({Mailbox("ann", "example.com")}))
SENDER = ReversePath(Mailbox("ann", "example.com"))


def configuration(networks: int, domains: int) -> str:
    """Return a file with so many networks (/24) and domains."""
    listed = ", ".join(f'"{IPv4Address((16 << 24) + (n << 8))}/24"' for n in range(networks))
    named = "\n".join(f'[domains."d{n}.example"]' for n in range(domains))
    return (
        'hostname = "mail.example.com"\n[domains."example.com"]\n'
        f'{named}\n[[may_relay]]\nwho = "signed-in"\n'
        f'[[may_relay]]\nwho = "network"\nbecause = "measured"\nnetworks = [{listed}]\n'
    )


def requests() -> dict[str, Request]:
    """Return one request of each kind that a relay sees all day."""
    stranger = Client(IPv4Address("203.0.113.9"), "mx")
    inside = Client(IPv4Address("16.0.3.7"), "mx")
    signed_in = Client(IPv4Address("203.0.113.9"), "submission", signed_in=SignIn(ANN))
    foreign, local = Mailbox("bob", "adatum.example"), Mailbox("terri", "example.com")
    return {
        "stranger, foreign": Request(NOON, stranger, SENDER, foreign),
        "stranger, local": Request(NOON, stranger, SENDER, local),
        "network, foreign": Request(NOON, inside, SENDER, foreign),
        "signed in, foreign": Request(NOON, signed_in, SENDER, foreign),
    }


def microseconds(function: Callable[[], object], calls: int) -> float:
    """Return the time of one call, in microseconds."""
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - started) / calls * 1e6


def linear(networks: list[Network], domains: list[str], request: Request) -> bool:
    """Decide as a flat list does: look at the domains, then at each network from the top."""
    assert request.forward_path is not None
    if request.forward_path.domain in domains:
        return True
    return any(request.client.address in network for network in networks)


def measure(networks: int, domains: int) -> None:
    """Print the figures for one size."""
    text = configuration(networks, domains)
    loaded = load(text)
    started = time.perf_counter()
    rules: Rules = compile_rules(loaded.configuration, loaded.spans)
    compiled = time.perf_counter() - started
    print(f"{networks:,} networks, {domains:,} domains: compiled in {compiled:.2f} s")
    table = [ip_network(f"{IPv4Address((16 << 24) + (n << 8))}/24") for n in range(networks)]
    names = ["example.com", *(f"d{n}.example" for n in range(domains))]
    peer_calls = max(3, 20_000 // max(networks + domains, 1))
    for name, request in requests().items():
        ours, peers = [], []
        decide, look = (
            partial(decide_recipient, request, rules),
            partial(linear, table, names, request),
        )
        for _ in range(ROUNDS):
            ours.append(microseconds(decide, CALLS))
            peers.append(microseconds(look, peer_calls))
        us, peer = statistics.median(ours), statistics.median(peers)
        print(f"  {name:<20} {us:6.2f} us   linear table {peer:12.2f} us   ratio {peer / us:,.1f}")


if __name__ == "__main__":
    for size in ((10, 10), (100_000, 100_000)):
        measure(*size)
