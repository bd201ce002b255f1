"""The measure: texts of real servers and programs in many languages, each with its cause."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import CONFIDENT, diagnose

FOLDER = Path(__file__).parent / "texts"
TEXTS: list[dict[str, Any]] = [
    text
    for path in sorted(FOLDER.glob("*.toml"))
    for text in tomllib.loads(path.read_text())["text"]
]


def test_the_first_cause_is_nearly_always_right_and_wrong_ones_are_not_stated() -> None:
    results = [(text, diagnose(text["text"])) for text in TEXTS]
    wrong = [(text, d) for text, d in results if d.cause != text["cause"]]
    missed = [text["text"] for text, d in wrong if text["cause"] not in d.candidates[:3]]
    stated = [text["text"] for text, d in wrong if d.findings[0].confidence >= CONFIDENT]
    assert len(wrong) <= 0.03 * len(TEXTS), [text["text"] for text, _ in wrong]
    assert len(missed) <= 0.02 * len(TEXTS), missed
    assert len(stated) <= 0.01 * len(TEXTS), stated


def test_there_are_many_texts_in_many_languages() -> None:
    assert len(TEXTS) >= 400
    assert len({text["language"] for text in TEXTS}) >= 24
    assert {text["cause"] for text in TEXTS} <= set(Cause)


ENGLISH = (
    "Server: 'smtp.example.com', Protocol: SMTP, Server Response: '{}', Port: 25, Secure(SSL): No"
)
ENGLISH += ", Server Error: {:.3}, Error Number: 0x800CCC79"
CHINESE = (
    "服务器:“<smtp.example.com>”,协议:SMTP,服务器响应:'{},端口:25,安全 (SSL) :否,服务器错误:{:.3}"
)
CHINESE += ",错误编号:0x800CCC79。"
IN_ENGLISH = "550 <someone@example.com>... Relaying denied"
RCPTHOSTS = "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"
IN_CHINESE = "550 <someone@example.com>...中继拒绝'"
RCPTHOSTS_IN_CHINESE = "553 抱歉,该域不在我的允许的 rcpthost (#5.7.1) '列表中"


@pytest.mark.parametrize(
    "text",
    [
        ENGLISH.format(IN_ENGLISH, IN_ENGLISH),
        ENGLISH.format(RCPTHOSTS, RCPTHOSTS),
        CHINESE.format(IN_CHINESE, IN_CHINESE),
        CHINESE.format(RCPTHOSTS_IN_CHINESE, RCPTHOSTS_IN_CHINESE),
    ],
    ids=["550 en", "553 en", "550 zh", "553 zh"],
)
def test_the_two_messages_of_the_article_are_understood_in_both_languages(text: str) -> None:
    diagnosis = diagnose(text)
    assert [finding.cause for finding in diagnosis.findings] == [Cause.RELAY_DENIED]
    assert diagnosis.findings[0].confidence > 0.9
    assert diagnosis.question is None
    clues = diagnosis.clues
    assert (clues.command, clues.port, clues.tls, clues.server) == (
        "RCPT",
        25,
        False,
        "smtp.example.com",
    )
    assert clues.number == "0x800ccc79"
    assert clues.program == "outlook"
