"""Looking at servers of other makers: Postfix with Dovecot's sign-in, Dovecot's submission."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from posthouse.doctor.causes import Cause
from posthouse.probe.certificate import Trust
from posthouse.probe.client_settings import HostSeen
from posthouse.probe.consent import Consent
from posthouse.probe.doors import Door, Reach, Service
from posthouse.probe.trial import Ending, Kind, Tried
from posthouse.probe.verdict import Severity, judge
from posthouse.probe.visiting import Manner
from tests.probe.other_servers import PASSWORD, USER, missing, provider
from tests.probe.places import NAME, seen_at

pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.skipif(missing() != "", reason=missing()),
]
NOW = datetime(2026, 6, 1, tzinfo=UTC)


class Provider:
    def __init__(self, ports: dict[str, int], authority: Path) -> None:
        self.ports = ports
        self._authority = authority

    def door(self, service: Service, name: str) -> Door:
        return Door(service, self.ports[name])

    def seen(self, *doors: Door, **more: object) -> HostSeen:
        consent = Consent(host=NAME, doors=doors, published=False, **more)  # type: ignore[arg-type]
        manner = Manner(seconds=8, trust=Trust(str(self._authority)))
        return asyncio.run(seen_at(consent, manner))


@pytest.fixture(scope="module")
def them() -> Iterator[Provider]:
    with provider() as (ports, authority):
        yield Provider(ports, authority)


def tried(seen: HostSeen, kind: Kind) -> Tried:
    return next(it for it in seen.attempts if it.kind is kind)


def usual_doors(them: Provider) -> tuple[Door, ...]:
    return (
        them.door(Service.SMTP, "mx"),
        them.door(Service.SUBMISSION, "submission"),
        them.door(Service.SUBMISSIONS, "submissions"),
        them.door(Service.POP3, "pop3"),
        them.door(Service.POP3S, "pop3s"),
    )


def test_a_well_kept_provider_has_no_findings_and_its_settings_are_right(them: Provider) -> None:
    seen = them.seen(
        *usual_doors(them), relay=True, user=USER, password=PASSWORD,
        senders=(USER, "boss@other.example"),
    )  # fmt: skip
    assert {it.reach for it in seen.visits} == {Reach.OPEN}
    assert all(it.is_trusted for it in seen.visits)
    assert tried(seen, Kind.SIGN_IN).ending is Ending.ACCEPTED
    assert tried(seen, Kind.RELAY_SIGNED).ending is Ending.ACCEPTED
    assert tried(seen, Kind.POP_SIGN_IN).ending is Ending.ACCEPTED
    own, other = (it for it in seen.attempts if it.kind is Kind.SENDER)
    assert own.ending is Ending.ACCEPTED
    assert (other.ending, other.cause) == (Ending.REFUSED, Cause.SENDER_NOT_OWNED)
    verdict = judge(seen, USER, NOW)
    assert {it.id for it in verdict.findings if it.severity is Severity.PROBLEM} == {
        "sender-refused"
    }
    assert verdict.outgoing is not None
    assert verdict.outgoing.port == them.ports["submissions"]


def test_postfix_says_relay_access_denied_to_strangers(them: Provider) -> None:
    seen = them.seen(them.door(Service.SMTP, "mx"), relay=True)
    attempt = tried(seen, Kind.RELAY_UNSIGNED)
    assert (attempt.ending, attempt.cause) == (Ending.REFUSED, Cause.RELAY_DENIED)
    assert "Relay access denied" in attempt.reply
    verdict = judge(seen, "", NOW)
    assert verdict.explained is not None
    assert verdict.explained.cause is Cause.RELAY_DENIED


def test_sign_in_without_encryption_is_found_and_not_used(them: Provider) -> None:
    seen = them.seen(them.door(Service.SUBMISSION, "careless"), user=USER, password=PASSWORD)
    (visited,) = seen.visits
    assert visited.tls is None
    assert "PLAIN" in visited.offer.mechanisms
    attempt = tried(seen, Kind.SIGN_IN)
    assert (attempt.ending, attempt.detail) == (Ending.SKIPPED, "not-trusted")
    assert {"no-tls", "sign-in-in-clear"} <= {it.id for it in judge(seen, "", NOW).findings}


def test_an_open_relay_is_told(them: Provider) -> None:
    seen = them.seen(them.door(Service.SMTP, "open"), relay=True)
    assert tried(seen, Kind.RELAY_UNSIGNED).ending is Ending.ACCEPTED
    assert "relay-unsigned-accepted" in {it.id for it in judge(seen, "", NOW).findings}


@pytest.mark.parametrize("door", ["submissions", "dovecot_submission"])
def test_a_wrong_password_is_understood(them: Provider, door: str) -> None:
    service = Service.SUBMISSIONS if door == "submissions" else Service.SUBMISSION
    seen = them.seen(them.door(service, door), user=USER, password="wrong")
    attempt = tried(seen, Kind.SIGN_IN)
    assert (attempt.ending, attempt.cause) == (Ending.REFUSED, Cause.AUTH_FAILED)


def test_dovecot_submission_takes_mail_of_those_who_signed_in(them: Provider) -> None:
    seen = them.seen(
        them.door(Service.SUBMISSION, "dovecot_submission"), relay=True, user=USER,
        password=PASSWORD,
    )  # fmt: skip
    assert seen.visits[0].is_trusted
    unsigned = tried(seen, Kind.RELAY_UNSIGNED)
    assert unsigned.ending is Ending.REFUSED
    assert tried(seen, Kind.SIGN_IN).ending is Ending.ACCEPTED
    assert tried(seen, Kind.RELAY_SIGNED).ending is Ending.ACCEPTED
