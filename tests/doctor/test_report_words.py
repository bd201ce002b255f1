"""What delivery reports tell people, in each language."""

import re
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.doctor.report_words import Circumstances, Kind, tell, texts_by_language
from posthouse.doctor.translation import LANGUAGES
from posthouse.mail.address import Mailbox
from posthouse.mail.delivery_status import Action, DeliveryStatus, RecipientStatus

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
BOB = Mailbox("bob", "example.org")
GMAIL = (
    "550-5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires"
    " all senders to authenticate with either SPF or DKIM."
)
SPAMHAUS = "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"
REMOTE = "mx.example.org [192.0.2.9]"


def text(status: str, words: str, language: str = "en", remote: str = REMOTE) -> str:
    one = RecipientStatus(BOB, Action.FAILED, status, words, remote)
    about = DeliveryStatus("mx.example.com", (one,), "", NOON)
    return tell(about, Circumstances("hi", "7K2M9QXA"), language).text


def fields(told: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(told) if name}


def test_every_language_says_everything_with_the_same_fields() -> None:
    texts = texts_by_language()
    assert set(texts) == set(LANGUAGES)
    english = texts["en"]
    for language in LANGUAGES:
        its = texts[language]
        assert its.words.keys() == english.words.keys()
        assert its.kind.keys() == english.kind.keys()
        for key, words in its.words.items():
            if not key.startswith("subject"):
                assert fields(words) == fields(english.words[key]), key
        for key, kind in its.kind.items():
            assert len(kind.steps) == len(english.kind[key].steps), key
            assert all_fields(kind) <= {"domain", "sentence"}, key


def all_fields(kind: Kind) -> set[str]:
    return set().union(*map(fields, (kind.what, kind.fixer, *kind.steps)))


@pytest.mark.parametrize(
    ("status", "words", "told"),
    [
        ("5.0.0", "550 no such user here", "has no mailbox of this name"),
        ("5.7.1", "550 5.7.1 <b@example.org>: Relay access denied", "does not know its own domain"),
        ("5.7.1", SPAMHAUS, "does not want mail from this"),
        ("5.7.26", GMAIL, "does not want mail from this server"),
        ("5.7.1", "550 5.7.1 Message rejected as spam", "looked like spam"),
        ("5.2.2", "552 5.2.2 over quota", "mailbox is full"),
        ("5.5.0", "550 5.5.0 computer says no", "did not take the message"),
    ],
)
def test_what_a_server_said_is_understood_as_by_the_doctor(
    status: str, words: str, told: str
) -> None:
    found = " ".join(text(status, words).split())
    assert told in found
    assert words.split(maxsplit=1)[0] in found


def test_mail_given_up_also_tells_what_the_last_answer_meant() -> None:
    found = " ".join(text("5.4.7", "452 4.2.2 Mailbox full").split())
    assert "We tried for as long as we may" in found
    assert "That means: The recipient's mailbox is full" in found


def test_chinese_reports_are_chinese_and_their_lines_fit() -> None:
    told = text("5.1.1", "550 5.1.1 no such user", "zh_Hans")
    for words in ("发生了什么", "谁能解决", "怎么办", "没有这个名字的邮箱", "example.org"):
        assert words in told
    assert "Diagnostic information for administrators" in told
    for line in told.splitlines():
        width = sum(2 if ord(sign) > 0x2E80 else 1 for sign in line)
        assert width <= 78, line
    closing = "[\u3001\u3002\uff01\uff09\uff0c\uff1a\uff1b\uff1f]"
    assert not re.search(rf"^\s*{closing}", told, re.MULTILINE)


def test_a_doctors_answer_is_given_in_the_same_language() -> None:
    told = text("5.7.1", "550 5.7.1 Message rejected as spam", "zh_Hans")
    assert "looked like spam" not in told
    assert re.search(r"[\u4e00-\u9fff]", told)


def test_subjects_name_what_happened_and_for_whom() -> None:
    ones = tuple(
        RecipientStatus(Mailbox(name, "example.org"), Action.FAILED, "5.1.1") for name in "abc"
    )
    about = DeliveryStatus("mx.example.com", ones)
    circumstances = Circumstances("", "7K2M9QXA")
    english = tell(about, circumstances).subject
    assert english == "Not delivered: your message to a@example.org and 2 more"
    assert "3" in tell(about, circumstances, "zh_Hans").subject


@given(
    st.text(max_size=300),
    st.sampled_from(["5.0.0", "5.7.1", "5.4.7", "5.1.1", "5.9.9"]),
    st.sampled_from(LANGUAGES),
)
def test_any_words_of_a_server_can_be_told(words: str, status: str, language: str) -> None:
    assert "7K2M9QXA" in text(status, words, language)
