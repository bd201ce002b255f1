"""Look-ups with a cache: who asks twice is answered once."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Final, TypeAlias, TypeVar

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.reversename
import dns.rrset
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TLSA import TLSA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV
from msgspec import Struct

from posthouse.dns.answers import (
    Address,
    AddressResult,
    Answer,
    MailExchanger,
    MailExchangerResult,
    NoData,
    NoSuchName,
    ServicePlace,
    ServiceResult,
    TemporaryFailure,
    TextResult,
    TlsaRecord,
    TlsaResult,
)
from posthouse.dns.cache import SingleFlight, TtlCache
from posthouse.dns.servers import NoAnswerError, ServerAddress, Servers

ENTRIES_MAX: Final = 20_000
RECORDS_MAX: Final = 100  # of one answer; the rest of a longer one is not looked at
CNAMES_MAX: Final = 8
TTL_MIN: Final = 1.0
TTL_MAX: Final = 24 * 3600.0
NEGATIVE_TTL_MAX: Final = 3 * 3600.0  # RFC 2308 §5
FAILURE_SECONDS: Final = 2.0  # RFC 2308 §7.1 allows 5 min; long enough to calm a storm

Records: TypeAlias = Answer[dns.rdata.Rdata] | NoSuchName | NoData | TemporaryFailure
Key: TypeAlias = tuple[str, dns.rdatatype.RdataType]
Value = TypeVar("Value")


class Bounds(Struct, frozen=True):
    """How long answers are remembered, in seconds, and how many."""

    ttl_min: float = TTL_MIN
    ttl_max: float = TTL_MAX
    negative_ttl_max: float = NEGATIVE_TTL_MAX
    failure: float = FAILURE_SECONDS
    entries_max: int = ENTRIES_MAX


class Resolver:
    """Asks name servers for what mail needs. Belongs to one event loop."""

    def __init__(
        self,
        servers: Sequence[ServerAddress],
        timeout: float = 8.0,
        *,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
        trust_ad: bool = False,
    ) -> None:
        """Ask `servers` in turn; one question costs at most `timeout` seconds in all.

        `trust_ad`: their word that DNSSEC was checked is believed; that of a server on a loopback
        address always is (RFC 7672 §2.1).
        """
        self._servers = Servers(servers, timeout, trust_ad=trust_ad)
        self._bounds = bounds
        self._cache: TtlCache[Key, Records] = TtlCache(bounds.entries_max, clock)
        self._flights: SingleFlight[Key, Records] = SingleFlight()

    async def mx(self, domain: str) -> MailExchangerResult:
        """Return the mail exchangers of a domain, by preference; the null MX is among them."""
        found = await self._records(domain, dns.rdatatype.MX)
        if not isinstance(found, Answer):
            return found
        values = sorted(
            MailExchanger(record.preference, _text(record.exchange))
            for record in found.values
            if isinstance(record, MX)
        )
        return _with_values(found, values)

    async def addresses(self, name: str) -> AddressResult:
        """Return the IPv6 and IPv4 addresses of a host, CNAMEs followed, in turn."""
        six, four = await asyncio.gather(
            self._records(name, dns.rdatatype.AAAA), self._records(name, dns.rdatatype.A)
        )
        answers = [it for it in (six, four) if isinstance(it, Answer)]
        if answers:
            values = _in_turn([_addresses(answer) for answer in answers])
            return Answer(
                values,
                answers[0].name,
                min(answer.ttl for answer in answers),
                authentic=all(answer.authentic for answer in answers),
                complete=not any(isinstance(it, TemporaryFailure) for it in (six, four)),
            )
        return _worst(six, four)

    async def txt(self, name: str) -> TextResult:
        """Return the text records of a name, the strings of each joined."""
        found = await self._records(name, dns.rdatatype.TXT)
        if not isinstance(found, Answer):
            return found
        texts = [
            b"".join(record.strings).decode("utf-8", "replace")
            for record in found.values
            if isinstance(record, TXT)
        ]
        return _with_values(found, texts)

    async def ptr(self, address: Address) -> TextResult:
        """Return the names that an address claims; anybody can claim any name."""
        name = dns.reversename.from_address(str(address)).to_text()
        found = await self._records(name, dns.rdatatype.PTR)
        if not isinstance(found, Answer):
            return found
        names = [_text(record.target) for record in found.values if isinstance(record, PTR)]
        return _with_values(found, names)

    async def srv(self, name: str) -> ServiceResult:
        """Return the places of a service such as ``_submission._tcp.example.com``, best first."""
        found = await self._records(name, dns.rdatatype.SRV)
        if not isinstance(found, Answer):
            return found
        places = sorted(
            ServicePlace(record.priority, -record.weight, _text(record.target), record.port)
            for record in found.values
            if isinstance(record, SRV)
        )
        return _with_values(found, places)

    async def tlsa(self, name: str) -> TlsaResult:
        """Return the TLSA records of a name such as ``_25._tcp.mx.example.com``."""
        found = await self._records(name, dns.rdatatype.TLSA)
        if not isinstance(found, Answer):
            return found
        records = [
            TlsaRecord(it.usage, it.selector, it.mtype, bytes(it.cert))
            for it in found.values
            if isinstance(it, TLSA)
        ]
        return _with_values(found, records)

    def forget(self) -> None:
        """Forget all that is remembered."""
        self._cache.clear()

    async def close(self) -> None:
        """Stop the look-ups that are under way."""
        await self._flights.close()

    async def _records(self, text: str, rdtype: dns.rdatatype.RdataType) -> Records:
        try:
            name = dns.name.from_text(text.lower())
        except (dns.exception.DNSException, UnicodeError):
            return NoSuchName(text)  # no such name can be in any zone
        key = (_text(name), rdtype)
        known = self._cache.find(key)
        if known is not None:
            return known
        return await self._flights.run(key, lambda: self._look_up(key, name))

    async def _look_up(self, key: Key, name: dns.name.Name) -> Records:
        found = await self._follow(name, key[1])
        bounds = self._bounds
        if isinstance(found, TemporaryFailure):
            seconds = bounds.failure
        elif isinstance(found, Answer):
            seconds = min(max(found.ttl, bounds.ttl_min), bounds.ttl_max)
        else:
            seconds = min(found.ttl, bounds.negative_ttl_max)
        self._cache.keep(key, found, seconds)
        return found

    async def _follow(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Records:
        """Ask, and ask on where a CNAME leads; loops end by the limit."""
        asked, links, ttl, authentic = _text(name), 0, TTL_MAX, True
        while True:
            try:
                message = await self._servers.ask(name, rdtype)
            except NoAnswerError as error:
                return TemporaryFailure(asked, f"{asked} could not be looked up ({error})")
            authentic = authentic and bool(message.flags & dns.flags.AD)
            links_before = links
            while (target := _alias(message, name)) is not None and links <= CNAMES_MAX:
                name, links, ttl = target[0], links + 1, min(ttl, target[1])
            if links > CNAMES_MAX:
                return TemporaryFailure(asked, f"{asked} leads through too many CNAMEs, or a loop")
            result = _result(message, name, rdtype, ttl, authentic=authentic)
            if result is not None:
                return result
            if links == links_before:
                return NoData(_text(name), _negative_ttl(message))


def _result(
    message: dns.message.Message,
    name: dns.name.Name,
    rdtype: dns.rdatatype.RdataType,
    ttl: float,
    *,
    authentic: bool,
) -> Answer[dns.rdata.Rdata] | NoSuchName | None:
    """What a message says about `name`; None if it says nothing."""
    rrset = _find(message, name, rdtype)
    if rrset is not None:
        records = tuple(rrset)[:RECORDS_MAX]
        return Answer(records, _text(name), float(min(ttl, rrset.ttl)), authentic=authentic)
    if message.rcode() == dns.rcode.NXDOMAIN:
        return NoSuchName(_text(name), _negative_ttl(message))
    return None


def _alias(message: dns.message.Message, name: dns.name.Name) -> tuple[dns.name.Name, float] | None:
    rrset = _find(message, name, dns.rdatatype.CNAME)
    return None if rrset is None else (rrset[0].target, float(rrset.ttl))


def _find(
    message: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    for rrset in message.answer:
        if rrset.rdtype == rdtype and rrset.name == name and len(rrset):
            return rrset
    return None


def _negative_ttl(message: dns.message.Message) -> float:
    """Seconds that "no" is good for (RFC 2308 §5); not at all without an SOA."""
    for rrset in message.authority:
        if rrset.rdtype == dns.rdatatype.SOA and len(rrset):
            return float(min(rrset.ttl, rrset[0].minimum))
    return 0.0


def _worst(six: Records, four: Records) -> NoSuchName | NoData | TemporaryFailure:
    """One of two refusals: what is known for certain about the name goes first."""
    for kind in (NoSuchName, TemporaryFailure):
        for it in (six, four):
            if isinstance(it, kind):
                return it
    assert isinstance(four, NoData)
    return four


def _addresses(found: Answer[dns.rdata.Rdata]) -> list[Address]:
    return [ip_address(it.address) for it in found.values if isinstance(it, A | AAAA)]


def _in_turn(lists: Iterable[Sequence[Address]]) -> tuple[Address, ...]:
    """IPv6, IPv4, IPv6 ...: if one family is dead, the other is one step away (RFC 8305 §4)."""
    queues = [list(reversed(it)) for it in lists]
    result: list[Address] = []
    while any(queues):
        result += [queue.pop() for queue in queues if queue]
    return tuple(result)


def _with_values(found: Answer[dns.rdata.Rdata], values: Sequence[Value]) -> Answer[Value]:
    return Answer(tuple(values), found.name, found.ttl, authentic=found.authentic)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
