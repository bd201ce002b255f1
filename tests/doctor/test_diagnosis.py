"""What is made of a paste: order, situation, the one question, and not knowing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.doctor.catalogue import shipped
from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import CONFIDENT, Context, Situation, diagnose
from posthouse.policy.reasons import WORDINGS, Reason

RELAY = "550 5.7.1 <bob@example.net>: Relay access denied"


def test_several_errors_are_all_found_and_the_first_comes_first() -> None:
    pasted = (
        "10:01 535 5.7.8 Error: authentication failed\n\n"
        "10:02 550 5.1.1 <bob@example.net>: User unknown\n\n"
        "10:03 552 5.3.4 Message size exceeds fixed limit\n"
    )
    causes = [finding.cause for finding in diagnose(pasted).findings]
    assert causes == [Cause.AUTH_FAILED, Cause.MAILBOX_UNAVAILABLE, Cause.MESSAGE_TOO_BIG]


@pytest.mark.parametrize(
    ("context", "situation"),
    [
        (Context(), Situation.UNDECIDED),
        (Context(where="dialog"), Situation.NOT_SIGNED_IN),
        (Context(where="bounce"), Situation.RECIPIENT_SERVER),
        (Context(where="log"), Situation.STRANGER),
        (Context(where="dialog", signed_in=True), Situation.SIGNED_IN),
        (Context(signed_in=False), Situation.NOT_SIGNED_IN),
    ],
)
def test_the_same_words_mean_different_things_in_different_places(
    context: Context, situation: Situation
) -> None:
    assert diagnose(RELAY, context).situation is situation


def test_where_fetching_mail_first_is_asked_for_a_denied_relay_means_that_it_was_not() -> None:
    assert diagnose(RELAY, Context(fetch_first=True)).cause is Cause.MUST_POP_FIRST
    signed_in = Context(fetch_first=True, signed_in=True)
    assert diagnose(RELAY, signed_in).cause is Cause.RELAY_DENIED


def test_an_ambiguous_text_is_met_with_one_question() -> None:
    question = diagnose("Relaying denied").question
    assert question is not None
    assert question.id == "when"


def test_a_log_and_a_bounce_are_recognised_without_being_told() -> None:
    log = "postfix/smtpd[2112]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: " + RELAY
    bounce = (
        "<bob@example.net>: host mx said: " + RELAY + "\nFinal-Recipient: rfc822; bob@example.net"
    )
    assert diagnose(log).situation is Situation.STRANGER
    assert diagnose(bounce).situation is Situation.RECIPIENT_SERVER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n\n",
        "550",
        "hello",
        "An error occurred.",
        "Your invoice no. 550 is due.",
        "你好",
        "Das Wetter ist schön, wir sehen uns um 5.30 Uhr.",
        "ERROR 1045 (28000): something about a database",
        "404 Not Found",
    ],
)
def test_what_is_not_understood_stays_unknown(text: str) -> None:
    diagnosis = diagnose(text)
    assert diagnosis.cause is Cause.UNKNOWN
    assert diagnosis.findings[0].confidence == 0


@pytest.mark.parametrize("reason", [r for r in Reason if WORDINGS[r].code >= 400])
def test_every_refusal_of_posthouse_itself_is_understood_by_its_reason(reason: Reason) -> None:
    wording = WORDINGS[reason]
    codes = f"{wording.code} {wording.status}"
    reply = f"{codes.replace(' ', '-')} Refused.\n{codes} [{reason.value}] case 7Q4KX2MB"
    assert diagnose(reply).cause == shipped().rules.reasons[reason.value]
    assert diagnose(reply).findings[0].confidence >= CONFIDENT


def test_words_of_the_paste_are_shown_as_evidence_in_their_own_writing() -> None:
    finding = diagnose("550 Accès au Relais Refusé").findings[0]
    assert finding.cause is Cause.RELAY_DENIED
    assert any("Relais Refusé" in evidence.words for evidence in finding.evidence)


def test_line_breaks_in_odd_places_do_not_matter() -> None:
    broken = "Server\nResponse: '550 5.7.1 <bob@example.net>...\nRelaying\ndenied', Port:\n25"
    assert diagnose(broken).cause is Cause.RELAY_DENIED


def test_the_same_paste_gives_the_same_diagnosis() -> None:
    assert diagnose(RELAY) == diagnose(RELAY)


@given(st.text(max_size=400) | st.binary(max_size=400))
def test_nothing_that_is_pasted_breaks_the_doctor(pasted: str | bytes) -> None:
    diagnosis = diagnose(pasted)
    assert diagnosis.findings
    assert all(0 <= finding.confidence <= 1 for finding in diagnosis.findings)
    assert diagnosis.candidates[0] is diagnosis.cause


@given(st.sampled_from(shipped().entries), st.integers(0, 40), st.text(max_size=60))
def test_noise_around_a_reply_never_raises_and_keeps_the_order(
    entry: object, at: int, noise: str
) -> None:
    pattern = str(getattr(entry, "pattern", ""))
    assert diagnose(pattern[:at] + noise + pattern[at:]).findings
