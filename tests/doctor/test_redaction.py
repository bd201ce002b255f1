"""A version that is safe to post."""

from posthouse.doctor.redaction import redact


def test_addresses_are_numbered_and_equal_ones_stay_equal() -> None:
    text = redact("<ann@corp.test> to <bob@shop.test>, again ann@corp.test")
    assert text == "<person1@example.com> to <person2@example.com>, again person1@example.com"


def test_network_addresses_are_replaced() -> None:
    assert redact("from 203.0.113.9 and 2001:db8:1:2::7") == "from 192.0.2.1 and 192.0.2.2"


def test_secrets_and_subjects_are_taken_out() -> None:
    text = redact(
        "AUTH PLAIN AGFubgBzZWNyZXQ=\npassword: hunter2\n密码:秘密\n"
        "Subject: our merger\nSubject 'Salary', Account: 'x'"
    )
    for secret in ("AGFubg", "hunter2", "秘密", "merger", "Salary"):
        assert secret not in text


def test_the_reply_itself_stays() -> None:
    assert redact("550 5.7.1 Relaying denied (#5.7.1)") == "550 5.7.1 Relaying denied (#5.7.1)"
