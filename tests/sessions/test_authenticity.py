"""What strangers bring is examined: a field for mail programs, steps for the case."""

import asyncio
from ipaddress import ip_address
from typing import Any

import authres
import pytest
from msgspec.structs import replace

from posthouse.authentication.lookups import LookUp, LookUpError, Records
from posthouse.authentication.signatures.arriving import arrived
from posthouse.authentication.spf import Sender
from posthouse.mail.address import NULL, Mailbox, ReversePath
from posthouse.mail.message import split_header
from posthouse.sessions import authenticity
from posthouse.sessions.authenticity import (
    SILENT_SECONDS,
    SLOW_FAILURES_MAX,
    Asked,
    Authenticity,
    Examiner,
    Patience,
    authenticity_of,
    author_domain,
)
from posthouse.telemetry.events import BugMet, LogEvent
from tests.authentication.signatures.given import MESSAGE, NOON, ZONE, signed
from tests.authentication.zones import Zone, look_up_in

DNS: Zone = {
    **{name: [("TXT", text) for text in texts] for name, texts in ZONE.items()},
    "example.com": [("TXT", "v=spf1 ip4:192.0.2.0/24 -all"), ("A", "192.0.2.1")],
    "_dmarc.example.com": [("TXT", "v=DMARC1; p=reject")],
}
ANN = ReversePath(Mailbox("ann", "example.com"))
GENUINE = Asked(Sender(ip_address("192.0.2.5"), "a.example.com", ANN), "mx.post.example", NOON)
FORGED = replace(GENUINE, sender=replace(GENUINE.sender, address=ip_address("203.0.113.9")))


def results(found: Authenticity) -> dict[str, str]:
    field = found.field.decode().replace("\r\n", "")
    read = authres.AuthenticationResultsHeader.parse(field)
    assert read.authserv_id == "mx.post.example"
    return {each.method: each.result for each in read.results}


async def test_genuine_mail_passes_everything() -> None:
    found = await authenticity_of(arrived(signed()), GENUINE, look_up_in(DNS))
    assert results(found) == {"spf": "pass", "dkim": "pass", "dmarc": "pass", "arc": "none"}
    conclusions = [step for step in found.steps if step.question.endswith("passes")]
    assert [(step.question, step.answer) for step in conclusions] == [
        ("SPF passes", True),
        ("DKIM passes", True),
        ("DMARC passes", True),
    ]
    assert conclusions[-1].because == "pass: DKIM passed for example.com"


async def test_forged_mail_fails_and_the_steps_say_why() -> None:
    found = await authenticity_of(arrived(MESSAGE), FORGED, look_up_in(DNS))
    assert results(found) == {"spf": "fail", "dkim": "none", "dmarc": "fail", "arc": "none"}
    told = {step.question: step.because for step in found.steps}
    assert told["SPF passes"] == "fail: -all of example.com matches 203.0.113.9"
    assert told["DMARC passes"] == "fail: neither SPF nor DKIM passed for example.com"
    assert b'"neither SPF nor DKIM passed for example.com; p=reject"' in found.field


async def test_forwarded_mail_lives_by_its_signature() -> None:
    found = await authenticity_of(arrived(signed()), FORGED, look_up_in(DNS))
    assert results(found)["dmarc"] == "pass"


async def test_reports_are_told_by_the_name_in_ehlo() -> None:
    asked = replace(GENUINE, sender=replace(GENUINE.sender, reverse_path=NULL))
    found = await authenticity_of(arrived(signed()), asked, look_up_in(DNS))
    assert b"spf=none smtp.helo=a.example.com" in found.field


async def test_a_dns_that_never_answers_is_waited_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(name: str, kind: str) -> Records:
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(authenticity, "SECONDS_MAX", 0.02)
    found = await authenticity_of(arrived(signed()), GENUINE, never)
    assert results(found) == {
        "spf": "temperror",
        "dkim": "temperror",
        "dmarc": "temperror",
        "arc": "none",
    }


@pytest.mark.parametrize(
    ("header", "domain"),
    [
        (b"From: a@example.com\r\n", "example.com"),
        (b"From: a@example.com, b@example.com\r\n", "example.com"),
        (b"From: a@example.com, b@example.org\r\n", ""),
        (b"From: a@example.com\r\nFrom: a@example.com\r\n", ""),
        (b"From: nobody\r\n", ""),
        (b"Subject: x\r\n", ""),
    ],
)
def test_the_author_has_one_domain(header: bytes, domain: str) -> None:
    assert author_domain(split_header(header + b"\r\n")) == domain


async def examined(look_up: LookUp, log: list[LogEvent]) -> Authenticity:
    examiner = Examiner(look_up, log.append)
    message = examiner.begin()
    octets = signed()
    for start in range(0, len(octets), 50):
        message.take(octets[start : start + 50])
    message.end()
    done: asyncio.Future[Authenticity] = asyncio.get_running_loop().create_future()
    examiner.examine(message, GENUINE, done.set_result)
    found = await asyncio.wait_for(done, 5)
    await examiner.close()
    return found


async def test_the_examiner_calls_back() -> None:
    log: list[LogEvent] = []
    assert results(await examined(look_up_in(DNS), log))["dkim"] == "pass"
    assert log == []


async def test_a_bug_costs_the_field_and_not_the_message() -> None:
    async def broken(name: str, kind: str) -> Any:
        raise ZeroDivisionError("a bug")

    log: list[LogEvent] = []
    assert await examined(broken, log) == Authenticity()
    assert isinstance(log[0], BugMet)


async def test_closing_stops_what_is_under_way() -> None:
    async def slow(name: str, kind: str) -> Records:
        await asyncio.sleep(60)
        return Records()

    called: list[Authenticity] = []
    examiner = Examiner(slow, print)
    examiner.examine(arrived(signed()), GENUINE, called.append)
    await asyncio.sleep(0)
    await examiner.close()
    assert called == []


async def test_a_dns_that_has_been_silent_is_not_waited_for_again_and_again() -> None:
    time, asked, silent = 0.0, 0, True

    async def look_up(name: str, kind: str) -> Records:
        nonlocal time, asked
        asked += 1
        if silent:
            time += 5
            raise LookUpError("no answer")
        return Records()

    patience = Patience(look_up, lambda: time)
    for _ in range(20):
        with pytest.raises(LookUpError):
            await patience.look_up("example.com", "TXT")
    assert asked == SLOW_FAILURES_MAX
    time += SILENT_SECONDS
    silent = False
    for _ in range(2):
        assert await patience.look_up("example.com", "TXT") == Records()
    silent = True
    with pytest.raises(LookUpError, match="no answer"):
        await patience.look_up("example.com", "TXT")
