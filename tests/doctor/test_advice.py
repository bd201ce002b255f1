"""What the person is told, in both languages."""

import pytest

from posthouse.doctor.advice import advise
from posthouse.doctor.catalogue import shipped
from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import Context, diagnose
from posthouse.doctor.translation import language_of, read_po, translations
from posthouse.policy.reasons import Fixer

WORDINGS = shipped().wordings
OUTLOOK = (
    "Server: 'smtp.example.com', Server Response: '550 <bob@example.net>... Relaying denied',"
    " Port: 25, Secure(SSL): No, Error Number: 0x800CCC79"
)


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_its_words_and_remedies(cause: Cause) -> None:
    wording = WORDINGS.cause[cause]
    assert wording.remedies
    assert set(wording.remedies) <= set(WORDINGS.remedy)


def test_each_remedy_that_names_steps_has_them_for_any_program() -> None:
    for remedy in WORDINGS.remedy.values():
        assert not remedy.steps or WORDINGS.steps[remedy.steps]["any"]


@pytest.mark.parametrize("text", WORDINGS.all_texts())
def test_chinese_is_complete(text: str) -> None:
    chinese = translations("zh_Hans").gettext(text)
    assert chinese != text or text in {"STARTTLS", "SSL/TLS"}
    assert chinese.count("%(") == text.count("%(")


def test_outlook_people_are_led_to_the_box_they_must_tick() -> None:
    answer = advise(diagnose(OUTLOOK))
    assert answer.fixer is Fixer.SENDER
    assert answer.program == "Outlook"
    steps = [step for way in answer.ways for step in way.steps]
    assert any("My outgoing server (SMTP) requires authentication" in step for step in steps)
    assert any("Use same settings as my incoming mail server" in step for step in steps)
    assert any("Log on to incoming mail server before sending mail" in step for step in steps)


def test_all_remedies_for_a_denied_relay_are_named() -> None:
    said = " ".join(way.text for way in advise(diagnose(OUTLOOK)).ways)
    for words in (
        "authentication",
        "network you are on",
        "Fetch mail first",
        "dynamic",
        "return address",
    ):
        assert words in said


def test_chinese_advice_is_chinese() -> None:
    answer = advise(diagnose(OUTLOOK), "zh_Hans")
    assert answer.title == "拒绝中继"
    assert "我的发送服务器(SMTP)要求验证" in answer.ways[0].steps[1]
    assert "smtp.example.com" in answer.provider


def test_the_steps_follow_the_program_that_is_named() -> None:
    answer = advise(diagnose("550 Relaying denied", Context(where="dialog")), client="thunderbird")
    assert answer.program == "Thunderbird"
    assert "Normal password" in answer.ways[0].steps[1]
    assert "outlook" in answer.choices


def test_web_mail_people_get_no_steps_for_programs_and_are_told_so() -> None:
    answer = advise(
        diagnose("Roundcube: SMTP Error (554): Failed to add recipient (Relay access denied).")
    )
    assert not any(way.steps for way in answer.ways)
    assert any("web mail" in note for note in answer.notes)


def test_a_bounce_with_a_denied_relay_is_the_other_sides_to_fix() -> None:
    answer = advise(diagnose("554 5.7.1 Relay access denied", Context(where="bounce")))
    assert answer.fixer is Fixer.RECIPIENT
    assert "does not know its own domain" in answer.sentence


def test_a_guess_is_called_a_guess() -> None:
    answer = advise(diagnose("0x800CCC79"))
    assert any("guess" in note for note in answer.notes)
    assert answer.possible


def test_of_what_is_not_understood_nothing_is_claimed() -> None:
    answer = advise(diagnose("hello"))
    assert answer.cause is Cause.UNKNOWN
    assert answer.fixer is None
    assert answer.provider == ""


def test_mail_that_disappears_is_followed() -> None:
    answer = advise(diagnose("It is in Sent Items, there is no error, but it never arrives."))
    assert answer.cause is Cause.SILENT_DROP
    assert "search its log" in answer.ways[0].text


@pytest.mark.parametrize(
    ("wish", "language"),
    [("zh_CN.UTF-8", "zh_Hans"), ("zh_Hans", "zh_Hans"), ("zh-Hans-CN", "zh_Hans"),
     ("zh", "zh_Hans"), ("zh_TW", "en"), ("de_DE", "en"), ("", "en"), ("C", "en")],
)  # fmt: skip
def test_languages_fall_back_to_english(wish: str, language: str) -> None:
    assert language_of(wish) == language


def test_po_files_are_read_with_long_strings_and_escapes() -> None:
    po = 'msgid ""\nmsgstr "header"\n\nmsgid "a \\"b\\""\nmsgstr ""\n"c\\n"\n"d"\n'
    assert read_po(po) == {'a "b"': "c\nd"}
