import pytest

from posthouse.protocol.pop3 import replies
from posthouse.protocol.pop3.replies import Challenge, Language, Reply, error, ok

CATALOGUE = {name: it for name, it in vars(replies).items() if isinstance(it, Reply)}
CODES = {"", "AUTH", "IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM"}


@pytest.mark.parametrize("reply", CATALOGUE.values(), ids=CATALOGUE)
def test_a_reply_can_be_sent_and_its_code_is_registered(reply: Reply) -> None:
    assert reply.encode().isascii()
    assert reply.code in CODES
    assert not (reply.is_positive and reply.code)


@pytest.mark.parametrize("reply", CATALOGUE.values(), ids=CATALOGUE)
def test_words_for_people_are_there_in_chinese(reply: Reply) -> None:
    assert bool(reply.chinese) is bool(reply.text)
    foreign = reply.encode(Language.CHINESE).decode()
    mark = f"[{reply.code}]" if reply.code else ""
    assert foreign.startswith(("+OK" if reply.is_positive else "-ERR") + (mark and f" {mark}"))


def test_what_programs_read_is_the_same_in_every_language() -> None:
    assert ok("2 320").encode(Language.CHINESE) == b"+OK 2 320\r\n"
    assert replies.summary(2, 320).encode(Language.CHINESE).startswith(b"+OK 2 ")
    assert replies.content_follows(320).encode(Language.CHINESE).startswith(b"+OK 320 ")


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("*", Language.ENGLISH),
        ("i-default", Language.ENGLISH),
        ("EN-us", Language.ENGLISH),
        ("zh", Language.CHINESE),
        ("zh-Hant-TW", Language.CHINESE),
        ("fr", None),
        ("e", None),
    ],
)
def test_a_tag_finds_its_language(wanted: str, language: Language | None) -> None:
    assert replies.language_for(wanted) is language


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


@pytest.mark.parametrize("text", ["一\r\n+OK", "一\x85一", "一" * 200, "\ud800"])
def test_neither_can_it_in_another_language(text: str) -> None:
    with pytest.raises(ValueError, match="unsendable"):
        ok("x", chinese=text).encode(Language.CHINESE)
