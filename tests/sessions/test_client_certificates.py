"""A certificate of the client as a door: over real TLS, and told by a proxy."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from msgspec.structs import replace

from posthouse.policy.networks import NetworkTable
from posthouse.policy.rules import Door, DoorKind
from posthouse.server.tls import CertificateError, own_certificate, server_context
from posthouse.sessions.client_certificates import read_certificate
from tests.protocol.test_proxy import field, v2
from tests.sessions.post import LISTENERS, SIGNED_IN, Post, post, read_reply, rules_with

AUTHORITY = trustme.CA()
STRANGER = trustme.CA()
PRINTER = AUTHORITY.issue_cert("printer.example.com")
OTHER = AUTHORITY.issue_cert("other.example.com")
FOREIGN = STRANGER.issue_cert("printer.example.com")
LOOPBACK = NetworkTable([(ip_network("127.0.0.0/8"), 0)])


def fingerprint(certificate: trustme.LeafCert) -> str:
    pem = certificate.cert_chain_pems[0].bytes()
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()


def client_context(certificate: trustme.LeafCert | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        certificate.configure_cert(context)
    return context


@asynccontextmanager
async def opened(directory: Path, *names: str) -> AsyncIterator[Post]:
    door = Door(DoorKind.CERTIFICATE, "printers", certificates=frozenset(names))
    listeners = {it.name: replace(it, asks_certificate=True) for it in LISTENERS}
    rules = replace(rules_with(SIGNED_IN, door), listeners=listeners)
    authorities = directory / "clients.pem"
    AUTHORITY.cert_pem.write_to_path(authorities)
    async with post(directory, rules) as service:
        files = own_certificate(directory, rules.hostname, datetime.now(UTC))
        service.service.tls = server_context(*files, authorities)
        yield service


async def recipient_reply(
    service: Post, certificate: trustme.LeafCert | None, *, by_starttls: bool = False
) -> str:
    """Say MAIL and RCPT to a foreign domain; return the last reply, "" if there is no session."""
    name = "submission" if by_starttls else "submissions"
    context = client_context(certificate)
    with suppress(ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        first = None if by_starttls else context
        reader, writer = await asyncio.open_connection("127.0.0.1", service.ports[name], ssl=first)
        try:
            await read_reply(reader)
            if by_starttls:
                writer.write(b"EHLO a.example\r\nSTARTTLS\r\n")
                await read_reply(reader)
                await read_reply(reader)
                await writer.start_tls(context)
            writer.write(b"EHLO a.example\r\nMAIL FROM:<scan@proseware.com>\r\n")
            await read_reply(reader)
            said = await read_reply(reader)
            if said.startswith("250"):
                writer.write(b"RCPT TO:<far@far.example>\r\n")
                said = await read_reply(reader)
            return said
        finally:
            writer.close()
            with suppress(ssl.SSLError, ConnectionError):
                await writer.wait_closed()
    return ""


@pytest.mark.parametrize("by_starttls", [False, True])
async def test_a_listed_name_in_the_certificate_opens_the_door(
    tmp_path: Path, by_starttls: bool
) -> None:
    async with opened(tmp_path, "printer.example.com") as service:
        said = await recipient_reply(service, PRINTER, by_starttls=by_starttls)
        assert said.startswith("250"), said
        assert (await recipient_reply(service, OTHER, by_starttls=by_starttls)).startswith("530")
        assert (await recipient_reply(service, None, by_starttls=by_starttls)).startswith("530")
        assert await recipient_reply(service, FOREIGN, by_starttls=by_starttls) == "", "no session"


async def test_a_fingerprint_names_one_certificate(tmp_path: Path) -> None:
    async with opened(tmp_path, fingerprint(PRINTER)) as service:
        assert (await recipient_reply(service, PRINTER)).startswith("250")
        assert (await recipient_reply(service, OTHER)).startswith("530")


async def test_a_verified_name_may_be_told_by_a_proxy(tmp_path: Path) -> None:
    listeners = {it.name: replace(it, proxied_from=LOOPBACK) for it in LISTENERS}
    door = Door(DoorKind.CERTIFICATE, "printers", certificates=frozenset({"printer.example.com"}))
    async with post(tmp_path, replace(rules_with(door), listeners=listeners)) as service:
        for verify, opens in ((0, True), (1, False)):
            inner = field(0x21, b"TLSv1.3") + field(0x22, b"Printer.example.com")
            header = v2(fields=field(0x20, struct.pack(">BI", 0x07, verify) + inner))
            place = ("127.0.0.1", service.ports["devices"])
            reader, writer = await asyncio.open_connection(*place)
            writer.write(header)
            await read_reply(reader)
            writer.write(b"EHLO a\r\nMAIL FROM:<scan@proseware.com>\r\n")
            await read_reply(reader)
            assert (await read_reply(reader)).startswith("250") is opens
            writer.close()
            await writer.wait_closed()


def test_what_is_no_certificate_is_none() -> None:
    assert read_certificate(b"") is None
    assert read_certificate(b"\x30\x03\x02\x01\x00") is None
    der = ssl.PEM_cert_to_DER_cert(PRINTER.cert_chain_pems[0].bytes().decode())
    shown = read_certificate(der)
    assert shown is not None
    assert shown.names == {"printer.example.com"}
    assert shown.fingerprint == fingerprint(PRINTER)


def test_a_file_of_authorities_must_hold_certificates(tmp_path: Path) -> None:
    files = own_certificate(tmp_path, "mail.example.com", datetime.now(UTC))
    with pytest.raises(CertificateError, match="does not exist"):
        server_context(*files, tmp_path / "none.pem")
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(CertificateError, match="no certificates"):
        server_context(*files, tmp_path / "empty.pem")
    assert server_context(*files).asking is None
