"""What a look-up can give, as values: the three ways of failing are never mixed up."""

from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct

Address: TypeAlias = IPv4Address | IPv6Address
Value = TypeVar("Value")


class MailExchanger(Struct, frozen=True, order=True):
    """One MX record: the lower `preference` is tried first. "." as host is the null MX."""

    preference: int
    host: str


class ServicePlace(Struct, frozen=True, order=True):
    """One SRV record (RFC 2782): the lower `priority` is tried first, then the higher weight.

    "." as host says that the service is decidedly not offered.
    """

    priority: int
    minus_weight: int
    host: str
    port: int


class Answer(Struct, Generic[Value], frozen=True):
    """Records were found.

    Attributes:
        values: At least one; at most `resolver.RECORDS_MAX`.
        name: Where they stand after all CNAMEs, lower-case, without a trailing dot.
        ttl: Seconds that the answer may be remembered from the moment it was fetched.
        authentic: The server said it had checked DNSSEC (AD); worth what the way there is worth.
        complete: False if one address family was found and the other failed temporarily.
    """

    values: tuple[Value, ...]
    name: str
    ttl: float
    authentic: bool = False
    complete: bool = True


class NoSuchName(Struct, frozen=True):
    """The name does not exist, whatever the type (NXDOMAIN, RFC 2308 §2.1)."""

    name: str
    ttl: float = 0


class NoData(Struct, frozen=True):
    """The name exists and has no record of this type (RFC 2308 §2.2)."""

    name: str
    ttl: float = 0


class TemporaryFailure(Struct, frozen=True):
    """Nothing is known: ask again later. `detail` says in plain words what went wrong."""

    name: str
    detail: str


Negative: TypeAlias = NoSuchName | NoData | TemporaryFailure
MailExchangerResult: TypeAlias = Answer[MailExchanger] | Negative
AddressResult: TypeAlias = Answer[Address] | Negative
TextResult: TypeAlias = Answer[str] | Negative
ServiceResult: TypeAlias = Answer[ServicePlace] | Negative
