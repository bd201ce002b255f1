"""Meeting a mail host as a mail program does: a Posthouse in different configurations."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from posthouse.doctor.causes import Cause
from posthouse.policy.reasons import Fixer
from posthouse.probe.certificate import TrustProblem
from posthouse.probe.client_settings import HostSeen
from posthouse.probe.consent import Consent
from posthouse.probe.doors import Door, Reach, Service, Visit
from posthouse.probe.trial import Ending, Kind, Tried
from posthouse.probe.verdict import Severity, Verdict, judge
from posthouse.probe.visiting import Manner
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, door
from tests.probe.places import NAME, Place, posthouse, seen_at

pytestmark = pytest.mark.slow
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ELSEWHERE = "someone@elsewhere.example"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    window = door("pop-window", window='"10 min"', listeners='["submission"]')
    with posthouse(tmp_path_factory.mktemp("host"), SIGNED_IN, window, people=(ANN, BOB)) as it:
        yield it


def consent(place: Place, **more: object) -> Consent:
    return Consent(host=NAME, doors=place.doors, published=False, **more)  # type: ignore[arg-type]


def at(seen: HostSeen, service: Service) -> Visit:
    return next(it for it in seen.visits if it.door.service is service)


def tried(seen: HostSeen, kind: Kind) -> list[Tried]:
    return [it for it in seen.attempts if it.kind is kind]


def ids(verdict: Verdict, severity: Severity) -> set[str]:
    return {it.id for it in verdict.findings if it.severity is severity}


async def test_ports_encryption_certificate_and_offers_are_seen(place: Place) -> None:
    seen = await place.seen(consent(place))
    assert {it.reach for it in seen.visits} == {Reach.OPEN}
    assert all(it.is_trusted for it in seen.visits)
    submission = at(seen, Service.SUBMISSION)
    assert submission.tls is not None
    assert submission.tls.certificate is not None
    assert submission.tls.version == "TLSv1.3"
    assert submission.tls.certificate.names == (NAME,)
    assert "trustme" in submission.tls.certificate.issuer
    assert submission.clear is not None
    assert submission.encrypted is not None
    assert (submission.clear.upgrade, submission.clear.mechanisms) == (True, ())
    assert "PLAIN" in submission.encrypted.mechanisms
    assert submission.encrypted.size_octets_max == 25_000_000
    assert submission.greeting.startswith(f"220 {NAME}")
    fetching = at(seen, Service.POP3)
    assert fetching.clear is not None
    assert fetching.encrypted is not None
    assert fetching.clear.upgrade
    assert "USER" in fetching.encrypted.mechanisms
    assert seen.attempts == ()


async def test_the_safest_settings_are_recommended_and_nothing_is_wrong(place: Place) -> None:
    verdict = judge(await place.seen(consent(place)), ANN.name, NOW)
    assert verdict.outgoing is not None
    assert verdict.fetching is not None
    assert (verdict.outgoing.port, verdict.outgoing.security) == (
        place.port("submissions"), "SSL/TLS",
    )  # fmt: skip
    assert verdict.outgoing.user == ANN.name
    assert verdict.fetching.port == place.port("pop3s")
    assert verdict.trusted
    assert verdict.worst is Severity.OK
    assert verdict.explained is None


async def test_without_signing_in_mail_elsewhere_is_refused_and_that_is_right(
    place: Place,
) -> None:
    seen = await place.seen(consent(place, relay=True, recipient=ELSEWHERE))
    refused = {it.port: it for it in tried(seen, Kind.RELAY_UNSIGNED)}
    assert {it.ending for it in refused.values()} == {Ending.REFUSED}
    assert refused[place.port("mx")].reason == "not-recognised"
    assert refused[place.port("mx")].cause is Cause.RELAY_DENIED
    assert refused[place.port("submission")].cause is Cause.AUTH_REQUIRED
    verdict = judge(seen, "", NOW)
    assert verdict.worst is Severity.OK
    assert verdict.explained is not None
    assert verdict.explained.cause in (Cause.AUTH_REQUIRED, Cause.RELAY_DENIED)


async def test_signing_in_relaying_and_senders_are_tried(place: Place) -> None:
    asked = consent(
        place, relay=True, recipient=ELSEWHERE, user=ANN.name, password=ANN.password,
        senders=(ANN.name, "boss@other.example"),
    )  # fmt: skip
    seen = await place.seen(asked)
    (signed,) = tried(seen, Kind.SIGN_IN)
    assert (signed.ending, signed.port) == (Ending.ACCEPTED, place.port("submissions"))
    assert [it.ending for it in tried(seen, Kind.RELAY_SIGNED)] == [Ending.ACCEPTED]
    own, other = tried(seen, Kind.SENDER)
    assert own.ending is Ending.ACCEPTED
    assert (other.ending, other.cause) == (Ending.REFUSED, Cause.SENDER_NOT_OWNED)
    verdict = judge(seen, ANN.name, NOW)
    assert ids(verdict, Severity.PROBLEM) == {"sender-refused"}
    assert verdict.explained is not None
    assert verdict.explained.cause is Cause.SENDER_NOT_OWNED


async def test_pop_before_smtp_is_detected(place: Place) -> None:
    asked = consent(
        place, relay=True, recipient=ELSEWHERE, user=BOB.name, password=BOB.password
    )  # fmt: skip
    seen = await place.seen(asked)
    assert [it.ending for it in tried(seen, Kind.POP_SIGN_IN)] == [Ending.ACCEPTED]
    after = tried(seen, Kind.RELAY_AFTER_POP)
    assert (after[-1].ending, after[-1].port) == (Ending.ACCEPTED, place.port("submission"))
    assert "relay-after-pop-accepted" in ids(judge(seen, BOB.name, NOW), Severity.OK)


async def test_no_mail_comes_of_it_and_no_secret_is_written_down(place: Place) -> None:
    asked = consent(
        place, relay=True, recipient=BOB.name, user=ANN.name, password=ANN.password,
        senders=(ANN.name,),
    )  # fmt: skip
    seen = await place.seen(asked)
    said = [it.text for it in seen.record if it.mark == ">"]
    assert "DATA" not in said
    assert not any(it.startswith("BDAT") for it in said)
    assert said.count("RSET") == sum(it.startswith("MAIL") for it in said)
    assert ANN.password not in repr(seen) + repr(asked)
    assert place.server.mailbox("bob") == []
    assert place.server.captured() == []


async def test_a_wrong_password_is_told_as_such(place: Place) -> None:
    seen = await place.seen(consent(place, user=ANN.name, password="no-such-herons"))
    (signed,) = tried(seen, Kind.SIGN_IN)
    assert (signed.ending, signed.cause) == (Ending.REFUSED, Cause.AUTH_FAILED)
    verdict = judge(seen, ANN.name, NOW)
    assert verdict.explained is not None
    assert verdict.explained.cause is Cause.AUTH_FAILED


async def test_a_password_is_not_said_to_a_host_that_is_not_trusted(place: Place) -> None:
    asked = consent(place, user=ANN.name, password=ANN.password)
    seen = await place.seen(asked, trusted=False)
    assert {it.tls.problem for it in seen.visits if it.tls} == {TrustProblem.UNKNOWN_ISSUER}
    (signed,) = tried(seen, Kind.SIGN_IN)
    assert (signed.ending, signed.detail) == (Ending.SKIPPED, "not-trusted")
    assert not any("AUTH" in it.text for it in seen.record if it.mark == ">")
    verdict = judge(seen, ANN.name, NOW)
    assert "certificate-unknown-issuer" in ids(verdict, Severity.PROBLEM)
    assert not verdict.trusted
    assert verdict.outgoing is not None


async def test_the_certificate_of_another_name_is_told_with_that_name(place: Place) -> None:
    asked = Consent(host="127.0.0.1", doors=place.doors[2:3], published=False)
    seen = await place.seen(asked)
    (visited,) = seen.visits
    assert visited.tls is not None
    assert visited.tls.problem is TrustProblem.OTHER_NAME
    finding = judge(seen, "", NOW).findings[0]
    assert (finding.id, finding.fixer) == ("certificate-other-name", Fixer.OPERATOR)
    assert finding.fields["names"] == NAME


async def test_a_certificate_that_ends_soon_is_told(place: Place) -> None:
    seen = await place.seen(consent(place))
    tls = at(seen, Service.SUBMISSIONS).tls
    assert tls is not None
    assert tls.certificate is not None
    soon = judge(seen, "", tls.certificate.ends - timedelta(days=3))
    assert "certificate-ends-soon" in ids(soon, Severity.NOTE)


async def test_a_network_that_may_relay_is_told(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    office = door("network", name='"office"', networks='["127.0.0.1"]')
    directory = tmp_path_factory.mktemp("office")
    with posthouse(directory, SIGNED_IN, office, people=(ANN,)) as other:
        asked = consent(other, relay=True, recipient=ELSEWHERE, user=ANN.name)
        seen = await other.seen(asked)
    endings = {it.port: it.ending for it in tried(seen, Kind.RELAY_UNSIGNED)}
    assert endings[other.port("mx")] is Ending.ACCEPTED
    assert "relay-unsigned-accepted" in ids(judge(seen, "", NOW), Severity.NOTE)


async def test_a_host_without_submission_is_the_providers_to_mend(place: Place) -> None:
    doors = (place.doors[0], Door(Service.SUBMISSION, 1), Door(Service.SUBMISSIONS, 2))
    seen = await place.seen(Consent(host=NAME, doors=doors, published=False))
    assert at(seen, Service.SUBMISSION).reach is Reach.REFUSED
    verdict = judge(seen, "", NOW)
    assert "no-submission" in ids(verdict, Severity.PROBLEM)
    assert verdict.outgoing is None


async def test_a_dead_address_beside_a_living_one_is_told(place: Place) -> None:
    asked = Consent(host="two.proseware.com", doors=place.doors[:1], published=False)
    seen = await place.seen(asked)
    (visited,) = seen.visits
    assert (visited.is_open, visited.dead) == (True, ("127.0.0.3",))
    assert ip_address(visited.address) == ip_address("127.0.0.1")
    assert "dead-address" in ids(judge(seen, "", NOW), Severity.NOTE)


async def test_a_name_that_is_nowhere_is_a_matter_of_spelling() -> None:
    seen = await seen_at(Consent(host="mial.proseware.com", published=False), Manner(seconds=1))
    assert seen.unnamed == "no-such-name"
    assert {it.reach for it in seen.visits} == {Reach.NO_ADDRESS}
    verdict = judge(seen, "", NOW)
    assert (verdict.findings[0].id, verdict.findings[0].fixer) == ("no-such-name", Fixer.SENDER)


async def test_dns_that_does_not_answer_is_neither_a_wrong_name_nor_a_dead_host() -> None:
    asked = Consent(host=NAME, doors=(Door(Service.SMTP, 1),))
    seen = await seen_at(asked, Manner(seconds=1))
    assert seen.troubles
    assert seen.visits[0].reach is Reach.REFUSED
