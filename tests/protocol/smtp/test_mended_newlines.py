"""Content of old devices: bare CR and bare LF become CRLF, and the end of data stays one."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from posthouse.protocol.smtp.events import ConnectionAbused, ContentEnded, MailReceived
from posthouse.protocol.smtp.offer import Offer
from tests.dialogue import Session
from tests.protocol.smtp.test_server import OFFER, TRANSACTION, greeted, said_hello

MENDING = replace(OFFER, mends_newlines=True)
HIDDEN = b"MAIL FROM:<eve@example.com>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nsmuggled\r\n.\r\n"
FALSE_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r"]


def taken(content: bytes, offer: Offer = MENDING, cut: int = 0) -> Session:
    session = said_hello(offer)
    octets = TRANSACTION + b"DATA\r\n" + content
    for part in (octets[:cut], octets[cut:]):
        session.connection.receive(part)
        session.run()
    return session


def test_bare_newlines_become_crlf() -> None:
    session = taken(b"Subject: a\nb\rc\r\n\nd\r\n.\r\n")
    assert session.messages == [b"Subject: a\r\nb\r\nc\r\n\r\nd\r\n"]
    assert session.events[-1] == ContentEnded(len(session.messages[0]))


def test_without_the_wish_they_are_refused() -> None:
    session = taken(b"Subject: a\nb\r\n.\r\n", OFFER)
    assert session.events[-1] == ContentEnded(14, "bare-newline")


@given(st.sampled_from(FALSE_ENDS), st.integers(0, 150))
def test_nothing_can_be_smuggled_by_an_end_that_is_none(end: bytes, cut: int) -> None:
    session = taken(b"first" + end + HIDDEN, cut=cut)
    assert sum(isinstance(event, MailReceived) for event in session.events) == 1
    assert session.events.count(session.events[-1]) == 1
    assert isinstance(session.events[-1], ContentEnded)
    assert b"smuggled" in session.messages[0]


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b".", b"\r\n"]), max_size=40), st.data())
def test_any_split_gives_the_same_lines(parts: list[bytes], data: st.DataObject) -> None:
    content = b"x" + b"".join(parts).replace(b"\r\n.\r\n", b"\r\n")
    whole = taken(content + b"\r\n.\r\n")
    cut = data.draw(st.integers(0, len(TRANSACTION + content) + 11))
    assert taken(content + b"\r\n.\r\n", cut=cut).messages == whole.messages
    (got,) = whole.messages
    assert got.count(b"\n") == got.count(b"\r\n") == got.count(b"\r")


def test_chunks_are_mended_also_between_two() -> None:
    session = said_hello(MENDING)
    session.connection.receive(TRANSACTION + b"BDAT 3\r\nab\rBDAT 4 LAST\r\n\nc\nd")
    session.run()
    assert session.messages == [b"ab\r\nc\r\nd"]


def test_who_talks_on_out_of_turn_is_sent_away() -> None:
    strict = replace(OFFER, in_turn=True)
    session = Session(greeted(strict))
    session.connection.receive(b"EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n")
    session.run()
    assert isinstance(session.events[-1], ConnectionAbused)
    assert session.connection.wants_close
    session = taken(b"early content\r\n.\r\n", strict)
    assert isinstance(session.events[-1], ConnectionAbused)
    assert session.messages == []


def test_pipelining_as_it_is_allowed_is_in_turn() -> None:
    session = taken(b"", replace(OFFER, in_turn=True))
    session.connection.receive(b"content\r\n.\r\n" + TRANSACTION + b"DATA\r\n")
    session.run()
    assert not session.connection.wants_close
    assert sum(isinstance(event, MailReceived) for event in session.events) == 2
