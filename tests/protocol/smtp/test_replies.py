import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.offer import Offer

CATALOGUE = {name: it for name, it in vars(replies).items() if isinstance(it, Reply)}


@pytest.mark.parametrize("reply", CATALOGUE.values(), ids=CATALOGUE)
def test_a_reply_can_be_sent_and_its_two_codes_agree(reply: Reply) -> None:
    assert reply.encode().isascii()
    assert reply.status == "" or reply.status[0] == str(reply.code)[0]
    assert reply.status or reply.code // 100 == 3


@pytest.mark.parametrize("reply", CATALOGUE.values(), ids=CATALOGUE)
def test_a_reply_is_one_short_sentence(reply: Reply) -> None:
    assert "\n" not in reply.text
    assert len(reply.text) <= 80
    assert reply.text[0].isupper()
    assert not reply.text.endswith(".")


def test_no_two_replies_are_the_same() -> None:
    assert len(set(CATALOGUE.values())) == len(CATALOGUE)


def test_a_reply_that_closes_is_421() -> None:
    closing = {name for name, reply in CATALOGUE.items() if reply.code == 421}
    assert closing >= {"TOO_MANY_ERRORS", "SHUTTING_DOWN", "IDLE_TOO_LONG"}
    assert all(CATALOGUE[name].status.startswith("4.") for name in closing)


def test_every_bad_content_is_refused_for_good() -> None:
    assert all(reply.code // 100 == 5 for reply in replies.FOR_BAD_CONTENT.values())


@given(st.text(min_size=1, max_size=2000))
def test_whatever_is_said_about_an_address_can_be_sent(why: str) -> None:
    printable = "".join(sign for sign in why if sign.isprintable())
    for reply in (replies.bad_sender(printable), replies.bad_recipient(printable)):
        assert reply.encode().isascii()


def test_the_largest_chunk_and_challenge_can_be_told() -> None:
    assert replies.chunk_ok(10**20 - 1).encode().startswith(b"250 2.0.0 ")
    assert replies.challenge(b"").encode() == b"334 \r\n"
    assert replies.challenge(b"Username:").encode() == b"334 VXNlcm5hbWU6\r\n"
    assert replies.ready("mail.example").text.startswith("mail.example ESMTP")


def test_everything_that_can_be_offered_is_offered_a_line_each() -> None:
    offer = Offer(
        "mail.example",
        0,
        starttls=True,
        mechanisms=("PLAIN", "LOGIN"),
        binarymime=True,
        requiretls=True,
        recipients_max=100,
    )
    lines = offer.hello_reply(extended=True).text.split("\n")
    assert lines[0] == "mail.example"
    assert {"SIZE 0", "STARTTLS", "AUTH PLAIN LOGIN", "BINARYMIME", "LIMITS RCPTMAX=100"} < {*lines}
    assert "REQUIRETLS" not in lines  # there is no TLS yet
