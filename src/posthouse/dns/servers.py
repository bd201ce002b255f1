"""Asking name servers: UDP, TCP when the answer is too long, the next server when one fails."""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from msgspec import Struct

UDP_OCTETS: Final = 1232  # EDNS (RFC 6891): what passes every network without fragments
ROUNDS: Final = 2  # through all servers
QUERIES_AT_ONCE_MAX: Final = 200


class ServerAddress(Struct, frozen=True):
    """Where a name server listens."""

    host: str
    port: int = 53

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine: nobody can change its answers on the way."""
        return ip_address(self.host.partition("%")[0]).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class NoAnswerError(Exception):
    """No server gave a usable answer; the message says what each did last."""


def parse_server(text: str) -> ServerAddress:
    """Return the server that `127.0.0.1`, `127.0.0.1:5353`, `::1` or `[::1]:53` names.

    Raises:
        ValueError: If it is not an IP address with or without a port.
    """
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(f"{text!r} is not an address in brackets with a port behind it")
        address: IPv4Address | IPv6Address = IPv6Address(host)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        address = ip_address(host)
    else:
        address, port = ip_address(text), ""
    number = int(port.removeprefix(":") or 53)
    if not 0 < number < 65536:
        raise ValueError(f"{text!r} has no possible port")
    return ServerAddress(str(address), number)


def system_servers(path: Path = Path("/etc/resolv.conf")) -> tuple[ServerAddress, ...]:
    """Return the servers of the system; that of this host if the file names none."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    servers = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                servers.append(parse_server(words[1].partition("%")[0]))
            except ValueError:
                continue
    return tuple(servers) or (ServerAddress("127.0.0.1"),)


class Servers:
    """Name servers that are asked in turn."""

    def __init__(
        self, servers: Sequence[ServerAddress], timeout: float, *, trust_ad: bool = False
    ) -> None:
        """Ask `servers`; one question costs at most `timeout` seconds in all.

        `trust_ad`: see `resolver.Resolver`.
        """
        self._trust_ad = trust_ad
        assert servers, "at least one name server"
        self._servers = tuple(servers)
        self._timeout = timeout
        self._turn = 0
        self._places = asyncio.Semaphore(QUERIES_AT_ONCE_MAX)
        self._backend = dns.asyncbackend.get_backend("asyncio")

    async def ask(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.message.Message:
        """Return the first answer that says yes, no such name, or no data.

        Raises:
            NoAnswerError: If there was none in time.
        """
        first = self._turn
        self._turn = (self._turn + 1) % len(self._servers)
        order = (self._servers[first:] + self._servers[:first]) * ROUNDS
        troubles: dict[str, str] = {}
        try:
            async with asyncio.timeout(self._timeout), self._places:
                for server in order:
                    answer = await self._try(server, name, rdtype, troubles)
                    if answer is not None:
                        return answer
        except TimeoutError:
            troubles.setdefault("time", f"no answer within {self._timeout:g} s")
        raise NoAnswerError("; ".join(f"{who}: {what}" for who, what in troubles.items()))

    async def _try(
        self,
        server: ServerAddress,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        troubles: dict[str, str],
    ) -> dns.message.Message | None:
        for edns in (True, False):
            try:
                answer = await self._exchange(server, _query(name, rdtype, edns=edns))
            except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
                troubles[str(server)] = _words(error)
                return None
            rcode = answer.rcode()
            if rcode in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN} and not _is_referral(answer):
                if not (self._trust_ad or server.is_here):
                    answer.flags &= ~dns.flags.AD  # anybody on the way could have set it
                return answer
            troubles[str(server)] = (
                dns.rcode.to_text(rcode) if rcode else "it does not look names up for us"
            )
            if rcode not in {dns.rcode.FORMERR, dns.rcode.NOTIMP}:
                return None
        return None  # it does not like EDNS, and not to be without it either

    async def _exchange(
        self, server: ServerAddress, query: dns.message.Message
    ) -> dns.message.Message:
        """One question over UDP, then TCP if the answer was cut short (RFC 7766 §5)."""
        seconds = self._timeout / (ROUNDS * len(self._servers))
        try:
            return await dns.asyncquery.udp(
                query,
                server.host,
                timeout=seconds,
                port=server.port,
                ignore_unexpected=True,
                ignore_errors=True,
                raise_on_truncation=True,
                backend=self._backend,
            )
        except dns.message.Truncated:
            return await dns.asyncquery.tcp(
                query, server.host, timeout=seconds, port=server.port, backend=self._backend
            )


def _query(
    name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, edns: bool
) -> dns.message.Message:
    # AD in a query asks to be told whether the answer was checked (RFC 6840 §5.7).
    flags = dns.flags.RD | dns.flags.AD
    return dns.message.make_query(
        name, rdtype, use_edns=0 if edns else -1, payload=UDP_OCTETS, flags=flags
    )


def _is_referral(answer: dns.message.Message) -> bool:
    """Whether it only names other servers: this one does not resolve, and knows nothing itself."""
    if answer.answer or answer.rcode() != dns.rcode.NOERROR:
        return False
    kinds = {rrset.rdtype for rrset in answer.authority}
    return dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds


def _words(error: Exception) -> str:
    return "no answer" if isinstance(error, dns.exception.Timeout) else str(error) or repr(error)
