"""A DNS server for the lab: a few zones in memory, over UDP and TCP, on one loopback address."""

import asyncio
import struct
import threading
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL_SECONDS: Final = 1  # so that a changed record is seen at once
WAIT_SECONDS: Final = 5.0


class Zones:
    """Records by (name, type); may be changed while the server answers.

    Attributes:
        authentic: Names whose answers say that DNSSEC was checked, as by a resolver that did.
    """

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], list[str]] = {}
        self._failing: set[tuple[str, str]] = set()
        self.authentic: set[str] = set()
        self._lock = threading.Lock()

    def put(self, name: str, kind: str, *values: str) -> None:
        """Set the records of a name; no value takes them away."""
        with self._lock:
            key = (name.lower().rstrip("."), kind)
            self._records[key] = list(values)
            self._failing.discard(key)

    def fail(self, name: str, kind: str) -> None:
        """Answer this question with SERVFAIL from now on, until `put` gives it records."""
        with self._lock:
            self._failing.add((name.lower().rstrip("."), kind))

    def answer(self, octets: bytes) -> bytes | None:
        """Return the answer to one query, or None for what is no query."""
        try:
            query = dns.message.from_wire(octets)
        except dns.exception.DNSException:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)
            return response.to_wire()
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        with self._lock:
            values = self._records.get((name, kind), [])
            failing = (name, kind) in self._failing
            known = any(owner == name and it for (owner, _), it in self._records.items())
        if name in self.authentic:
            response.flags |= dns.flags.AD
        if failing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif values:
            response.answer.append(
                dns.rrset.from_text_list(asked.name, TTL_SECONDS, "IN", kind, values)
            )
        elif not known:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zones: Zones) -> None:
        self._zones = zones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every loop's transport inherits from the class that documents it.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._zones.answer(data)
        if answer is not None:
            self._transport.sendto(answer, addr)


class ZoneServer:
    """Answers for `zones` on an address and a free port, until stopped."""

    def __init__(self, zones: Zones, address: str) -> None:
        self._zones = zones
        self._address = address
        self.port = 0

    async def start(self) -> None:
        """Open UDP and TCP on the same free port."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, self._address, 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Udp(self._zones), local_addr=(self._address, self.port)
        )

    async def stop(self) -> None:
        """Close both."""
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    answer = self._zones.answer(await reader.readexactly(length))
                    if answer is None:
                        return
                    writer.write(struct.pack("!H", len(answer)) + answer)
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            return
        finally:
            writer.close()
