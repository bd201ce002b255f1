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


class TlsaRecord(Struct, frozen=True, order=True):
    """One TLSA record (RFC 6698 §2.1): what the certificate of a service is or comes from.

    Attributes:
        usage: 2: an authority above the service's certificate; 3: that certificate itself.
        selector: 0: the whole certificate counts; 1: its public key.
        matching: 0: `data` is the thing itself; 1: its SHA-256; 2: its SHA-512.
        data: Octets to compare with.
    """

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


class Answer(Struct, Generic[Value], frozen=True):
    """Records were found.

    Attributes:
        values: At least one; at most `resolver.RECORDS_MAX`.
        name: Where they stand after all CNAMEs, lower-case, without a trailing dot.
        ttl: Seconds that the answer may be remembered from the moment it was fetched.
        authentic: A server that is believed said it had checked DNSSEC (AD, RFC 6840 §5.8).
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
TlsaResult: TypeAlias = Answer[TlsaRecord] | Negative
