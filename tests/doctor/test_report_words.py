"""What delivery reports tell people, in each language."""

import re
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.attempts import TOO_LATE
from posthouse.delivery.long_lines import TOO_LONG
from posthouse.doctor.report_words import Circumstances, Hold, Kind, tell, texts_by_language
from posthouse.doctor.translation import LANGUAGES
from posthouse.mail.address import Mailbox
from posthouse.mail.delivery_status import Action, DeliveryStatus, RecipientStatus
from posthouse.policy.reasons import Reason
from posthouse.server.housekeeping import HELD_TOO_LONG
from posthouse.server.requests import QueueBounce

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
BOB = Mailbox("bob", "example.org")
GMAIL = (
    "550-5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires"
    " all senders to authenticate with either SPF or DKIM."
)
SPAMHAUS = "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"
REMOTE = "mx.example.org [192.0.2.9]"


def text(
    status: str, words: str, language: str = "en", remote: str = REMOTE, to: Mailbox = BOB
) -> str:
    one = RecipientStatus(to, Action.FAILED, status, words, remote)
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

        assert its.held.keys() == english.held.keys()
        for key, why in its.held.items():
            same = english.held[key]
            assert len(why.steps) == len(same.steps), key
            assert fields(why.what) == fields(same.what), key


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_what_a_server_said_is_told_as_its_words(language: str) -> None:
    words = texts_by_language()[language].words
    said, met = (words[key].format(remote=REMOTE) for key in ("server-said", "server-met"))
    for reply in ("550 5.7.1 no", "550-5.7.1 two lines", "451"):
        assert said in text("5.7.1", reply, language)
    ours = text("5.4.2", "the host closed the connection", language)
    assert met in ours
    assert said not in ours


def test_who_can_fix_it_is_a_sentence_also_in_the_doctors_words() -> None:
    assert "  You can fix this yourself.\n" in text("5.6.0", "554 5.6.0 content refused: virus")


def test_mail_to_a_number_in_brackets_is_not_told_as_a_missing_server() -> None:
    words, to = "mail to addresses in brackets is not delivered here", Mailbox("bob", "[192.0.2.1]")
    told = text("5.4.4", words, remote="", to=to)
    assert "sends no mail to such addresses" in " ".join(told.split())
    assert "could be found" not in told


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_delay_also_tells_who_can_fix_it(language: str) -> None:
    recipient = RecipientStatus(
        Mailbox("bob", "example.org"), Action.DELAYED, "4.4.1", "no connection"
    )
    told = tell(
        DeliveryStatus("mx.example.com", (recipient,)), Circumstances("", "7K2M9QXA"), language
    ).text
    assert texts_by_language()[language].words["who"] in told
    assert "example.org" in told


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_postmaster_is_not_taken_for_the_sender_of_mail_without_a_return_address(
    language: str,
) -> None:
    one = RecipientStatus(BOB, Action.FAILED, "5.1.1", "550 5.1.1 no such user", REMOTE)
    told = tell(
        DeliveryStatus("mx.example.com", (one,)),
        Circumstances("hi", "7K2M9QXA", nobodys=True),
        language,
    )
    words = texts_by_language()[language]
    assert words.kind["no-mailbox"].what.format(domain="example.org") in told.text
    assert words.kind["no-mailbox"].fixer not in told.text
    assert "posthouse journey 7K2M9QXA" in " ".join(told.text.split())
    assert "postmaster" in told.text
    assert "your message" not in told.subject


def test_mail_given_up_also_tells_what_the_last_answer_meant() -> None:
    found = " ".join(text("5.4.7", "452 4.2.2 Mailbox full").split())
    assert "We tried for as long as we may" in found
    assert "That means: The recipient's mailbox is full" in found


def test_chinese_reports_are_chinese_and_their_lines_fit() -> None:
    told = text("5.1.1", "550 5.1.1 no such user", "zh_Hans")
    for words in ("发生了什么", "谁能解决", "怎么办", "没有这个名字的邮箱", "example.org"):
        assert words in told
    assert "Diagnostic information for administrators" in told
    assert "2026年05月04日 12:00:00 (+0000)" in told
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


# What policy/content.py holds mail for.
HELD_FOR = [
    Reason.LOOKS_LIKE_SPAM,
    Reason.FROM_NOT_OWN,
    Reason.SENDER_FIELD_NOT_OWN,
    Reason.REPLY_TO_NOT_OWN,
    Reason.FROM_UNREADABLE,
    Reason.FROM_AMBIGUOUS,
    Reason.ACCOUNT_RECIPIENT_BUDGET,
    Reason.ADDRESS_RECIPIENT_BUDGET,
]


def held_text(reason: str, language: str, subject: str = "eve@example.org") -> str:
    one = RecipientStatus(BOB, Action.DELAYED, "4.7.1")
    about = DeliveryStatus("mx.example.com", (one,), "", NOON)
    hold = Hold(reason, "C7K2M9", subject)
    return tell(about, Circumstances("hi", "7K2M9QXA", "help@example.com", hold), language).text


@pytest.mark.parametrize("reason", HELD_FOR)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notice_says_in_every_language_why_mail_is_held_and_what_to_do(
    reason: str, language: str
) -> None:
    told = held_text(reason, language)
    texts = texts_by_language()[language]
    assert reason in texts.held
    assert texts.words["what-to-do"] in told
    assert f"{reason}" in told
    assert "C7K2M9" in told
    assert "7K2M9QXA" in told
    assert "{" not in told
    people, _, _ = told.partition("-" * 66)
    if language == "zh_Hans":  # not one English sentence in the part for people
        assert not re.search(r"[a-z]+ [a-z]+ [a-z]+", people)


def test_a_notice_names_the_address_that_was_not_the_senders_own() -> None:
    assert "names eve@example.org" in held_text("from-not-own", "en")
    assert "写的是 eve@example.org" in held_text("from-not-own", "zh_Hans")


def test_a_notice_for_a_reason_of_tomorrow_is_still_in_the_right_language() -> None:
    assert "(looks-odd)" in held_text("looks-odd", "en")
    assert "按本服务器的规则" in held_text("looks-odd", "zh_Hans")


@pytest.mark.parametrize(
    "own", [HELD_TOO_LONG, TOO_LATE, TOO_LONG, QueueBounce(id="x").because], ids=len
)
def test_what_we_say_ourselves_is_said_in_the_readers_language(own: str) -> None:
    assert own in " ".join(text("5.7.0", own, remote="").split())
    people, _, administrators = text("5.7.0", own, "zh_Hans", remote="").partition("-" * 66)
    assert own not in " ".join(people.split())
    assert own in " ".join(administrators.split()), "in English for administrators anywhere"


@pytest.mark.parametrize("earlier", ["", "not tried now, because a moment ago: "])
def test_why_a_host_cannot_be_reached_is_told_in_the_readers_language(earlier: str) -> None:
    reason = f"{earlier}no connection: connection refused"
    assert reason in " ".join(text("5.4.7", reason).split())
    people, _, administrators = text("5.4.7", reason, "zh_Hans").partition("-" * 66)
    assert "对方拒绝连接" in people
    assert "connection" not in people
    assert reason in " ".join(administrators.split())


@given(
    st.text(max_size=300),
    st.sampled_from(["5.0.0", "5.7.1", "5.4.7", "5.1.1", "5.9.9"]),
    st.sampled_from(LANGUAGES),
)
def test_any_words_of_a_server_can_be_told(words: str, status: str, language: str) -> None:
    assert "7K2M9QXA" in text(status, words, language)
