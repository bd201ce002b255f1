"""A running server with a DNS: what it signs, what it finds, what it forwards and gets back."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import dkim
import pytest

from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.authentication.signatures.keys import Kind, generate, record_of
from posthouse.authentication.signatures.signing import Signer, sign_message
from posthouse.cli.installation import now
from posthouse.lab.hosts import wait_for
from posthouse.lab.zones import Zones, ZoneServer
from posthouse.mail.address import parse_mailbox
from tests.cli.commands import command
from tests.delivery.sink import Mail
from tests.end_to_end.server import ANN, BOB, ELSEWHERE, SIGNED_IN, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Talk, signed_in

pytestmark = pytest.mark.slow
THEIRS = Signer("example.com", "t1", generate(Kind.ED25519))
CAROL = "carol@adatum.com"
MESSAGE = b"From: Eve <eve@example.com>\r\nTo: sales@proseware.com\r\nSubject: hi\r\n\r\nHello.\r\n"
OURS = b"From: <ann@proseware.com>\r\nTo: <carol@adatum.com>\r\nSubject: %s\r\n\r\nHello.\r\n"
DNS = '\n[dns]\nservers = ["127.0.0.1:{port}"]\n'


@contextmanager
def zones_served() -> Iterator[tuple[Zones, int]]:
    """Run a name server in a thread of its own."""
    zones = Zones()
    server = ZoneServer(zones, "127.0.0.1")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="zones", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield zones, server.port
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def path_in(command: str) -> str:
    """The address in MAIL or RCPT."""
    return command.partition("<")[2].partition(">")[0]


class Place:
    """The server, its DNS, and the rest of the world."""

    def __init__(self, server: Server, zones: Zones, sink: Sink) -> None:
        self.server, self.zones, self.sink = server, zones, sink

    def sent(self, subject: bytes) -> Mail:
        """What arrived outside with this subject."""

        def look() -> list[Mail]:
            return [it for it in self.sink.mails if b"Subject: " + subject in it.content]

        wait_for(look, 15)
        (found,) = look()
        paths = [path_in(it) for it in (found.sender, *found.recipients)]
        return replace(found, sender=paths[0], recipients=paths[1:])

    def texts(self, name: bytes, timeout: int = 5) -> bytes | None:
        """What dkimpy asks for."""
        found = self.zones._records.get((name.decode().rstrip("."), "TXT"))
        return found[0].replace('" "', "").strip('"').encode() if found else None


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with zones_served() as (zones, port), sinking() as sink:
        zones.put("t1._domainkey.example.com", "TXT", f'"{record_of(THEIRS.key)}"')
        zones.put("example.com", "TXT", '"v=spf1 -all"')
        zones.put("_dmarc.example.com", "TXT", '"v=DMARC1; p=reject"')
        text = configuration(SIGNED_IN, DNS.format(port=port), via=f"smtp://127.0.0.1:{sink.port}")
        directory = tmp_path_factory.mktemp("believed")
        with running(directory, text, ANN, BOB) as server:
            store = SqliteAccountStore(server.storage / "accounts.db")
            store.add_alias(parse_mailbox("sales@proseware.com"), [parse_mailbox(CAROL)])
            store.close()
            yield Place(server, zones, sink)


@pytest.fixture
def published(place: Place) -> list[str]:
    """Selectors of keys that were made by the command line and put into DNS."""
    file = str(place.server.file)
    keys = command("--config", file, "--json", "dkim", "key", "list").json["keys"]
    if not keys:
        added = command("--config", file, "--json", "dkim", "key", "add", "proseware.com")
        keys = added.json["keys"]
        for key in keys:
            text = key["record"]
            place.zones.put(key["name"], "TXT", f'"{text[:200]}" "{text[200:]}"')
    return [key["selector"] for key in keys]


def bring(place: Place, sender: str, recipient: str, content: bytes) -> int:
    with Talk(place.server.place("mx"), place=ELSEWHERE) as client:
        client.say("EHLO mail.example.com")
        return client.mail(sender, recipient, content=content.removesuffix(b"\r\n")).code


def test_mail_of_our_people_is_signed_as_soon_as_keys_are_published(
    place: Place, published: list[str]
) -> None:
    with signed_in(place.server.place("submissions"), ANN) as client:
        assert client.mail(ANN.name, CAROL, content=OURS % b"one").code == 250
    octets = place.sent(b"one").content
    assert octets.count(b"DKIM-Signature:") == len(published) == 2
    for place_in_message in range(2):
        assert dkim.DKIM(octets).verify(idx=place_in_message, dnsfunc=place.texts)


def test_what_strangers_bring_is_told_in_the_message_and_in_the_case(place: Place) -> None:
    genuine = sign_message(MESSAGE, [THEIRS], now()) + MESSAGE
    assert bring(place, "eve@example.com", BOB.name, genuine) == 250
    (mail,) = place.server.wait_for_mail("bob")
    assert b"spf=fail" in mail
    assert b"dkim=pass header.d=example.com" in mail
    assert b"dmarc=pass header.from=example.com" in mail
    told = command("--config", str(place.server.file), "--json", "decisions", "search",
                   "--person", "eve@example.com")  # fmt: skip
    assert "DMARC passes" in told.out


def test_forwarded_mail_is_rewritten_and_sealed_and_its_bounce_comes_back(
    place: Place, published: list[str]
) -> None:
    content = MESSAGE.replace(b"hi", b"forwarded")
    genuine = sign_message(content, [THEIRS], now()) + content
    assert bring(place, "eve@example.com", "sales@proseware.com", genuine) == 250
    mail = place.sent(b"forwarded")
    assert mail.recipients == [CAROL]
    assert mail.sender.startswith("SRS0=")
    assert mail.sender.endswith("=example.com=eve@proseware.com")
    verdict, _, why = dkim.arc_verify(mail.content, dnsfunc=place.texts)
    assert (verdict, why) == (b"pass", "success")
    assert dkim.DKIM(mail.content).verify(dnsfunc=place.texts), "the author's own still holds"

    report = b"From: <mailer-daemon@adatum.com>\r\nSubject: came back\r\n\r\nNo.\r\n"
    assert bring(place, "", mail.sender, report) == 250
    assert place.sent(b"came back").recipients == ["eve@example.com"]
    assert bring(place, "eve@example.com", mail.sender, report) == 550
    forged = "SRS0=AAAAAAAA=TT=adatum.com=carol@proseware.com"
    assert bring(place, "", forged, report) == 550
