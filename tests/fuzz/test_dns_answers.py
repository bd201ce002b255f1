"""What a name server may send back: our resolver gives a value, never an exception."""

import asyncio
import random
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rrset
from hypothesis import strategies as st

from posthouse.dns.answers import Answer
from posthouse.dns.exchangers import find
from posthouse.dns.resolver import RECORDS_MAX, Resolver
from posthouse.dns.servers import ServerAddress, Servers
from tests.fuzz.fuzzing import damaged, fuzz

NAMES = ("a.example", "mx.a.example", "b.example", ".", "\\000\\255.example", "x" * 63 + ".example")
RECORDS = st.sampled_from(
    [
        ("MX", "10 mx.a.example."), ("MX", "0 ."), ("MX", "5 a.example."), ("A", "192.0.2.1"),
        ("A", "0.0.0.0"), ("AAAA", "2001:db8::1"), ("AAAA", "::ffff:192.0.2.1"),
        ("TXT", '"v=spf1"'),
        ("CNAME", "b.example."), ("CNAME", "a.example."), ("CNAME", "."),
        ("SRV", "0 0 25 a.example."),
        ("TLSA", "3 0 0 00"), ("PTR", "a.example."), ("SOA", ". . 1 1 1 1 4294967295"),
        ("NS", "ns.example."),
    ]
)  # fmt: skip
RRSETS = st.lists(st.tuples(st.sampled_from(NAMES), RECORDS, st.integers(0, 2**31 - 1)), max_size=5)


def message(
    answer: list[tuple[str, tuple[str, str], int]],
    authority: list[tuple[str, tuple[str, str], int]],
    rcode: int,
) -> bytes:
    query = dns.message.make_query("a.example.", "MX")
    reply = dns.message.make_response(query, recursion_available=True)
    reply.set_rcode(dns.rcode.from_flags(rcode, 0))
    for section, found in ((reply.answer, answer), (reply.authority, authority)):
        for name, (rdtype, value), ttl in found:
            text = name if name.endswith(".") else name + "."
            section.append(dns.rrset.from_text(text, ttl, "IN", rdtype, value))
    return reply.to_wire()


WIRES = st.builds(message, RRSETS, RRSETS, st.sampled_from([0, 0, 0, 2, 3, 5]))
DAMAGED = WIRES.flatmap(damaged)


class Told(Servers):
    """Servers whose answers are these octets, read as dnspython reads them from a socket."""

    def __init__(self, wires: list[bytes]) -> None:
        super().__init__([ServerAddress("192.0.2.53")], 1.0)
        self._wires = wires

    async def _exchange(
        self, server: ServerAddress, query: dns.message.Message
    ) -> dns.message.Message:
        wire = self._wires.pop(0) if self._wires else b""
        return dns.message.from_wire(wire, raise_on_truncation=False)


async def looked_up(wires: list[bytes]) -> None:
    resolver = Resolver([ServerAddress("192.0.2.53")])
    resolver._servers = Told(wires)
    for found in (
        await resolver.mx("a.example"),
        await resolver.addresses("a.example"),
        await resolver.txt("a.example"),
        await resolver.srv("_submission._tcp.a.example"),
        await resolver.tlsa("_25._tcp.a.example"),
        await resolver.ptr(ip_address("192.0.2.1")),
    ):
        assert not isinstance(found, Answer) or len(found.values) <= 2 * RECORDS_MAX
    resolver.forget()
    await find(resolver, "a.example", shuffle=random.Random(1))
    await resolver.close()


@fuzz(st.lists(st.one_of(WIRES, DAMAGED), max_size=12))
def test_dns_answers(wires: list[bytes]) -> None:
    asyncio.run(looked_up(wires))
