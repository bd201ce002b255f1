"""Outgoing mail of our people is signed, forwarded mail sealed, and nothing else."""

from datetime import date
from pathlib import Path
from typing import Any

import dkim
import pytest

from posthouse.authentication.signatures.arc_verification import verify_chain
from posthouse.authentication.signatures.arriving import arrived
from posthouse.authentication.signatures.keys import Kind
from posthouse.authentication.signatures.verification import verify_message
from posthouse.delivery.content import WHOLE_OCTETS_MAX, Content
from posthouse.delivery.outcomes import Delivered, Outcome
from posthouse.delivery.routes import Exchangers, Route, TlsWish
from posthouse.delivery.signing import KeyRing, Post, SigningCarrier, own_results
from posthouse.delivery.signing_keys import KeyFileError, SigningKeys, StoredKey
from posthouse.dns.answers import Answer, NoSuchName, TemporaryFailure, TextResult
from posthouse.mail.message import split_header
from posthouse.spool.records import Work
from posthouse.telemetry.events import LogEvent, Noted
from tests.authentication.signatures.given import zone
from tests.delivery.given import CONTENT, Clock, content, work

ROUTE = Route(Exchangers(25), TlsWish.OPPORTUNISTIC)
FROM_STRANGER: dict[str, Any] = {"listener": "mx", "client": "203.0.113.9"}
RESULTS = b"Authentication-Results: mail.ours.example;\r\n\tspf=pass;\r\n\tarc=none\r\n"


class Wire:
    """Takes what would be sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def deliver(self, route: Route, work: Work, content: Content) -> dict[int, Outcome]:
        octets = content.whole()
        assert len(octets) == content.octets
        assert b"".join([part async for part in content.blocks()]) == octets
        self.sent.append(octets)
        return {place: Delivered("250 ok") for place in work.indices}

    async def close(self) -> None:
        return None


class Place:
    """A carrier with its keys and its DNS."""

    def __init__(self, directory: Path) -> None:
        self.keys = SigningKeys(directory / "dkim")
        self.clock = Clock()
        self.log: list[LogEvent] = []
        self.dns: dict[str, tuple[str, ...]] = {}
        self.silent = False
        self.wire = Wire()
        self.ring = KeyRing(self.keys, self.texts, now=self.clock, log=self.log.append)
        self.carrier = SigningCarrier(
            self.wire, self.ring, Post("mail.ours.example", "ours.example"), self.clock
        )

    async def texts(self, name: str) -> TextResult:
        if self.silent:
            return TemporaryFailure(name, "no name server answered")
        values = self.dns.get(name)
        return Answer(values, name, 60.0) if values else NoSuchName(name)

    def add(self, kind: Kind, *, published: bool = True, selector: str = "") -> StoredKey:
        key = self.keys.add("ours.example", kind, date(2026, 5, 4), selector)
        if published:
            self.dns[key.name] = (key.record,)
        self.clock.forward(seconds=10)
        return key

    async def sent(self, octets: bytes = CONTENT, number: int = 1, **envelope: Any) -> bytes:
        one = work(**envelope)
        one = Work(f"0TEST{number:06}", one.destination, one.envelope, len(octets), one.recipients)
        await self.carrier.deliver(ROUTE, one, content(octets))
        return self.wire.sent[-1]

    async def results(self, octets: bytes) -> list[str]:
        found = await verify_message(arrived(octets), zone(self.dns), self.clock())
        return [f"{one.result} {one.algorithm} {one.domain}" for one in found]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_mail_of_our_people_is_signed_with_every_key(place: Place) -> None:
    place.add(Kind.RSA)
    place.add(Kind.ED25519)
    octets = await place.sent(account="ann@ours.example", listener="submission")
    assert octets.endswith(CONTENT)
    assert sorted(await place.results(octets)) == [
        "pass ed25519-sha256 ours.example",
        "pass rsa-sha256 ours.example",
    ]
    record = place.dns
    assert dkim.verify(octets, dnsfunc=lambda name, timeout: record[name.decode()[:-1]][0].encode())


async def test_reports_that_we_made_are_signed_too(place: Place) -> None:
    place.add(Kind.RSA)
    assert await place.results(await place.sent(client="", listener=""))


async def test_a_stranger_gets_no_signature_of_ours(place: Place) -> None:
    place.add(Kind.RSA)
    assert await place.sent(**FROM_STRANGER) == CONTENT


@pytest.mark.parametrize(
    "head",
    [
        b"Subject: no author\r\n\r\n",
        b"From: a@ours.example, b@theirs.example\r\n\r\n",
        b"From: a@ours.example\r\nFrom: b@ours.example\r\n\r\n",
        b"From: a@theirs.example\r\n\r\n",
    ],
)
async def test_mail_that_is_not_of_one_domain_of_ours_goes_as_it_is(
    place: Place, head: bytes
) -> None:
    place.add(Kind.ED25519)
    assert await place.sent(head) == head


async def test_subdomains_are_signed_for_by_the_domain_above(place: Place) -> None:
    place.add(Kind.ED25519)
    octets = await place.sent(b"From: a@news.ours.example\r\n\r\nhi\r\n")
    assert await place.results(octets) == ["pass ed25519-sha256 ours.example"]


async def test_large_mail_is_signed_without_holding_it(place: Place) -> None:
    place.add(Kind.ED25519)
    large = CONTENT + b"A long line of nothing much.\r\n" * (WHOLE_OCTETS_MAX // 20)
    octets = await place.sent(large)
    assert await place.results(octets) == ["pass ed25519-sha256 ours.example"]


async def test_a_key_is_used_once_its_record_is_there(place: Place) -> None:
    key = place.add(Kind.ED25519, published=False)
    assert await place.sent() == CONTENT
    assert await place.sent() == CONTENT
    noted = [event for event in place.log if isinstance(event, Noted)]
    assert len(noted) == 1, "it is told once, not for every message"
    assert key.name in noted[0].text
    place.dns[key.name] = ("something else", key.record)
    assert await place.sent() != CONTENT


async def test_a_silent_dns_changes_nothing(place: Place) -> None:
    place.add(Kind.ED25519)
    place.silent = True
    assert await place.sent() == CONTENT
    place.silent = False
    assert await place.sent() != CONTENT
    place.silent = True
    assert await place.sent(number=2) != CONTENT


async def test_keys_change_with_overlap_while_the_server_runs(place: Place) -> None:
    old = place.add(Kind.ED25519, selector="old")
    before = await place.sent()
    place.add(Kind.ED25519, selector="new")
    place.keys.retire("ours.example", "old", date(2026, 5, 5))
    place.clock.forward(seconds=10)
    after = await place.sent(number=2)
    assert b"s=old;" in before
    assert b"s=new;" in after
    assert b"s=old;" not in after
    assert await place.results(before) == await place.results(after)
    (retired,) = [key for key in place.keys.of("ours.example") if key.retired]
    assert (retired.selector, retired.record_goes) == (old.selector, date(2026, 5, 12))


async def test_one_message_for_many_hops_is_signed_once(place: Place) -> None:
    place.add(Kind.RSA)
    first = await place.sent()
    place.clock.forward(hours=1)
    assert await place.sent() == first


async def test_forwarded_mail_is_sealed_with_what_was_found_when_it_came(place: Place) -> None:
    place.add(Kind.RSA)
    place.add(Kind.ED25519)
    octets = await place.sent(RESULTS + CONTENT, **FROM_STRANGER)
    assert octets.startswith(b"ARC-Seal: i=1; a=rsa-sha256;")
    assert b"ARC-Authentication-Results: i=1; mail.ours.example;\r\n\tspf=pass" in octets
    arc = await verify_chain(arrived(octets), zone(place.dns))
    assert (arc.result, arc.domain) == ("pass", "ours.example")
    place.carrier.post = Post("mail.ours.example", "")
    assert await place.sent(RESULTS + CONTENT, 2, **FROM_STRANGER) == RESULTS + CONTENT


async def test_a_broken_key_file_is_told_and_stops_nothing(place: Place) -> None:
    place.add(Kind.ED25519)
    (place.keys._directory / "ours.example" / "bad.pem").write_text("no key")
    assert await place.sent() == CONTENT
    assert isinstance(place.log[0], Noted)
    with pytest.raises(KeyFileError, match="no private key in PEM form"):
        place.keys.of("ours.example")
    bad = place.keys._directory / "ours.example" / "bad.pem"
    bad.write_bytes((bad.parent / "2026-05-ed25519.pem").read_bytes())
    place.clock.forward(seconds=10)
    assert await place.sent() != CONTENT


def test_only_our_own_results_are_believed() -> None:
    theirs = b"Authentication-Results: mail.ours.example.evil.example; arc=pass\r\n"
    header = split_header(theirs + RESULTS + b"\r\n")
    assert own_results(header, "mail.ours.example").startswith(b"mail.ours.example;\tspf=pass")
    assert own_results(split_header(theirs), "mail.ours.example") == b""
