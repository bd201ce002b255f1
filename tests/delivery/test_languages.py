"""In which language a sender is told."""

import pytest

from posthouse.delivery.languages import SenderLanguages, language_in
from posthouse.mail.address import NULL
from posthouse.mail.message import split_header
from tests.delivery.given import envelope


@pytest.mark.parametrize(
    ("field", "language"),
    [
        ("Content-Language: zh-CN", "zh_Hans"),
        ("Content-Language: zh-Hans-SG", "zh_Hans"),
        ("Accept-Language: zh-CN, en-US;q=0.5", "zh_Hans"),
        ("Accept-Language: en-US, zh-CN", "en"),
        ("Accept-Language: fr, de", ""),
        ("Accept-Language: fr, zh", "zh_Hans"),
        ("Content-Language: zh-TW", ""),
        ("Accept-Language: ;;,, *", ""),
        ("Content-Language: \xff\x00", ""),
        ("Accept-Language: en\r\nContent-Language: zh-CN", "en"),
        ("Subject: zh", ""),
    ],
)
def test_a_message_says_what_its_sender_reads(field: str, language: str) -> None:
    assert language_in(split_header(field.encode("latin-1") + b"\r\n\r\n")) == language


def test_an_account_chooses_before_its_messages_and_those_before_the_site() -> None:
    chosen = {"ann@ours.example": "zh_Hans"}
    languages = SenderLanguages(lambda account: chosen.get(account, ""), "en")
    english = split_header(b"Accept-Language: en\r\n\r\n")
    silent = split_header(b"\r\n")
    assert languages.of(envelope(account="ann@ours.example"), english) == "zh_Hans"
    assert languages.of(envelope(), english) == "zh_Hans", "by the reverse-path"
    assert languages.of(envelope(account="bob@ours.example"), english) == "en"
    languages.default = "zh_Hans"
    assert languages.of(envelope(reverse_path=NULL), silent) == "zh_Hans"
    assert languages.of(envelope(reverse_path=NULL), english) == "en"
