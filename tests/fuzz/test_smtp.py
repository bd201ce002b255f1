"""Both SMTP cores meet anything: no exception but those listed, and any split is the same."""

from hypothesis import strategies as st

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.mail.envelope import Recipient
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.client import ClientConnection, Outgoing, PeerError
from posthouse.protocol.smtp.client_events import (
    ContentWanted,
    Greeted,
    HelloAnswered,
    SignInAnswered,
    TlsReady,
    TransactionEnded,
)
from posthouse.protocol.smtp.events import ClientTold, Event, OriginTold
from posthouse.protocol.smtp.offer import Offer, SessionLimits
from posthouse.protocol.smtp.server import ServerConnection
from posthouse.protocol.smtp.states import Phase
from tests.dialogue import Session
from tests.fuzz.fuzzing import CUTS, fuzz, octets_of, pieces

OFFER = Offer(
    "mail.example", 200, starttls=True, mechanisms=("PLAIN", "LOGIN"), binarymime=True, tells=True
)
LIMITS = SessionLimits(errors_max=6, idle_commands_max=9, surplus_octets_max=100)
COMMANDS = octets_of(
    b"EHLO ", b"HELO ", b"client.example", b"[192.0.2.1]", b"MAIL FROM:", b"<ann@example.com>",
    b"RCPT TO:", b"<bob@example.org>", b"<>", b"<postmaster>", b"DATA\r\n", b"\r\n.\r\n", b"\r\n",
    b"BDAT 3\r\n", b"BDAT 5 LAST\r\n", b"BDAT ", b"99999999999999999999", b"STARTTLS\r\n",
    b"AUTH PLAIN ", b"AUTH LOGIN\r\n", b"AGEAYg==", b"YQ==", b"*\r\n", b"RSET\r\n", b"NOOP\r\n",
    b"VRFY a\r\n", b"HELP\r\n", b"QUIT\r\n", b" SIZE=", b"100", b" BODY=BINARYMIME",
    b" SMTPUTF8", b" RET=HDRS", b" ENVID=a+2Bb", b" NOTIFY=NEVER", b" ORCPT=rfc822;a+40b", b" ",
    b" AUTH=<>", b" HOLDFOR=60", b" BY=60;R", b" REQUIRETLS", b"\r", b"\n", b"\0", b".", b"..",
    b"XCLIENT ADDR=192.0.2.9 PROTO=ESMTP\r\n", b"XFORWARD NAME=a\r\n", b"GET / HTTP/1.1\r\n",
    b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", b"x" * 600, b"\xc3\xa4", b"\xff",
    at_most=30,
)  # fmt: skip
SAY_YES = Reply(250, "2.0.0", "Yes")


class Willing(Session):
    """Says yes to XCLIENT and XFORWARD too."""

    def answer_to(self, event: Event) -> Reply:
        return SAY_YES if isinstance(event, ClientTold | OriginTold) else super().answer_to(event)


def served(octets: bytes, cuts: list[int]) -> tuple[bytes, Willing]:
    connection = ServerConnection(OFFER, LIMITS)
    connection.greet(replies.ready("mail.example"))
    session = Willing(connection)
    said = b""
    for piece in pieces(octets, cuts):
        connection.receive(piece)
        session.run()
        said += connection.bytes_to_send()
    return said, session


@fuzz(st.tuples(COMMANDS, CUTS))
def test_smtp_server(given: tuple[bytes, list[int]]) -> None:
    octets, cuts = given
    said, session = served(octets, [])
    said_in_pieces, in_pieces = served(octets, cuts)
    assert said == said_in_pieces
    assert session.messages == in_pieces.messages
    assert all(line[:3].isdigit() and line.isascii() for line in said.split(b"\r\n")[:-1])
    if session.connection.phase is Phase.HANDSHAKE:
        session.connection.tls_started()
        assert session.connection.pending_octets == 0
        session.connection.receive(octets)
        session.run()


REPLIES = octets_of(
    b"220 mail.example ESMTP\r\n", b"220 mail.example\r\n250-a\r\n250-PIPELINING\r\n250 DSN\r\n",
    b"250-mail.example\r\n", b"250-PIPELINING\r\n", b"250-SIZE ", b"250 AUTH PLAIN LOGIN\r\n",
    b"250-CHUNKING\r\n250-BINARYMIME\r\n250 SMTPUTF8\r\n", b"250-STARTTLS\r\n250 LIMITS ",
    b"354 go\r\n", b"334 VXNlcm5hbWU6\r\n", b"334 \r\n", b"235 2.7.0 in\r\n", b"421 4.3.2 bye\r\n",
    b"450 4.2.1 later\r\n", b"550 5.1.1 no\r\n", b"250 2.0.0 ok\r\n", b"221 bye\r\n", b"250\r\n",
    b"250 ok\n", b"99", b"\r\n", b"2", b"250-", b"\r", b"\n", b"\0", b"\xff", b"0" * 600,
    at_most=30,
)  # fmt: skip
MAIL = Outgoing(
    ReversePath(Mailbox("ann", "example.com")),
    (Recipient(Mailbox("bob", "example.org")), Recipient(Mailbox("carol", "example.org"))),
)


@fuzz(st.tuples(REPLIES, CUTS, st.booleans(), st.booleans()), allowed=(PeerError,))
def test_smtp_client(given: tuple[bytes, list[int], bool, bool]) -> None:
    octets, cuts, lmtp, early = given
    client, ended = ClientConnection(lmtp=lmtp), 0
    if early:
        client.hello("client.example")
    for piece in pieces(octets, cuts):
        client.receive(piece)
        while (event := client.next_event()) is not None:
            match event:
                case Greeted() if not client.closed and not early:
                    client.hello("client.example")
                case HelloAnswered(reply, offered) if reply.is_positive and client.is_idle:
                    if offered.starttls:
                        client.start_tls()
                    elif offered.mechanisms:
                        client.sign_in("ann", "secret", ("LOGIN", "PLAIN"))
                    else:
                        client.send(MAIL, b"..a\r\n.\r\nb")
                case SignInAnswered():
                    client.send(MAIL)
                    client.send(MAIL, b"second")
                case ContentWanted():
                    client.write_content(b"a\r")
                    client.write_content(b"\n.\r\n")
                    client.end_content()
                case TransactionEnded(replies=answers):
                    assert len(answers) == 2
                    assert all(it.code >= 200 for it in answers)
                    ended += 1
                case TlsReady():
                    client.tls_started()
                    client.hello("client.example")
                case _:
                    pass
        said = client.bytes_to_send()
        assert b"\0" not in said
    assert ended <= 3
    client.peer_closed()
    while client.next_event() is not None:
        pass
    assert client.closed
