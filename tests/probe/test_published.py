"""The settings that a domain publishes, and pages that try to do harm."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.dns.resolver import Resolver
from posthouse.probe.client_settings import probe_host
from posthouse.probe.consent import Consent
from posthouse.probe.doors import Door, Reach, Service
from posthouse.probe.published import (
    Source,
    autoconfig_pages,
    from_dns,
    from_pages,
    read_autoconfig,
)
from posthouse.probe.visiting import Manner
from posthouse.probe.web_page import PageError, fetch
from tests.dns.toy_server import ToyServer
from tests.probe.places import TableNames
from tests.probe.toy_host import ToyHost

CONFIG = b"""<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1"><emailProvider id="isp.example"><domain>isp.example</domain>
<incomingServer type="imap"><hostname>imap.isp.example</hostname><port>993</port></incomingServer>
<incomingServer type="pop3"><hostname>pop.isp.example</hostname><port>995</port>
 <socketType>SSL</socketType><username>%EMAILADDRESS%</username></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.isp.example</hostname><port>587</port>
 <socketType>STARTTLS</socketType><authentication>password-cleartext</authentication>
 <username>%EMAILLOCALPART%</username></outgoingServer>
</emailProvider></clientConfig>"""
TLS = ssl.create_default_context()


def test_the_servers_of_autoconfig_are_read() -> None:
    outgoing, incoming = read_autoconfig(CONFIG, Source.AUTOCONFIG, "a page")
    assert (outgoing.host, outgoing.door) == ("smtp.isp.example", Door(Service.SUBMISSION, 587))
    assert (outgoing.user, outgoing.mechanism) == ("%EMAILLOCALPART%", "password-cleartext")
    assert (incoming.host, incoming.door) == ("pop.isp.example", Door(Service.POP3S, 995))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"<html><body>welcome<br></body></html>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b'<?xml version="1.0" encoding="no-such"?><x/>',
        CONFIG[:200],
    ],
)
def test_what_is_no_autoconfig_is_an_error(octets: bytes) -> None:
    with pytest.raises(PageError):
        read_autoconfig(octets, Source.AUTOCONFIG, "a page")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<port>587", b"<port>0"),
        (b"<port>587", b"<port>70000"),
        (b"<port>587", b"<port>-1"),
        (b"smtp.isp.example", b"smtp isp\r\nexample"),
        (b"smtp.isp.example", b"../../etc"),
        (b'type="smtp"', b'type="carrier-pigeon"'),
    ],
)
def test_servers_that_make_no_sense_are_left_out(old: bytes, new: bytes) -> None:
    found = read_autoconfig(CONFIG.replace(old, new), Source.AUTOCONFIG, "a page")
    assert [it.host for it in found] == ["pop.isp.example"]


@given(st.binary(max_size=300))
def test_any_octets_are_servers_or_a_page_error(octets: bytes) -> None:
    try:
        found = read_autoconfig(octets, Source.DIRECTORY, "a page")
    except PageError:
        return
    assert found == ()


async def test_srv_and_mx_name_servers() -> None:
    async with ToyServer().running() as dns:
        dns.add("_submissions._tcp.isp.example", "SRV", "0 1 465 smtp.isp.example.")
        dns.add("_submission._tcp.isp.example", "SRV", "0 0 0 .")
        dns.add("_pop3s._tcp.isp.example", "SRV", "0 1 995 pop.isp.example.")
        dns.add("isp.example", "MX", "10 mx.isp.example.")
        resolver = Resolver([dns.address], timeout=1)
        search = await from_dns(resolver, "isp.example")
        await resolver.close()
    assert [(it.source, it.host, it.door) for it in search.found] == [
        (Source.SRV, "smtp.isp.example", Door(Service.SUBMISSIONS, 465)),
        (Source.SRV, "pop.isp.example", Door(Service.POP3S, 995)),
        (Source.MX, "mx.isp.example", Door(Service.SMTP, 25)),
    ]
    assert search.troubles == ()


async def test_published_hosts_are_visited_on_mail_ports_only() -> None:
    async with ToyServer().running() as dns, ToyHost("220 toy", {}).running("127.0.0.1") as host:
        dns.add("_submission._tcp.isp.example", "SRV", f"0 1 {host.port} smtp.isp.example.")
        dns.add("_submissions._tcp.isp.example", "SRV", "0 1 465 smtp.isp.example.")
        resolver = Resolver([dns.address], timeout=1)
        seen = await probe_host(
            Consent(host="isp.example"),
            names=TableNames(smtp_isp_example="127.0.0.1"),
            resolver=resolver,
            manner=Manner(seconds=1),
        )
        await resolver.close()
    assert seen.unnamed == "no-such-name"  # the domain itself is no host: nothing is wrong with it
    assert [(it.host, it.door.port, it.reach) for it in seen.visits] == [
        ("smtp.isp.example", 465, Reach.REFUSED)
    ]
    assert host.heard == []
    assert len(seen.published) == 2


@asynccontextmanager
async def web(*answers: str) -> AsyncIterator[tuple[str, ToyHost]]:
    """A web server that says the answer at the blank line; the greeting must not come first."""
    host = _Web(answers)
    async with host.running():
        yield f"http://127.0.0.1:{host.port}", host


class _Web(ToyHost):
    def __init__(self, answers: tuple[str, ...]) -> None:
        super().__init__("", {})
        self._pages = list(answers)

    async def _serve(self, reader, writer) -> None:  # type: ignore[no-untyped-def]
        self.heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        page = self._pages.pop(0) if self._pages else "HTTP/1.1 404 Not Found\r\n\r\n"
        writer.write(page.replace("{port}", str(self.port)).encode())
        writer.close()


def page(body: str, *fields: str, status: str = "200 OK") -> str:
    return f"HTTP/1.1 {status}\r\n" + "".join(f"{it}\r\n" for it in fields) + f"\r\n{body}"


async def test_a_page_is_fetched_and_names_nobody() -> None:
    async with web(page("hello", "Content-Length: 5")) as (url, host):
        assert await fetch(f"{url}/mail/config-v1.1.xml", tls=TLS, seconds=2) == b"hello"
    assert "emailaddress" not in host.heard[0]
    assert host.heard[0].startswith("GET /mail/config-v1.1.xml HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (page("hello"), b"hello"),
        (page("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), b"hello"),
    ],
)
async def test_bodies_of_each_form_are_read(answer: str, body: bytes) -> None:
    async with web(answer) as (url, _):
        assert await fetch(url, tls=TLS, seconds=2) == body


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (page("", "Location: http://evil.example/", status="302 Found"), "another host"),
        (page("", "Location: file:///etc/passwd", status="302 Found"), "no web address"),
        (page("", status="404 Not Found"), "404"),
        (page("", "Content-Length: 99999999"), "too long"),
        (page("x" * 70_000), "too long"),
        (page("FFFFFFF\r\n", "Transfer-Encoding: chunked"), "cut off"),
        (page("zz\r\n", "Transfer-Encoding: chunked"), "illegal chunk"),
        (page("x" * 40_000, "X: " + "y" * 40_000), "too long"),
        ("220 this is mail\r\n\r\n", "no web server"),
        ("", "cut off"),
    ],
)
async def test_pages_that_try_to_do_harm_end_with_an_error(answer: str, words: str) -> None:
    async with web(answer) as (url, _):
        with pytest.raises(PageError, match=words):
            await fetch(url, tls=TLS, seconds=2)


async def test_redirects_on_the_same_host_are_followed_a_few_times() -> None:
    there = page("", "Location: /there", status="301 Moved")
    async with web(there, page("found")) as (url, host):
        assert await fetch(url, tls=TLS, seconds=2) == b"found"
    assert host.heard[1].startswith("GET /there ")
    async with web(*[there] * 9) as (url, host):
        with pytest.raises(PageError, match="circles"):
            await fetch(url, tls=TLS, seconds=2)
    assert len(host.heard) < 6


async def test_the_first_page_that_answers_counts_and_troubles_are_kept() -> None:
    async with web(page("", status="404 Not Found"), page(CONFIG.decode())) as (url, _):
        pages = ((Source.AUTOCONFIG, f"{url}/a"), (Source.DIRECTORY, f"{url}/b"))
        search = await from_pages(pages, tls=TLS, seconds=2)
    assert [it.source for it in search.found] == [Source.DIRECTORY] * 2
    assert len(search.troubles) == 1


def test_the_pages_are_known_beforehand_and_a_directory_comes_last() -> None:
    pages = autoconfig_pages("isp.example", "https://directory.example/v1.1/")
    assert pages[-1] == (Source.DIRECTORY, "https://directory.example/v1.1/isp.example")
    assert all("isp.example" in url for _, url in pages)
    assert pages[0][1].startswith("https://")
