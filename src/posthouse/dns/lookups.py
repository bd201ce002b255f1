"""The resolver as the room of authentication wants it: one function for all types."""

from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.name
import dns.reversename

from posthouse.authentication.lookups import LookUp, LookUpError, Records, RecordType
from posthouse.dns.answers import (
    AddressResult,
    Answer,
    Negative,
    NoSuchName,
    TemporaryFailure,
    TextResult,
)
from posthouse.dns.resolver import Resolver

_VERSIONS: Final = {"A": 4, "AAAA": 6}


def look_up_by(resolver: Resolver) -> LookUp:
    """Return the look-up that asks through a resolver, and so through its cache."""

    async def look_up(name: str, kind: RecordType) -> Records:
        if kind == "TXT":
            return _records(await resolver.txt(name))
        if kind == "PTR":
            return await _names_of(resolver, name)
        if kind == "MX":
            found = await resolver.mx(name)
            if isinstance(found, Answer):
                return Records(tuple(exchanger.host for exchanger in found.values))
            return _records(found)
        return _of_version(await resolver.addresses(name), _VERSIONS[kind])

    return look_up


async def _names_of(resolver: Resolver, name: str) -> Records:
    """PTR records by the name in which the address is written backwards."""
    try:
        text = dns.reversename.to_address(dns.name.from_text(name))
        address = ip_address(text)
    except (dns.exception.DNSException, ValueError):
        return Records(exists=False)
    return _records(await resolver.ptr(address))


def _of_version(found: AddressResult, version: int) -> Records:
    if not isinstance(found, Answer):
        return _records(found)
    values = tuple(str(it) for it in found.values if it.version == version)
    if not values and not found.complete:
        raise LookUpError(f"the addresses of {found.name} could not all be looked up")
    return Records(values)


def _records(found: TextResult | AddressResult | Negative) -> Records:
    match found:
        case Answer():
            return Records(tuple(str(value) for value in found.values))
        case TemporaryFailure():
            raise LookUpError(found.detail)
        case NoSuchName():
            return Records(exists=False)
        case _:
            return Records()
