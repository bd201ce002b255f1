from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.answers import PeerError, ReplyReader, extensions_in
from posthouse.protocol.smtp.client_events import Extensions


def replies_in(pieces: list[bytes]) -> list[Reply]:
    reader, seen = ReplyReader(), list[Reply]()
    for piece in pieces:
        reader.feed(piece)
        while (reply := reader.next_reply()) is not None:
            seen.append(reply)
    return seen


@pytest.mark.parametrize(
    ("stream", "reply"),
    [
        (b"250 2.1.0 Sender ok\r\n", Reply(250, "2.1.0", "Sender ok")),
        (b"250 ok\n", Reply(250, "", "ok")),
        (b"250\r\n", Reply(250, "", "")),
        (b"250 2.0.0\r\n", Reply(250, "2.0.0", "")),
        (b"550-5.1.1 No such\r\n550 5.1.1 mailbox\r\n", Reply(550, "5.1.1", "No such\nmailbox")),
        (b"550-5.1.1 No such\r\n550 mailbox\r\n", Reply(550, "5.1.1", "No such\nmailbox")),
        (b"550 4.1.1 two minds\r\n", Reply(550, "", "4.1.1 two minds")),
        (b"550 n\xc3\xb6\x00\r\n", Reply(550, "", "n??")),
    ],
)
def test_a_reply_is_read(stream: bytes, reply: Reply) -> None:
    assert replies_in([stream]) == [reply]
    assert replies_in([stream[i : i + 1] for i in range(len(stream))]) == [reply]


@pytest.mark.parametrize(
    "stream",
    [
        b"\r\n",
        b"hello\r\n",
        b"25 ok\r\n",
        b"999 ok\r\n",
        b"250+ok\r\n",
        b"2500 ok\r\n",
        b"250-a\r\n251 b\r\n",
        b"x" * 5000,
        b"250 " + b"x" * 5000 + b"\r\n",
        b"250-" * 1 + b"x" * 4000 + b"\r\n" + (b"250-" + b"x" * 4000 + b"\r\n") * 20,
    ],
)
def test_a_broken_server_is_a_peer_error(stream: bytes) -> None:
    with pytest.raises(PeerError):
        replies_in([stream])


@given(
    st.lists(st.sampled_from([b"250-a\r\n", b"250 b\r\n", b"250\n"])), st.sets(st.integers(0, 99))
)
def test_any_split_gives_the_same_replies(lines: list[bytes], cuts: set[int]) -> None:
    stream = b"".join(lines)
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(stream)), len(stream)]
    assert replies_in([stream[a:b] for a, b in pairwise(edges)]) == replies_in([stream])


@given(st.binary(max_size=500))
def test_no_octets_raise_anything_else(stream: bytes) -> None:
    with suppress(PeerError):
        replies_in([stream])


def test_extensions_are_read() -> None:
    text = (
        "mx\nPIPELINING\nSIZE 1000\nstarttls\nAUTH PLAIN LOGIN\nAUTH=LOGIN CRAM-MD5\n8BITMIME\n"
        "SMTPUTF8\nDSN\nCHUNKING\nBINARYMIME\nREQUIRETLS\n\nX-WHATEVER"
    )
    assert extensions_in(Reply(250, "", text)) == Extensions(
        pipelining=True,
        size_octets_max=1000,
        starttls=True,
        mechanisms=("PLAIN", "LOGIN", "CRAM-MD5"),
        eightbitmime=True,
        smtputf8=True,
        dsn=True,
        chunking=True,
        binarymime=True,
        requiretls=True,
    )


def test_what_is_not_offered_is_not_there() -> None:
    assert extensions_in(Reply(250, "", "PIPELINING")) == Extensions()
    assert extensions_in(Reply(250, "", "mx\nBINARYMIME")) == Extensions()
    assert extensions_in(Reply(250, "", "mx\nSIZE")).size_octets_max == 0
    assert extensions_in(Reply(250, "", "mx\nSIZE lots")).size_octets_max is None
