"""Replies on the wire (RFC 5321 §4.2)."""

import pytest

from posthouse.mail.reply import Reply


def test_a_reply_of_several_lines_repeats_its_codes() -> None:
    reply = Reply(550, "5.7.1", "Please sign in\n[not-recognised] case 7Q4KM2XA")
    assert reply.encode() == (
        b"550-5.7.1 Please sign in\r\n550 5.7.1 [not-recognised] case 7Q4KM2XA\r\n"
    )
    assert str(reply) == "550 5.7.1 Please sign in; [not-recognised] case 7Q4KM2XA"


@pytest.mark.parametrize("text", ["a\rb", "a\x00", "x" * 600])
def test_what_cannot_be_sent_is_a_bug_of_ours(text: str) -> None:
    with pytest.raises(ValueError, match="unsendable"):
        Reply(250, "2.0.0", text).encode()


def test_kinds() -> None:
    assert Reply(354, "", "go").is_positive
    assert Reply(451, "4.3.0", "later").is_transient
    assert not Reply(550, "5.1.1", "no").is_positive
