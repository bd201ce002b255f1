"""The right settings, and how pasted ones differ."""

import pytest

from posthouse.doctor.settings import compare, outgoing_for, settings_for

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
