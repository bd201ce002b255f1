"""However TCP cuts the stream, and whatever it holds, the core keeps its promises."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import ContentArrived, ContentEnded, Event
from posthouse.protocol.smtp.offer import Offer, SessionLimits
from posthouse.protocol.smtp.server import ServerConnection
from posthouse.protocol.smtp.states import Phase
from tests.dialogue import Session

OFFER = Offer("mail.example", 100, mechanisms=("PLAIN", "LOGIN"), binarymime=True)
LIMITS = SessionLimits(errors_max=5, idle_commands_max=8, surplus_octets_max=50)
LINES = st.sampled_from(
    [
        b"EHLO a\r\n",
        b"HELO a\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"MAIL FROM:<> BODY=BINARYMIME\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"RCPT TO:<no@d>\r\n",
        b"DATA\r\n",
        b"BDAT 3\r\n",
        b"BDAT 5 LAST\r\n",
        b"BDAT 2\r\n.\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH LOGIN YQ==\r\n",
        b"YQ==\r\n",
        b"*\r\n",
        b"..x\r\n",
        b".\r\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"x" * 60 + b"\r\n",
        b"y" * 13000 + b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"QUIT\r\n",
    ]
)
STREAMS = st.lists(LINES, max_size=25).map(
    lambda lines: b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n" + b"".join(lines)
)


def play(pieces: list[bytes]) -> Session:
    connection = ServerConnection(OFFER, LIMITS)
    connection.greet(replies.ready("mail.example"))
    session = Session(connection, frozenset({"no@d"}))
    for piece in pieces:
        connection.receive(piece)
        session.run()
    return session


def joined(events: list[Event]) -> list[Event]:
    """Without the ways to cut content; of content that is refused only the end is kept."""
    together: list[Event] = []
    for event in events:
        last = together[-1] if together else None
        if isinstance(event, ContentArrived) and isinstance(last, ContentArrived):
            together[-1] = ContentArrived(last.octets + event.octets)
        else:
            if isinstance(event, ContentEnded) and event.bad and isinstance(last, ContentArrived):
                together.pop()
            together.append(event)
    return together


@given(STREAMS, st.sets(st.integers(0, 500), max_size=20))
def test_any_split_gives_the_same_conversation(stream: bytes, cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(stream)), len(stream)]
    split, whole = play([stream[a:b] for a, b in pairwise(edges)]), play([stream])
    assert split.connection.bytes_to_send() == whole.connection.bytes_to_send()
    assert split.connection.phase is whole.connection.phase
    assert split.messages == whole.messages
    if split.connection.phase not in {Phase.CONTENT, Phase.CHUNK, Phase.CLOSED}:
        assert joined(split.events) == joined(whole.events)


@given(st.lists(st.binary(max_size=300) | LINES, max_size=40))
def test_no_octets_raise_or_pile_up(pieces: list[bytes]) -> None:
    connection = ServerConnection(OFFER, LIMITS)
    connection.greet(replies.ready("mail.example"))
    session = Session(connection)
    for piece in pieces:
        connection.receive(piece)
        session.run()
        assert connection.pending_octets <= 12288
    assert connection.bytes_to_send().isascii()


@given(STREAMS)
def test_each_reply_line_ends_with_crlf_and_has_a_code(stream: bytes) -> None:
    said = play([stream]).connection.bytes_to_send()
    lines = said.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line[:3].isdigit() and line[3:4] in {b" ", b"-"} for line in lines)
