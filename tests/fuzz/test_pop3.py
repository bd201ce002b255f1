"""The POP3 core meets anything, in any split."""

from hypothesis import strategies as st

from posthouse.protocol.pop3 import events, replies
from posthouse.protocol.pop3.replies import Challenge
from posthouse.protocol.pop3.server import CoreLimits, Offer, ServerConnection
from posthouse.protocol.pop3.states import Phase
from tests.fuzz.fuzzing import CUTS, fuzz, octets_of, pieces

OFFER = Offer(user=True, apop=True, mechanisms=("PLAIN", "LOGIN"), stls=True, expire_days=3)
COMMANDS = octets_of(
    b"USER ann\r\nPASS secret\r\n", b"USER ", b"PASS ", b"APOP ann ", b"0" * 32, b"ann", b"\r\n",
    b"AUTH PLAIN ", b"AUTH LOGIN\r\n", b"AUTH\r\n", b"AGEAYg==", b"*\r\n", b"CAPA\r\n", b"UTF8\r\n",
    b"STLS\r\n", b"LANG *\r\n", b"LANG\r\n", b"STAT\r\n", b"LIST\r\n", b"LIST 1\r\n", b"UIDL 2\r\n",
    b"RETR 1\r\n", b"TOP 1 0\r\n", b"TOP ", b" 99999999999999999999", b"DELE 1\r\n", b"RSET\r\n",
    b"NOOP\r\n", b"QUIT\r\n", b"\r", b"\n", b"\0", b" ", b"-1", b"\xc3\xa4", b"\xff", b"y" * 1100,
    at_most=30,
)  # fmt: skip


def answer(connection: ServerConnection, event: events.Event) -> None:
    match event:
        case events.CommandRefused(reply=reply) | events.ConnectionAbused(reply=reply):
            connection.answer(reply)
        case events.CapabilitiesRequested():
            connection.answer_capabilities()
        case events.MessageRequested():
            connection.begin_content(replies.ok())
            connection.send_content(b".\r\n..\r\nx")
            connection.end_content()
        case events.AuthRequested(initial_response=None):
            connection.answer(Challenge(b"Username:"))
        case _:
            connection.answer(replies.ok())


def served(octets: bytes, cuts: list[int]) -> tuple[bytes, ServerConnection]:
    connection = ServerConnection(OFFER, CoreLimits(errors_max=6, flood_octets_max=2000))
    connection.greet(replies.ok("ready"))
    said = b""
    for piece in pieces(octets, cuts):
        connection.receive(piece)
        while (event := connection.next_event()) is not None:
            assert "secret" not in repr(event)
            answer(connection, event)
        said += connection.bytes_to_send()
    return said, connection


@fuzz(st.tuples(COMMANDS, CUTS))
def test_pop3_server(given: tuple[bytes, list[int]]) -> None:
    octets, cuts = given
    said, connection = served(octets, [])
    assert said.endswith(b"\r\n")
    assert b"\0" not in said
    if len(octets) < 2000:  # beyond, a flood is seen earlier or later as it comes
        assert served(octets, cuts)[0] == said
    if connection.phase is Phase.HANDSHAKE:
        connection.tls_started()
        assert connection.pending_octets == 0
        assert connection.next_event() is None
