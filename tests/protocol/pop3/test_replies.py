import pytest

from posthouse.protocol.pop3 import replies
from posthouse.protocol.pop3.replies import Challenge, Reply, error, ok

CATALOGUE = {name: it for name, it in vars(replies).items() if isinstance(it, Reply)}
CODES = {"", "AUTH", "IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM"}


@pytest.mark.parametrize("reply", CATALOGUE.values(), ids=CATALOGUE)
def test_a_reply_can_be_sent_and_its_code_is_registered(reply: Reply) -> None:
    assert reply.encode().isascii()
    assert reply.code in CODES
    assert not (reply.is_positive and reply.code)


def test_a_code_stands_in_brackets() -> None:
    assert error("Later", "IN-USE").encode() == b"-ERR [IN-USE] Later\r\n"
    assert replies.locked_out(7).encode().startswith(b"-ERR [LOGIN-DELAY] ")


def test_an_empty_text_leaves_no_space_at_the_end() -> None:
    assert ok().encode() == b"+OK\r\n"


def test_a_challenge_is_base64_after_a_plus() -> None:
    assert Challenge().encode() == b"+ \r\n"
    assert Challenge(b"Username:").encode() == b"+ VXNlcm5hbWU6\r\n"


@pytest.mark.parametrize("text", ["a\r\n+OK", "é", "x" * 600])
def test_what_cannot_stand_on_a_line_is_a_bug(text: str) -> None:
    with pytest.raises(ValueError, match="unsendable"):
        ok(text).encode()
