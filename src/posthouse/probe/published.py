"""The settings that a domain publishes for mail programs: autoconfig, SRV records, MX.

Autoconfig is the XML form of Thunderbird ("config-v1.1.xml"); SRV is RFC 6186 with the services of
RFC 8314 section 5.1.
"""

import asyncio
import re
import ssl
from enum import StrEnum
from typing import Final
from xml.etree import ElementTree as ET

from msgspec import Struct

from posthouse.dns.answers import Answer, TemporaryFailure
from posthouse.dns.resolver import Resolver
from posthouse.probe.doors import Door, Service
from posthouse.probe.web_page import PageError, fetch

PLACES_MAX: Final = 10
_SERVICES: Final = {
    "_submissions._tcp": Service.SUBMISSIONS,
    "_submission._tcp": Service.SUBMISSION,
    "_pop3s._tcp": Service.POP3S,
    "_pop3._tcp": Service.POP3,
}
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9-]{1,63})*")


class Source(StrEnum):
    """Who says so."""

    AUTOCONFIG = "autoconfig"
    DIRECTORY = "directory"  # such as the ISPDB
    SRV = "srv"
    MX = "mx"


class Published(Struct, frozen=True):
    """One server that the domain names.

    Attributes:
        user: How the user name is made, with ``%EMAILADDRESS%`` and ``%EMAILLOCALPART%``; "" where
            the source does not tell.
        mechanism: The source's word for how to sign in; "" where it does not tell.
        place: The address of the page or the name of the record.
    """

    source: Source
    host: str
    door: Door
    user: str = ""
    mechanism: str = ""
    place: str = ""


class Search(Struct, frozen=True):
    """What was found, and what was in the way."""

    found: tuple[Published, ...] = ()
    troubles: tuple[str, ...] = ()


async def from_dns(resolver: Resolver, domain: str) -> Search:
    """Return what SRV and MX records say."""
    names = [f"{prefix}.{domain}" for prefix in _SERVICES]
    answers = await asyncio.gather(*(resolver.srv(name) for name in names))
    found: list[Published] = []
    troubles: list[str] = []
    for name, service, answer in zip(names, _SERVICES.values(), answers, strict=True):
        if isinstance(answer, Answer):
            found += [
                Published(Source.SRV, it.host, Door(service, it.port), place=name)
                for it in answer.values[:PLACES_MAX]
                if it.host not in {"", "."} and it.port
            ]
        elif isinstance(answer, TemporaryFailure):
            troubles.append(answer.detail)
    exchangers = await resolver.mx(domain)
    if isinstance(exchangers, Answer):
        found += [
            Published(Source.MX, it.host, Door(Service.SMTP, 25), place=domain)
            for it in exchangers.values[:PLACES_MAX]
            if it.host not in {"", "."}
        ]
    elif isinstance(exchangers, TemporaryFailure):
        troubles.append(exchangers.detail)
    return Search(tuple(found), tuple(dict.fromkeys(troubles)))


def autoconfig_pages(domain: str, directory: str = "") -> tuple[tuple[Source, str], ...]:
    """Return the pages that are asked, in order; the first one that answers counts.

    Nobody's address is part of them.
    """
    pages = [
        (Source.AUTOCONFIG, f"https://autoconfig.{domain}/mail/config-v1.1.xml"),
        (Source.AUTOCONFIG, f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"),
        (Source.AUTOCONFIG, f"http://autoconfig.{domain}/mail/config-v1.1.xml"),
    ]
    if directory:
        pages.append((Source.DIRECTORY, f"{directory.rstrip('/')}/{domain}"))
    return tuple(pages)


async def from_pages(
    pages: tuple[tuple[Source, str], ...], *, tls: ssl.SSLContext, seconds: float
) -> Search:
    """Ask the pages in order until one answers."""
    troubles: list[str] = []
    for source, url in pages:
        try:
            found = read_autoconfig(await fetch(url, tls=tls, seconds=seconds), source, url)
        except PageError as problem:
            troubles.append(f"{url}: {problem}")
            continue
        if found:
            return Search(found, tuple(troubles))
        troubles.append(f"{url}: it names no server")
    return Search((), tuple(troubles))


def read_autoconfig(octets: bytes, source: Source, place: str) -> tuple[Published, ...]:
    """Return the servers in a config-v1.1.xml that we can visit.

    Raises:
        PageError: If it is not that.
    """
    if b"<!DOCTYPE" in octets or b"<!ENTITY" in octets:
        raise PageError("a document type or entities, which no settings need")
    try:
        root = ET.fromstring(octets)  # noqa: S314 - short, and without entities
    except (ET.ParseError, ValueError, LookupError):
        raise PageError("this is no XML") from None
    servers = [*root.iter("outgoingServer"), *root.iter("incomingServer")]
    found = (_server(it, source, place) for it in servers[:PLACES_MAX])
    return tuple(it for it in found if it is not None)


def _server(element: ET.Element, source: Source, place: str) -> Published | None:
    kind = element.get("type", "")
    host = (element.findtext("hostname") or "").strip().lower().rstrip(".")
    port = (element.findtext("port") or "").strip()
    socket = (element.findtext("socketType") or "").strip().upper()
    if kind not in ("smtp", "pop3") or not _HOST.fullmatch(host):
        return None
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        return None
    if kind == "pop3":
        service = Service.POP3S if socket == "SSL" else Service.POP3
    else:
        service = Service.SUBMISSIONS if socket == "SSL" else Service.SUBMISSION
    return Published(
        source,
        host,
        Door(service, int(port)),
        (element.findtext("username") or "").strip()[:100],
        (element.findtext("authentication") or "").strip()[:40],
        place,
    )
