"""Binary and 8-bit content on ways that cannot carry it: converted or returned, never damaged."""

import ssl
from collections.abc import AsyncIterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from posthouse.accounts.store import Resolution
from posthouse.authentication.signatures.keys import Kind
from posthouse.delivery.bounce import Reporter, Site
from posthouse.delivery.content import WHOLE_OCTETS_MAX, Content
from posthouse.delivery.local import CaptureDelivery, LocalDelivery
from posthouse.delivery.opening import Manners, TlsContexts
from posthouse.delivery.outcomes import Delivered, Failed, Outcome
from posthouse.delivery.retry import Patience
from posthouse.delivery.routes import Exchangers, Route
from posthouse.delivery.tally import tally
from posthouse.delivery.transport import Transport
from posthouse.mail.address import Mailbox
from posthouse.mail.reencoding import ConversionError, Fit
from posthouse.spool.records import Work
from tests.delivery.given import ANN, CALM, NOON, FixedHosts, content, host, recipient, work
from tests.delivery.sink import EXTENSIONS, Sink
from tests.delivery.test_signing import Place

HEADER = b"From: ann@ours.example\r\nSubject: hi\r\nMIME-Version: 1.0\r\n"
SMUGGLED = b"a\0b\nc\rd\r\n.\r\nMAIL FROM:<evil@x.example>\r\n.\n.\r\xff"
BINARY = HEADER + b"Content-Transfer-Encoding: binary\r\nContent-Type: image/x\r\n\r\n" + SMUGGLED
TEXT = (
    HEADER
    + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + "Grüße aus der Postkutschenstation\r\n".encode()
)
SIGNED = HEADER + (
    b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" + SMUGGLED + b"\r\n--b--\r\n"
)
PIPELINING = ("PIPELINING", "SIZE 10000000")
BINARY_TOO = (*EXTENSIONS, "CHUNKING", "BINARYMIME")


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    nobody = ssl.create_default_context()
    finder = FixedHosts(())
    made = Transport(finder, Manners("relay.ours.example", (), CALM), TlsContexts(nobody, nobody))
    yield made
    await made.close()


async def sent(transport: Transport, sink: Sink, octets: bytes, body: str) -> Outcome:
    finder = transport._hosts
    assert isinstance(finder, FixedHosts)
    finder.hosts = (host(sink.port),)
    outcomes = await transport.deliver(Route(Exchangers()), work(body=body), content(octets))
    return outcomes[0]


def payload(octets: bytes) -> bytes:
    decoded = message_from_bytes(octets).get_payload(decode=True)
    assert isinstance(decoded, bytes)
    return decoded


async def test_binary_goes_octet_for_octet_where_it_is_taken(transport: Transport) -> None:
    async with Sink(extensions=BINARY_TOO) as sink:
        assert isinstance(await sent(transport, sink, BINARY, "BINARYMIME"), Delivered)
    (mail,) = sink.mails
    assert mail.content == BINARY
    assert "BODY=BINARYMIME" in mail.sender


@pytest.mark.parametrize("size", [1, WHOLE_OCTETS_MAX // len(SMUGGLED) + 1])
@pytest.mark.parametrize("extensions", [EXTENSIONS, PIPELINING, (*EXTENSIONS, "CHUNKING")])
async def test_binary_is_converted_for_all_others(
    transport: Transport, extensions: tuple[str, ...], size: int
) -> None:
    async with Sink(extensions=extensions) as sink:
        result = await sent(transport, sink, BINARY + SMUGGLED * (size - 1), "BINARYMIME")
        assert isinstance(result, Delivered)
    (mail,) = sink.mails
    assert payload(mail.content) == SMUGGLED * size
    assert "BINARYMIME" not in mail.sender
    assert mail.content.isascii()
    assert f"SIZE={len(mail.content)}" in mail.sender


async def test_eight_bits_are_converted_for_a_host_that_knows_seven(transport: Transport) -> None:
    async with Sink(extensions=PIPELINING) as sink:
        assert isinstance(await sent(transport, sink, TEXT, "8BITMIME"), Delivered)
    (mail,) = sink.mails
    assert mail.content.isascii()
    assert b"Gr=C3=BC=C3=9Fe aus der" in mail.content
    assert payload(mail.content) == payload(TEXT)


@pytest.mark.parametrize("body", ["7BIT", "8BITMIME"])
async def test_eight_bits_are_announced_and_kept_where_they_are_taken(
    transport: Transport, body: str
) -> None:
    async with Sink() as sink:
        assert isinstance(await sent(transport, sink, TEXT, body), Delivered)
    (mail,) = sink.mails
    assert mail.content == TEXT
    assert "BODY=8BITMIME" in mail.sender


async def test_what_is_signed_is_returned_rather_than_broken(transport: Transport) -> None:
    async with Sink() as sink:
        result = await sent(transport, sink, SIGNED, "BINARYMIME")
    assert isinstance(result, Failed)
    assert result.status == "5.6.3"
    assert "multipart/signed" in result.words
    assert sink.mails == []


@pytest.mark.parametrize("captured", [False, True])
async def test_a_mailbox_gets_lines(tmp_path: Path, captured: bool) -> None:
    here = CaptureDelivery(tmp_path, print)
    ours = LocalDelivery(lambda _: Resolution(("ann",)), lambda _: tmp_path, print)
    way = here if captured else ours
    to = work(recipient("ann@ours.example"), body="BINARYMIME")
    assert isinstance((await way.deliver(to, content(BINARY)))[0], Delivered)
    (kept,) = (tmp_path / "new").iterdir()
    assert payload(kept.read_bytes()) == SMUGGLED
    failed = (await way.deliver(to, content(SIGNED)))[0]
    assert isinstance(failed, Failed)
    assert failed.status == "5.6.3"


async def test_what_is_converted_is_signed_as_it_is_sent(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.add(Kind.RSA)

    async def narrow(route: Route, work: Work, content: Content) -> dict[int, Outcome]:
        fitted = await content.fitted(Fit.SEVEN_BIT)
        place.wire.sent.append(fitted.whole())
        return {0: Delivered("250 ok")}

    place.wire.deliver = narrow  # type: ignore[method-assign]
    octets = await place.sent(TEXT, account="ann@ours.example", body="8BITMIME")
    assert octets.isascii()
    assert await place.results(octets) == ["pass rsa-sha256 ours.example"]
    plain = await place.sent(HEADER + b"\r\nhello\r\n", 2, account="ann@ours.example")
    assert await place.results(plain) == ["pass rsa-sha256 ours.example"]


@pytest.mark.parametrize("octets", [BINARY, SIGNED])
def test_a_report_quotes_binary_in_lines_or_not_at_all(octets: bytes) -> None:
    about: dict[str, Any] = {"body": "BINARYMIME", "return_content": "FULL"}
    ended = tally(work(**about), {0: Failed("5.1.1", "no")}, NOON, Patience(), spread=0.0)
    reporter = Reporter(
        Site("mx.ours.example", ANN, Mailbox("postmaster", "ours.example")),
        Patience(),
        lambda: "0REPORT0001",
    )
    (report,) = reporter.settlement(ended, content(octets)).offspring
    assert report.content.count(b"\n") == report.content.count(b"\r\n")
    assert report.content.isascii()
    assert b"\0" not in report.content
    assert b"Subject: hi\r\n" in report.content


async def test_no_conversion_no_content() -> None:
    with pytest.raises(ConversionError):
        await content(SIGNED).fitted(Fit.EIGHT_BIT)
    plain = content(HEADER + b"\r\nhello\r\n")
    assert await plain.fitted(Fit.SEVEN_BIT) is plain
