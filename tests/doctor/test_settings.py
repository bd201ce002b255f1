"""The right settings, and how pasted ones differ."""

import pytest

from posthouse.doctor.settings import (
    compare,
    fields_of,
    label_texts,
    outgoing_for,
    settings_for,
)
from posthouse.doctor.translation import LANGUAGES, translations

PORTS = {"submission": 587, "submissions": 465, "mx": 25}
RIGHT = outgoing_for("ann@example.com", "mail.example.com", PORTS)


def test_tls_from_the_start_is_preferred() -> None:
    assert (RIGHT.port, RIGHT.security) == (465, "SSL/TLS")
    only = outgoing_for("ann@example.com", "mail.example.com", {"submission": 587})
    assert (only.port, only.security) == (587, "STARTTLS")


def test_a_server_without_submission_is_an_error() -> None:
    with pytest.raises(ValueError, match="submissions"):
        outgoing_for("ann@example.com", "mail.example.com", {"mx": 25})


def test_each_program_gets_its_own_labels() -> None:
    programs = {p.program: p for p in settings_for("ann@example.com", "mail.example.com", PORTS)}
    assert {"outlook", "thunderbird", "apple-mail", "ios-mail", "k9", "any"} <= set(programs)
    fields = {field.label: field.value for field in programs["thunderbird"].fields}
    assert fields["Connection security"] == "SSL/TLS"
    assert fields["Authentication method"] == "Normal password"


THUNDERBIRD = """\
Server Name: mail.example.com
Port: 25
Connection security: None
Authentication method: No authentication
User Name: ann
"""


@pytest.mark.parametrize(
    ("pasted", "wrong", "missing"),
    [
        (
            THUNDERBIRD,
            {"port", "security", "authentication", "user"},
            set(),
        ),
        (
            "发件服务器：mail.example.com\n端口：465\n加密：SSL/TLS\n身份验证：否\n用户名：ann@example.com",  # noqa: RUF001 - as pasted
            {"authentication"},
            set(),
        ),
        (
            "SMTP server: smtp.other.test",
            {"server"},
            {"port", "security", "authentication", "user"},
        ),
        ("nothing here", set(), {"server", "port", "security", "authentication", "user"}),
    ],
)
def test_pasted_settings_are_compared_field_by_field(
    pasted: str, wrong: set[str], missing: set[str]
) -> None:
    differences = compare(pasted, RIGHT)
    assert {d.name for d in differences if d.right is False} == wrong
    assert {d.name for d in differences if d.right is None} == missing


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("program", [it.program for it in fields_of(RIGHT)])
def test_what_is_printed_for_a_program_is_right_when_pasted_back(
    program: str, language: str
) -> None:
    shown = next(it for it in fields_of(RIGHT, language) if it.program == program)
    pasted = "\n".join(f"{field.label}: {field.value}" for field in shown.fields)
    assert {it.name: it.right for it in compare(pasted, RIGHT)} == dict.fromkeys(
        ("server", "port", "security", "authentication", "user"), True
    )


@pytest.mark.parametrize("text", label_texts())
def test_labels_are_chinese_in_chinese(text: str) -> None:
    assert translations("zh_Hans").gettext(text) != text


def test_only_the_field_that_is_wrong_is_wrong() -> None:
    shown = fields_of(RIGHT, "zh_Hans")[0]
    pasted = "\n".join(f"{f.label}\t{'25' if f.name == 'port' else f.value}" for f in shown.fields)
    assert [it.name for it in compare(pasted, RIGHT) if not it.right] == ["port"]
