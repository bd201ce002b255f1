"""Which records a domain of ours needs in DNS, from the configuration and the keys."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from ipaddress import ip_address

from msgspec import Struct

from posthouse.config.schema import Configuration, ServiceName
from posthouse.delivery.signing_keys import StoredKey


class Purpose(StrEnum):
    """What a record is for; how it is checked depends on it."""

    ADDRESS = "address"
    MX = "mx"
    SPF = "spf"
    SPF_HELLO = "spf-hello"
    DKIM = "dkim"
    DKIM_RETIRED = "dkim-retired"
    DMARC = "dmarc"
    PTR = "ptr"
    TLS_REPORTS = "tls-reports"
    MTA_STS = "mta-sts"


class Need(StrEnum):
    """How much it matters."""

    REQUIRED = "required"  # else mail does not come in, or is refused by many
    RECOMMENDED = "recommended"
    OPTIONAL = "optional"


class Record(Struct, frozen=True):
    """One record.

    Attributes:
        name: Where it stands, without a trailing dot.
        kind: Its type.
        value: As a zone file writes it; a text without its quotes.
        purpose: What it is for.
        need: How much it matters.
        why: What it does, in a few words.
    """

    name: str
    kind: str
    value: str
    purpose: Purpose
    need: Need
    why: str


def plan(
    configuration: Configuration, domain: str, keys: Sequence[StoredKey]
) -> tuple[Record, ...]:
    """Return the records of a domain, in the order in which they are best put into DNS."""
    return tuple(_records(configuration, domain, keys))


def our_addresses(configuration: Configuration) -> tuple[str, ...]:
    """Return the public addresses that we send from, as far as the configuration tells.

    Empty where everything goes out by a smart host: then its addresses are what others see.
    """
    if smart_host(configuration):
        return ()
    named = list(configuration.outbound.from_addresses)
    if not named:
        named = [
            it.host
            for listener in configuration.listen.values()
            if listener.service is ServiceName.SMTP
            for it in listener.on
        ]
    return tuple(dict.fromkeys(each for each in named if ip_address(each).is_global))


def smart_host(configuration: Configuration) -> str:
    """Return the host that all our mail leaves by; "" if we send it ourselves."""
    return configuration.outbound.via.host or ""


def _records(
    configuration: Configuration, domain: str, keys: Sequence[StoredKey]
) -> Iterator[Record]:
    host = configuration.hostname
    addresses = our_addresses(configuration)
    for address in addresses:
        kind = "AAAA" if ":" in address else "A"
        yield Record(
            host, kind, address, Purpose.ADDRESS, Need.REQUIRED, "where our host name leads"
        )
    yield Record(domain, "MX", f"10 {host}.", Purpose.MX, Need.REQUIRED, "mail for it comes here")
    for address in addresses:
        name = ip_address(address).reverse_pointer
        why = "many refuse mail from addresses without a name; the provider sets it"
        yield Record(name, "PTR", f"{host}.", Purpose.PTR, Need.REQUIRED, why)
    senders = " ".join(["mx", *(_mechanism(it) for it in addresses), *_by(configuration)])
    yield Record(
        domain, "TXT", f"v=spf1 {senders} ~all", Purpose.SPF, Need.REQUIRED, "who may send for it"
    )
    yield Record(
        host, "TXT", "v=spf1 a -all", Purpose.SPF_HELLO, Need.RECOMMENDED, "the same for bounces"
    )
    yield from _key_records(domain, keys)
    yield from _reporting_records(domain)


def _reporting_records(domain: str) -> Iterator[Record]:
    postmaster = f"postmaster@{domain}"
    yield Record(
        f"_dmarc.{domain}",
        "TXT",
        f"v=DMARC1; p=none; rua=mailto:{postmaster}",
        Purpose.DMARC,
        Need.REQUIRED,
        "begin with p=none, read the reports, then p=quarantine or p=reject",
    )
    yield Record(
        f"_smtp._tls.{domain}",
        "TXT",
        f"v=TLSRPTv1; rua=mailto:{postmaster}",
        Purpose.TLS_REPORTS,
        Need.OPTIONAL,
        "others report when they cannot reach us by TLS (RFC 8460)",
    )
    yield Record(
        f"_mta-sts.{domain}",
        "TXT",
        "v=STSv1; id=1",
        Purpose.MTA_STS,
        Need.OPTIONAL,
        f"with a policy at https://mta-sts.{domain}/.well-known/mta-sts.txt (RFC 8461)",
    )


def _key_records(domain: str, keys: Sequence[StoredKey]) -> Iterator[Record]:
    for key in keys:
        if key.retired is None:
            why = f"the key {key.selector} signs for {domain}"
            yield Record(key.name, "TXT", key.record, Purpose.DKIM, Need.REQUIRED, why)
        else:
            why = f"retired {key.retired}; take it out after {key.record_goes}"
            yield Record(key.name, "TXT", key.record, Purpose.DKIM_RETIRED, Need.OPTIONAL, why)


def _by(configuration: Configuration) -> list[str]:
    """What lets a smart host send for us."""
    host = smart_host(configuration)
    if not host:
        return []
    try:
        ip_address(host)
    except ValueError:
        return [f"a:{host}"]
    return [_mechanism(host)]


def _mechanism(address: str) -> str:
    return f"ip6:{address}" if ":" in address else f"ip4:{address}"
