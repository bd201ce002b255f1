"""The resolver as the room of authentication wants it."""

import pytest

from posthouse.authentication.lookups import LookUpError, Records, texts_by
from posthouse.dns.lookups import look_up_by
from posthouse.dns.resolver import Resolver
from tests.dns.toy_server import ToyServer


@pytest.fixture
async def filled(server: ToyServer) -> ToyServer:
    for name, kind, value in (
        ("a.example", "TXT", '"v=spf1" " -all"'),
        ("a.example", "MX", "10 mx.a.example."),
        ("mx.a.example", "A", "192.0.2.1"),
        ("mx.a.example", "AAAA", "2001:db8::1"),
        ("1.2.0.192.in-addr.arpa", "PTR", "mx.a.example."),
    ):
        server.add(name, kind, value)
    server.silent.add("slow.example")
    return server


async def test_every_type_is_answered(filled: ToyServer, resolver: Resolver) -> None:
    look_up = look_up_by(resolver)
    assert await look_up("a.example", "TXT") == Records(("v=spf1 -all",))
    assert await look_up("a.example", "MX") == Records(("mx.a.example",))
    assert await look_up("mx.a.example", "A") == Records(("192.0.2.1",))
    assert await look_up("mx.a.example", "AAAA") == Records(("2001:db8::1",))
    assert await look_up("1.2.0.192.in-addr.arpa", "PTR") == Records(("mx.a.example",))
    assert await texts_by(look_up)("a.example") == ("v=spf1 -all",)


async def test_the_ways_of_failing_are_told_apart(filled: ToyServer, resolver: Resolver) -> None:
    look_up = look_up_by(resolver)
    assert await look_up("nowhere.example", "TXT") == Records(exists=False)
    assert await look_up("nowhere.example", "A") == Records(exists=False)
    assert await look_up("mx.a.example", "TXT") == Records()
    assert await look_up("no address", "PTR") == Records(exists=False)
    assert await look_up("x" * 70 + ".example", "TXT") == Records(exists=False)
    with pytest.raises(LookUpError, match=r"slow\.example could not be looked up"):
        await look_up("slow.example", "TXT")
