"""Our reports, read by Mail::DeliveryStatus::BounceParser of Perl: who failed, and why."""

import subprocess
from datetime import UTC, datetime

import pytest

from posthouse.doctor.report_words import Circumstances, tell
from posthouse.doctor.translation import LANGUAGES
from posthouse.mail.address import Mailbox
from posthouse.mail.delivery_status import Action, DeliveryStatus, RecipientStatus
from posthouse.mail.report import Report, compose

READS = """
use Mail::DeliveryStatus::BounceParser;
local $/;
my $read = Mail::DeliveryStatus::BounceParser->new(<STDIN>);
print $read->is_bounce ? "bounce" : "none", " ", $read->orig_message_id // "", "\\n";
print join(" ", map { $_ // "" } ($_->get("email"), $_->get("std_reason"), $_->get("smtp_code"))),
    "\\n" for $read->reports;
"""
MODULE = "-MMail::DeliveryStatus::BounceParser"
ORIGINAL = b"From: ann@example.com\r\nMessage-ID: <1@example.com>\r\nSubject: hi\r\n\r\nhello\r\n"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def perl_reads() -> bool:
    try:
        asked = subprocess.run(["perl", MODULE, "-e1"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return asked.returncode == 0


pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not perl_reads(), reason="the parser is not installed (make peers)"),
]


def read_by_perl(report: bytes) -> list[str]:
    """What the parser says of a report as a mailbox of Unix holds it."""
    stored = report.replace(b"\r\n", b"\n")
    ran = subprocess.run(["perl", "-e", READS], input=stored, capture_output=True, check=True)
    return ran.stdout.decode().splitlines()


def composed(language: str, action: Action, *those: tuple[str, str, str]) -> bytes:
    recipients = tuple(
        RecipientStatus(
            Mailbox(name, "example.org"), action, status, words, "mx.example.org [192.0.2.9]",
            last_attempt=NOON,
        )
        for name, status, words in those
    )  # fmt: skip
    status = DeliveryStatus("mx.example.com", recipients, "", NOON)
    postmaster = Mailbox("postmaster", "example.com")
    report = Report(status, Mailbox("ann", "example.com"), postmaster, "7K2M9QXA", NOON, "FULL")
    return compose(report, tell(status, Circumstances("hi", "7K2M9QXA"), language), ORIGINAL)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_recipient_that_failed_is_found_with_its_reason(language: str) -> None:
    report = composed(
        language,
        Action.FAILED,
        ("bob", "5.1.1", "550 5.1.1 no such user"),
        ("eve", "5.2.2", "552 5.2.2 the mailbox is full"),
        ("dan", "5.7.1", "550 5.7.1 not wanted"),
    )
    assert read_by_perl(report) == [
        "bounce <1@example.com>",
        "bob@example.org user_unknown 550",
        "eve@example.org over_quota 552",
        "dan@example.org unknown 550",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_delay_is_no_bounce(language: str) -> None:
    told = ("bob", "4.4.1", "451 4.4.1 try again later")
    (first, *_) = read_by_perl(composed(language, Action.DELAYED, told))
    assert first.startswith("none")
