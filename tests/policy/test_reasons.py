"""The catalogue as a whole: public names, sound codes, sendable words."""

from pathlib import Path

import pytest

from posthouse.mail.reply import Reply
from posthouse.policy.reasons import RELAY_REFUSALS, WORD_SETS, WORDINGS, Reason
from posthouse.policy.reference import reference

# Names are public: one may be added here, none changed or removed.
PUBLISHED = [
    "welcome",
    "local-recipient",
    "signed-in",
    "pop-window-open",
    "network-may-relay",
    "host-name-may-relay",
    "certificate-may-relay",
    "content-fine",
    "not-recognised",
    "sign-in-first",
    "pop-window-ended",
    "pop-window-other-sender",
    "door-ended",
    "address-lost",
    "recognition-unreadable",
    "recipient-not-in-door",
    "sender-not-own",
    "from-not-own",
    "sender-field-not-own",
    "reply-to-not-own",
    "from-unreadable",
    "from-ambiguous",
    "recipient-unknown",
    "recipient-unreadable",
    "routed-recipient",
    "too-many-sessions",
    "too-many-sessions-from-address",
    "too-many-recipients",
    "account-recipient-budget",
    "account-new-recipient-budget",
    "address-recipient-budget",
    "address-connection-budget",
    "message-too-big",
    "mail-loop",
    "sign-in-failed",
    "sign-in-locked",
    "sign-in-unreadable",
    "looks-like-spam",
    "screening-silent",
    "breaks-format",
    "author-not-confirmed",
    "storage-full",
    "storage-failed",
    "shutting-down",
]


def test_the_published_names_are_kept() -> None:
    assert [reason.value for reason in Reason] == PUBLISHED


def test_every_reason_has_words() -> None:
    assert set(WORDINGS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_the_two_codes_of_a_reason_agree_and_its_words_can_be_sent(reason: Reason) -> None:
    wording = WORDINGS[reason]
    assert wording.status[0] == str(wording.code)[0]
    assert Reply(wording.code, wording.status, wording.text).encode().isascii()
    assert wording.meaning.endswith(".")


def test_the_two_sets_speak_as_people_know_them() -> None:
    for reason in RELAY_REFUSALS:
        sendmail, qmail = WORD_SETS["sendmail"][reason], WORD_SETS["qmail"][reason]
        assert (sendmail.code, sendmail.text) == (550, "<{recipient}>... Relaying denied")
        assert str(Reply(qmail.code, qmail.status, qmail.text)) == (
            "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"
        )


def test_relay_refusal_and_unknown_recipient_share_no_text() -> None:
    unknown = WORDINGS[Reason.RECIPIENT_UNKNOWN].text
    assert all(WORDINGS[reason].text != unknown for reason in RELAY_REFUSALS)


def test_the_page_of_reasons_is_in_step_with_the_catalogue() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "reasons.md"
    assert page.read_text() == reference(), "run `make docs`"
