"""Reports about TLS: counted, kept, written, sent."""

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from ipaddress import ip_address
from pathlib import Path

import pytest

from posthouse.delivery import tls_results
from posthouse.delivery.mta_sts import Mode, Policy
from posthouse.delivery.next_hosts import Host
from posthouse.delivery.tls_report import (
    Submitter,
    mailbox_in,
    message_of,
    places_in,
    report_of,
)
from posthouse.delivery.tls_reporter import TlsReporter
from posthouse.delivery.tls_results import TlsResults
from posthouse.delivery.tls_terms import OURS, Assurance, Basis, Trouble
from posthouse.dns.answers import Answer, NoSuchName, TemporaryFailure, TextResult, TlsaRecord
from posthouse.mail.address import Mailbox
from posthouse.mail.envelope import Envelope
from posthouse.telemetry.events import LogEvent
from posthouse.wire.https import HttpsError, Page

US = Submitter("mail.ours.example", Mailbox("postmaster", "ours.example"), "Ours")
MX = Host("mx.adatum.com", ip_address("192.0.2.1"), 25)
STS = Assurance(Basis.STS, policy=Policy(Mode.ENFORCE, ("*.adatum.com",), timedelta(days=7)))
DANE = Assurance(Basis.DANE, (TlsaRecord(3, 1, 1, bytes(32)),))
DAY = timedelta(days=1)
RUA = "v=TLSRPTv1; rua=mailto:tls@adatum.com"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def results(clock: Clock, tmp_path: Path) -> TlsResults:
    return TlsResults(tmp_path / "tls_results.json", now=clock)


def fill(results: TlsResults) -> None:
    results.note("adatum.com", MX, STS, None, "")
    for _ in range(2):
        words = "certificate has expired"
        results.note("adatum.com", MX, STS, Trouble.EXPIRED, words, "198.51.100.7")
    results.note("adatum.com", MX, DANE, None, "")
    results.note("adatum.com", MX, OURS, Trouble.NO_STARTTLS, "")


def test_a_report_says_what_was_counted(results: TlsResults, clock: Clock) -> None:
    fill(results)
    assert results.finished() == ()
    clock.now += DAY
    (day,) = results.finished()
    report = json.loads(gzip.decompress(report_of(day, US, "1@mail.ours.example")))
    assert report == {
        "organization-name": "Ours",
        "date-range": {
            "start-datetime": "2026-05-04T00:00:00Z",
            "end-datetime": "2026-05-04T23:59:59Z",
        },
        "contact-info": "postmaster@ours.example",
        "report-id": "1@mail.ours.example",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": [
                        "version: STSv1", "mode: enforce", "mx: *.adatum.com", "max_age: 604800",
                    ],
                    "policy-domain": "adatum.com",
                    "mx-host": ["*.adatum.com"],
                },
                "summary": {
                    "total-successful-session-count": 1,
                    "total-failure-session-count": 2,
                },
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "receiving-mx-hostname": "mx.adatum.com",
                        "failed-session-count": 2,
                        "sending-mta-ip": "198.51.100.7",
                        "receiving-ip": "192.0.2.1",
                        "failure-reason-code": "certificate has expired",
                    }
                ],
            },
            {
                "policy": {
                    "policy-type": "tlsa",
                    "policy-string": [f"3 1 1 {'00' * 32}"],
                    "policy-domain": "adatum.com",
                    "mx-host": ["mx.adatum.com"],
                },
                "summary": {
                    "total-successful-session-count": 1,
                    "total-failure-session-count": 0,
                },
            },
            {
                "policy": {"policy-type": "no-policy-found", "policy-domain": "adatum.com"},
                "summary": {
                    "total-successful-session-count": 0,
                    "total-failure-session-count": 1,
                },
                "failure-details": [
                    {
                        "result-type": "starttls-not-supported",
                        "receiving-mx-hostname": "mx.adatum.com",
                        "failed-session-count": 1,
                        "receiving-ip": "192.0.2.1",
                    }
                ],
            },
        ],
    }  # fmt: skip


def test_the_message_is_one_that_others_can_read(results: TlsResults, clock: Clock) -> None:
    fill(results)
    clock.now += DAY
    (day,) = results.finished()
    octets = message_of(day, Mailbox("tls", "adatum.com"), US, "ABC123", clock.now)
    assert max(map(len, octets.split(b"\r\n"))) < 200
    assert b"\n" not in octets.replace(b"\r\n", b"")
    mail = message_from_bytes(octets, policy=policy.default)
    assert mail["From"] == "postmaster@ours.example"
    assert mail["TLS-Report-Domain"] == "adatum.com"
    assert mail["TLS-Report-Submitter"] == "mail.ours.example"
    assert mail["TLS-Required"] == "No"
    assert mail["Subject"].startswith("Report Domain: adatum.com Submitter: mail.ours.example")
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "tlsrpt"
    text, attached = mail.iter_parts()
    assert "protected as they should be: 2" in text.get_content()
    assert attached.get_content_type() == "application/tlsrpt+gzip"
    name = "mail.ours.example!adatum.com!1777852800!1777939199!ABC123.json.gz"
    assert attached.get_filename() == name
    assert json.loads(gzip.decompress(attached.get_content()))["organization-name"] == "Ours"


@pytest.mark.parametrize(
    ("texts", "places"),
    [
        ([RUA], ("mailto:tls@adatum.com",)),
        (
            ["v=TLSRPTv1;rua=mailto:a@b.com,https://b.com/in"],
            ("mailto:a@b.com", "https://b.com/in"),
        ),
        (["v=TLSRPTv1; rua=http://b.com/in, ftp:x"], ()),
        (["v=TLSRPTv1; rua="], ()),
        ([RUA, RUA], ()),
        (["v=spf1 -all"], ()),
        (["v=TLSRPTv1; rua=" + ",".join(["mailto:a@b.com"] * 9)], ("mailto:a@b.com",) * 4),
    ],
)
def test_where_reports_go(texts: Sequence[str], places: tuple[str, ...]) -> None:
    assert places_in(texts) == places


def test_a_mailto_names_one_address() -> None:
    assert mailbox_in("mailto:tls%2Breports@adatum.com?x=y") == Mailbox("tls+reports", "adatum.com")
    assert mailbox_in("mailto:a@b.com%0d%0aBcc:c@d.com") is None
    assert mailbox_in("mailto:") is None


def test_counts_survive_a_restart_and_damage_is_begun_anew(
    results: TlsResults, clock: Clock, tmp_path: Path
) -> None:
    fill(results)
    octets = results.octets_to_save()
    assert octets is not None
    results.save(octets)
    assert results.octets_to_save() is None
    clock.now += DAY
    path = tmp_path / "tls_results.json"
    assert TlsResults(path, now=clock).finished() == results.finished()
    path.write_bytes(b"[{")
    assert TlsResults(path, now=clock).finished() == ()


def test_everything_has_a_limit(
    results: TlsResults, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_results, "DOMAINS_MAX", 3)
    for number in range(100):
        results.note(f"d{number}.example", MX, OURS, None, "")
        results.note("d0.example", MX, OURS, Trouble.VALIDATION, f"words {number} " + "x" * 9999)
        dane = Assurance(Basis.DANE, (TlsaRecord(3, 1, 1, bytes([number]) * 32),))
        results.note("d0.example", MX, dane, None, "")
    clock.now += DAY
    days = results.finished()
    assert [it.domain for it in days] == ["d0.example", "d1.example", "d2.example"]
    assert len(days[0].tallies) == tls_results.POLICIES_MAX
    assert days[0].tallies[0].failures == 100
    assert len(days[0].tallies[0].details) == tls_results.FAILURES_MAX
    clock.now += 4 * DAY
    assert results.finished() == ()


def test_a_policy_that_cannot_be_had_is_a_policy(results: TlsResults, clock: Clock) -> None:
    results.note("adatum.com", MX, Assurance(trouble=Trouble.STS_FETCH), Trouble.STS_FETCH, "")
    clock.now += DAY
    assert [it.policy.kind for it in results.finished()[0].tallies] == ["sts"]


def test_nothing_is_counted_where_nothing_is_sent(results: TlsResults, clock: Clock) -> None:
    results.counting = False
    fill(results)
    clock.now += DAY
    assert results.finished() == ()


# ---------------------------------------------------------------- sending


class World:
    """DNS, the web and the spool, by hand."""

    def __init__(self) -> None:
        self.record: TextResult = Answer((RUA,), "x", 60)
        self.handed: list[tuple[str, Envelope, bytes]] = []
        self.posted: list[tuple[str, int, str, bytes, str]] = []
        self.web_is_down = False
        self.log: list[LogEvent] = []

    async def txt(self, name: str) -> TextResult:
        assert name == "_smtp._tls.adatum.com"
        return self.record

    async def post(
        self, host: str, path: str, body: bytes, media_type: str, *, port: int = 443
    ) -> Page:
        if self.web_is_down:
            raise HttpsError("down")
        self.posted.append((host, port, path, body, media_type))
        return Page("", b"")

    async def hand(self, message_id: str, envelope: Envelope, content: bytes) -> None:
        self.handed.append((message_id, envelope, content))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def reporter(world: World, results: TlsResults, clock: Clock) -> TlsReporter:
    return TlsReporter(
        results, world, world, world.hand, US,
        new_id=lambda: "0ABC", now=clock, log=world.log.append,
    )  # fmt: skip


async def test_a_report_is_mailed_once_after_the_day_is_over(
    reporter: TlsReporter, world: World, results: TlsResults, clock: Clock
) -> None:
    fill(results)
    await reporter.report()
    clock.now = datetime(2026, 5, 5, 0, 5, tzinfo=UTC)
    await reporter.report()
    assert world.handed == []
    clock.now += timedelta(minutes=10)
    await reporter.report()
    clock.now += timedelta(hours=2)
    await reporter.report()
    ((message_id, envelope, content),) = world.handed
    assert message_id == "0ABC"
    assert envelope.reverse_path.is_null
    assert [str(it.mailbox) for it in envelope.recipients] == ["tls@adatum.com"]
    assert b"Report Domain: adatum.com" in content


async def test_a_report_is_posted_and_tried_again_in_an_hour(
    reporter: TlsReporter, world: World, results: TlsResults, clock: Clock
) -> None:
    fill(results)
    clock.now += DAY
    world.record = Answer(("v=TLSRPTv1; rua=https://reports.example:8443/in?k=1",), "x", 60)
    world.web_is_down = True
    await reporter.report()
    world.web_is_down = False
    await reporter.report()
    assert world.posted == []
    clock.now += timedelta(hours=1)
    await reporter.report()
    ((host, port, path, body, media_type),) = world.posted
    assert (host, port, path) == ("reports.example", 8443, "/in?k=1")
    assert media_type == "application/tlsrpt+gzip"
    assert json.loads(gzip.decompress(body))["contact-info"] == "postmaster@ours.example"
    assert results.finished() == ()


@pytest.mark.parametrize(
    ("record", "left"),
    [
        (NoSuchName("x"), 0),
        (TemporaryFailure("x", "down"), 1),
        (Answer(("v=TLSRPTv1; rua=mailto:nobody",), "x", 60), 1),
        (Answer(("v=TLSRPTv1; rua=https://a.example:99999/",), "x", 60), 1),
    ],
)
async def test_who_wants_no_report_gets_none(
    record: TextResult, left: int, reporter: TlsReporter, world: World,
    results: TlsResults, clock: Clock,
) -> None:  # fmt: skip
    fill(results)
    clock.now += DAY
    world.record = record
    await reporter.report()
    assert not world.handed
    assert not world.posted
    assert [it.day for it in results.finished()] == [date(2026, 5, 4)] * left
