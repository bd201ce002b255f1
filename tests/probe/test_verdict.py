"""What follows from what was seen, for places and servers that no test can set up."""

from datetime import UTC, datetime

import pytest

from posthouse.doctor.catalogue import shipped
from posthouse.doctor.causes import Cause
from posthouse.doctor.translation import LANGUAGES, translations
from posthouse.policy.reasons import Fixer
from posthouse.probe.certificate import Certificate, TlsSeen, TrustProblem
from posthouse.probe.client_settings import HostSeen
from posthouse.probe.consent import Consent, announce
from posthouse.probe.doors import Door, Offer, Reach, Service, Visit
from posthouse.probe.published import Published, Source
from posthouse.probe.trial import Ending, Kind, Tried
from posthouse.probe.verdict import Finding, Severity, judge

HOST = "mail.isp.example"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PORTS = {
    Service.SMTP: 25, Service.SUBMISSIONS: 465, Service.SUBMISSION: 587, Service.POP3S: 995,
    Service.POP3: 110,
}  # fmt: skip
GOOD = Certificate((HOST,), "An Authority", NOW, datetime(2027, 1, 1, tzinfo=UTC))
TLS = TlsSeen("TLSv1.3", "TLS_AES_256_GCM_SHA384", GOOD)
OFFER = Offer(upgrade=False, mechanisms=("PLAIN", "LOGIN"), size_octets_max=1)


def opened(service: Service, tls: TlsSeen | None = TLS, **more: object) -> Visit:
    fields = {"greeting": "220 x", "encrypted": OFFER if tls else None, "clear": Offer(), **more}
    return Visit(
        host=HOST, door=Door(service, PORTS[service]), reach=Reach.OPEN, tls=tls,
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def closed(service: Service, reach: Reach = Reach.FILTERED) -> Visit:
    return Visit(host=HOST, door=Door(service, PORTS[service]), reach=reach)


def seen(*visits: Visit, **more: object) -> HostSeen:
    fields: dict[str, object] = {
        "host": HOST, "published": (), "troubles": (), "unnamed": "", "attempts": (),
        "record": (), **more,
    }  # fmt: skip
    return HostSeen(visits=visits, **fields)  # type: ignore[arg-type]


def found(what: HostSeen) -> dict[str, Finding]:
    return {it.id: it for it in reversed(judge(what, "", NOW).findings)}  # the worst wins


def test_a_blocked_port_25_is_only_a_note_where_submission_works() -> None:
    what = seen(closed(Service.SMTP), opened(Service.SUBMISSION))
    finding = found(what)["port-25-blocked"]
    assert (finding.severity, finding.fixer) == (Severity.NOTE, Fixer.SENDER)
    verdict = judge(what, "ann@isp.example", NOW)
    assert verdict.outgoing is not None
    assert (verdict.outgoing.port, verdict.outgoing.security) == (587, "STARTTLS")


def test_submission_that_does_not_answer_is_this_networks_matter() -> None:
    what = seen(opened(Service.SMTP), closed(Service.SUBMISSION), closed(Service.SUBMISSIONS))
    assert found(what)["submission-blocked"].fixer is Fixer.SENDER


@pytest.mark.parametrize(
    ("reaches", "id_"),
    [
        ((Reach.FILTERED, Reach.FILTERED), "all-filtered"),
        ((Reach.REFUSED, Reach.REFUSED), "all-refused"),
        ((Reach.REFUSED, Reach.FILTERED), "all-filtered"),
    ],
)
def test_where_nothing_answers_the_time_outs_are_told_apart(
    reaches: tuple[Reach, Reach], id_: str
) -> None:
    what = seen(closed(Service.SMTP, reaches[0]), closed(Service.SUBMISSION, reaches[1]))
    assert set(found(what)) == {id_}
    assert judge(what, "", NOW).outgoing is None


def test_another_certificate_on_one_port_than_on_the_other_may_be_an_interception() -> None:
    foreign = TlsSeen("TLSv1.2", "x", GOOD, TrustProblem.SELF_SIGNED, "self-signed certificate")
    what = seen(opened(Service.SUBMISSIONS), opened(Service.SUBMISSION, foreign))
    assert found(what)["intercepted"].fields["port"] == "587"
    verdict = judge(what, "", NOW)
    assert verdict.outgoing is not None
    assert verdict.outgoing.port == 465


def test_a_firewall_that_writes_over_the_greeting_is_meddling() -> None:
    masked = opened(Service.SMTP, None, greeting="220 ****************")
    assert "meddling" in found(seen(masked, opened(Service.SUBMISSIONS)))


def test_no_encryption_is_a_problem_for_people_and_a_note_between_servers() -> None:
    what = found(seen(opened(Service.SUBMISSION, None, clear=OFFER), opened(Service.SMTP, None)))
    assert what["no-tls"].severity is Severity.PROBLEM
    assert "sign-in-in-clear" in what


def test_submission_without_sign_in_is_the_providers_to_mend() -> None:
    what = found(seen(opened(Service.SUBMISSION, encrypted=Offer())))
    assert what["no-sign-in"].fixer is Fixer.OPERATOR


def test_published_settings_that_lead_nowhere_are_told() -> None:
    door = Door(Service.SUBMISSION, 587)
    page = "http://autoconfig.isp.example/mail/config-v1.1.xml"
    published = (Published(Source.AUTOCONFIG, HOST, door, place=page),)
    what = found(
        seen(closed(Service.SUBMISSION, Reach.REFUSED), opened(Service.SMTP), published=published)
    )
    assert {"published-closed", "published-insecurely"} <= set(what)


def test_the_published_user_name_is_part_of_the_settings() -> None:
    door = Door(Service.SUBMISSIONS, 465)
    published = (Published(Source.AUTOCONFIG, HOST, door, user="%EMAILADDRESS%"),)
    verdict = judge(seen(opened(Service.SUBMISSIONS), published=published), "", NOW)
    assert verdict.outgoing is not None
    assert verdict.outgoing.user == "%EMAILADDRESS%"


def test_a_refused_test_recipient_decides_nothing() -> None:
    tried = Tried(
        kind=Kind.RELAY_UNSIGNED, host=HOST, port=25, what="x@example.com",
        ending=Ending.REFUSED, reply="556 5.1.10 null MX", cause=Cause.RECIPIENT_DOMAIN_INVALID,
    )  # fmt: skip
    assert "relay-undecided" in found(seen(opened(Service.SMTP), attempts=(tried,)))


def every_finding() -> list[str]:
    words = shipped().wordings.words
    return [key for key in words if key.startswith("probe-")]


FIELDS = dict.fromkeys(
    ("host", "port", "ports", "names", "ends", "issuer", "detail", "place", "source", "what",
     "reply", "trouble", "date", "address", "mechanisms", "user", "recipient", "pages", "senders"),
    "X",
)  # fmt: skip


@pytest.mark.parametrize("key", every_finding())
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_sentence_can_be_said_with_its_fields(key: str, language: str) -> None:
    sentence = translations(language).gettext(shipped().wordings.words[key])
    assert "%" not in sentence % FIELDS


def test_every_member_that_is_shown_has_its_words() -> None:
    words = shipped().wordings.words
    for reach in Reach:
        assert f"probe-reach-{reach.value}" in words
    for problem in TrustProblem:
        assert f"probe-problem-{problem.value}" in words
        assert f"probe-finding-certificate-{problem.value}" in words
    for kind in Kind:
        assert f"probe-kind-{kind.value}" in words
        for ending in ("accepted", "refused"):
            assert f"probe-finding-{kind.value}-{ending}" in words
    for ending in Ending:
        assert f"probe-ending-{ending.value}" in words
    for fixer in Fixer:
        assert f"probe-you-{fixer.value}" in words


def test_what_is_not_asked_for_is_not_announced_and_the_rest_is() -> None:
    def keys(**more: object) -> set[str]:
        said = announce(Consent(host=HOST, **more))  # type: ignore[arg-type]
        return {it.key.removeprefix("probe-plan-") for it in said}

    assert keys(published=False) == {"ports", "nothing"}
    assert keys() == {"dns", "ports", "others", "nothing"}
    assert "relay" in keys(relay=True)
    assert "pop-first" not in keys(relay=True)
    assert {"sign-in", "pop-first"} <= keys(relay=True, user="ann")
    assert "untrusted" in keys(user="ann", untrusted=True)
    assert "pages" in keys(autoconfig=True)
    assert "senders" in keys(user="ann", senders=("a@b.example",))
