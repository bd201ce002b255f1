"""Whether the records of a plan are in DNS: each purpose has its own way to be right."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from posthouse.authentication.dmarc import parse_record
from posthouse.authentication.lookups import LookUp, LookUpError, RecordType
from posthouse.authentication.results import Result
from posthouse.authentication.signatures.keys import BadKeyError, parse_key_record
from posthouse.authentication.spf import Sender, check_sender
from posthouse.cli.dns_plan import Need, Purpose, Record
from posthouse.mail.address import NULL, Mailbox, ReversePath


class State(StrEnum):
    """How a record stands."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # DNS did not answer


class Checked(Struct, frozen=True):
    """A record of the plan and what DNS says.

    Attributes:
        record: As it should be.
        state: How it stands.
        found: What is there, or why that is not known.
    """

    record: Record
    state: State
    found: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether somebody should do something."""
        return self.state is not State.OK and self.record.need is not Need.OPTIONAL


class Site(Struct, frozen=True):
    """Who we are, for checks that need more than one record.

    Attributes:
        hostname: Our name.
        domain: The domain in question.
        addresses: That we send from; empty if the configuration does not tell.
        sends_by: Name of the smart host that all mail leaves by; "" if we send it ourselves.
    """

    hostname: str
    domain: str
    addresses: tuple[str, ...]
    sends_by: str = ""


async def check_records(
    records: Sequence[Record], site: Site, look_up: LookUp
) -> tuple[Checked, ...]:
    """Return how each record stands; all are looked up at the same time."""
    return tuple(await asyncio.gather(*(_check(record, site, look_up) for record in records)))


async def _check(record: Record, site: Site, look_up: LookUp) -> Checked:
    try:
        return await _WAYS[record.purpose](record, site, look_up)
    except LookUpError as problem:
        return Checked(record, State.UNKNOWN, str(problem))


async def _has_value(record: Record, site: Site, look_up: LookUp) -> Checked:
    """Address, MX, PTR: the value is among those found."""
    del site
    kind: RecordType = record.kind  # type: ignore[assignment] # a plan has these types only
    found = (await look_up(record.name, kind)).values
    wanted = record.value.rpartition(" ")[2].rstrip(".").lower()
    here = {_compared(each) for each in found}
    if not found:
        return Checked(record, State.MISSING)
    state = State.OK if _compared(wanted) in here else State.WRONG
    return Checked(record, state, ", ".join(found[:5]))


async def _lets_us_send(record: Record, site: Site, look_up: LookUp) -> Checked:
    """SPF: not the words count, but whether our addresses pass."""
    found = await _texts(record, look_up, "v=spf1")
    if not found:
        return Checked(record, State.MISSING)
    hello = record.purpose is Purpose.SPF_HELLO
    path = NULL if hello else ReversePath(Mailbox("postmaster", record.name))
    host = site.hostname if hello else site.sends_by or site.hostname
    addresses = site.addresses or await _addresses(host, look_up)
    for address in addresses:
        sender = Sender(ip_address(address), site.hostname, path)
        spf = await check_sender(sender, look_up, site.hostname)
        if spf.result is not Result.PASS:
            return Checked(record, State.WRONG, f"{found[0]} ({address}: {spf.result})")
    if not addresses:
        return Checked(record, State.UNKNOWN, f"{host} has no address yet")
    return Checked(record, State.OK, found[0])


async def _publishes_key(record: Record, site: Site, look_up: LookUp) -> Checked:
    """DKIM: the same key, however it is written."""
    del site
    texts = (await look_up(record.name, "TXT")).values
    if not texts:
        return Checked(record, State.MISSING)
    ours = parse_key_record(record.value).key
    trouble = "another key"
    for text in texts:
        try:
            if parse_key_record(text).key == ours:
                return Checked(record, State.OK, "the key")
        except BadKeyError as problem:
            trouble = str(problem)
    return Checked(record, State.WRONG, trouble)


async def _is_policy(record: Record, site: Site, look_up: LookUp) -> Checked:
    """DMARC: any one record that can be read; what it asks for is the operator's choice."""
    texts = await _texts(record, look_up, "v=DMARC1")
    if not texts:
        return Checked(record, State.MISSING)
    if len(texts) > 1:
        return Checked(record, State.WRONG, f"{len(texts)} records, so none counts")
    readable = parse_record(site.domain, texts[0]) is not None
    return Checked(record, State.OK if readable else State.WRONG, texts[0])


async def _begins_right(record: Record, site: Site, look_up: LookUp) -> Checked:
    """TLS reports, MTA-STS: one record of that version."""
    del site
    texts = await _texts(record, look_up, record.value.partition(";")[0])
    if not texts:
        return Checked(record, State.MISSING)
    return Checked(record, State.OK if len(texts) == 1 else State.WRONG, texts[0])


async def _texts(record: Record, look_up: LookUp, begin: str) -> list[str]:
    return [text for text in (await look_up(record.name, "TXT")).values if text.startswith(begin)]


async def _addresses(hostname: str, look_up: LookUp) -> tuple[str, ...]:
    with suppress(ValueError):
        return (str(ip_address(hostname)),)
    four, six = await look_up(hostname, "A"), await look_up(hostname, "AAAA")
    return (*four.values, *six.values)


def _compared(value: str) -> str:
    text = value.rstrip(".").lower()
    try:
        return str(ip_address(text))
    except ValueError:
        return text


_WAYS: Final[dict[Purpose, Callable[[Record, Site, LookUp], Awaitable[Checked]]]] = {
    Purpose.ADDRESS: _has_value,
    Purpose.MX: _has_value,
    Purpose.PTR: _has_value,
    Purpose.SPF: _lets_us_send,
    Purpose.SPF_HELLO: _lets_us_send,
    Purpose.DKIM: _publishes_key,
    Purpose.DKIM_RETIRED: _publishes_key,
    Purpose.DMARC: _is_policy,
    Purpose.TLS_REPORTS: _begins_right,
    Purpose.MTA_STS: _begins_right,
}
