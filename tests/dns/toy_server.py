"""A small name server on loopback, UDP and TCP, that also knows how to misbehave."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from posthouse.dns.servers import ServerAddress

SOA = "ns.invalid. host.invalid. 1 60 60 60 {minimum}"


class ToyServer:
    """Records by (name, type); what is not there is NXDOMAIN, or no data if the name is.

    Attributes:
        asked: How often each (name, type) was asked.
        rcodes: Names answered with an error code.
        silent: Names that get no answer; `silent_types` the same for types.
        truncated: Names whose UDP answers are cut short.
        referring: Names answered with other servers' names only.
        minimum: Seconds that "no" is good for.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.over_tcp = 0
        self.rcodes: dict[str, dns.rcode.Rcode] = {}
        self.silent: set[str] = set()
        self.truncated: set[str] = set()
        self.referring: set[str] = set()
        self.silent_types: set[str] = set()
        self.refuses_edns = False
        self.follows_aliases = True
        self.lies_about_id = False
        self.minimum = 60
        self.address = ServerAddress("127.0.0.1", 0)

    def add(self, name: str, rdtype: str, *values: str, ttl: int = 300) -> None:
        self.records[name, rdtype] = (ttl, list(values))

    def remove(self, name: str, rdtype: str) -> None:
        del self.records[name, rdtype]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        loop = asyncio.get_running_loop()
        tcp = await asyncio.start_server(self._serve_tcp, "127.0.0.1", 0)
        port = tcp.sockets[0].getsockname()[1]
        udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=("127.0.0.1", port)
        )
        self.address = ServerAddress("127.0.0.1", port)
        try:
            yield self
        finally:
            udp.close()
            tcp.close()
            await tcp.wait_closed()

    def answer(self, octets: bytes, *, udp: bool) -> bytes | None:
        query = dns.message.from_wire(octets)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked[name, dns.rdatatype.to_text(question.rdtype)] += 1
        self.over_tcp += not udp
        if name in self.silent or dns.rdatatype.to_text(question.rdtype) in self.silent_types:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if self.refuses_edns and query.edns >= 0:
            response.set_rcode(dns.rcode.FORMERR)
        elif name in self.rcodes:
            response.set_rcode(self.rcodes[name])
        elif udp and name in self.truncated:
            response.flags |= dns.flags.TC
        elif name in self.referring:
            response.authority.append(dns.rrset.from_text("invalid.", 60, "IN", "NS", "a.invalid."))
        else:
            self._fill(response, name, dns.rdatatype.to_text(question.rdtype))
        if self.lies_about_id:
            response.id ^= 1
        return response.to_wire(max_size=65535)

    def _fill(self, response: dns.message.Message, name: str, rdtype: str) -> None:
        for _ in range(20):
            if (name, rdtype) in self.records:
                ttl, values = self.records[name, rdtype]
                response.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", rdtype, *values))
                return
            alias = self.records.get((name, "CNAME"))
            if alias is None:
                break
            response.answer.append(
                dns.rrset.from_text(f"{name}.", alias[0], "IN", "CNAME", *alias[1])
            )
            name = alias[1][0].rstrip(".")
            if not self.follows_aliases:
                return
        else:
            return
        response.authority.append(
            dns.rrset.from_text("invalid.", 3600, "IN", "SOA", SOA.format(minimum=self.minimum))
        )
        if not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            length = int.from_bytes(await reader.readexactly(2), "big")
            answer = self.answer(await reader.readexactly(length), udp=False)
            if answer is not None:
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: ToyServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data, udp=True)
        if answer is not None:
            self._transport.sendto(answer, addr)


class Ticks:
    """A monotonic clock by hand, in seconds."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at
