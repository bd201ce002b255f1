"""The client core against a scripted server: what we write, what we make of the answers."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import NULL, parse_mailbox
from posthouse.mail.envelope import Recipient
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp.client import ClientConnection, Outgoing, PeerError
from posthouse.protocol.smtp.client_events import (
    ClientEvent,
    Closed,
    ContentOut,
    ContentWanted,
    Extensions,
    Greeted,
    HelloAnswered,
    ResetAnswered,
    SignInAnswered,
    TlsReady,
    TlsRefused,
    TransactionEnded,
)

OK = Reply(250, "", "ok")
NO = Reply(550, "", "no")
LATER = Reply(451, "", "later")
GO = Reply(354, "", "go")
ALL_OFFERED = b"250-mx\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"


def outgoing(*recipients: str, body: str = "7BIT") -> Outgoing:
    return Outgoing(NULL, tuple(Recipient(parse_mailbox(it)) for it in recipients), body=body)


def events_after(connection: ClientConnection, octets: bytes) -> list[ClientEvent]:
    connection.receive(octets)
    events: list[ClientEvent] = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    return events


def answered(connection: ClientConnection, *answers: Reply) -> list[ClientEvent]:
    return events_after(connection, b"".join(answer.encode() for answer in answers))


def ready(offer: bytes = ALL_OFFERED, *, lmtp: bool = False) -> ClientConnection:
    connection = ClientConnection(lmtp=lmtp)
    events_after(connection, b"220 mx ESMTP\r\n")
    connection.hello("client.example")
    events_after(connection, offer)
    connection.bytes_to_send()
    return connection


# ------------------------------------------------------------------------------- opening


def test_greeting_and_hello() -> None:
    connection = ClientConnection()
    assert connection.next_event() is None
    assert not connection.is_idle
    greeting = Reply(220, "", "mx ESMTP")
    assert events_after(connection, b"220 mx ESMTP\r\n") == [Greeted(greeting)]
    connection.hello("client.example")
    assert connection.bytes_to_send() == b"EHLO client.example\r\n"
    (event,) = events_after(connection, b"250-mx\r\n250 PIPELINING\r\n")
    assert isinstance(event, HelloAnswered)
    assert event.extensions == connection.extensions == Extensions(pipelining=True)
    assert connection.is_idle


def test_a_refusing_greeting_closes() -> None:
    connection = ClientConnection()
    assert answered(connection, NO) == [Greeted(NO), Closed(NO)]
    assert connection.closed
    busy = Reply(421, "4.3.2", "busy")
    assert answered(ClientConnection(), busy) == [Greeted(busy), Closed(busy)]


def test_helo_follows_a_refused_ehlo() -> None:
    connection = ClientConnection()
    answered(connection, Reply(220, "", "mx"))
    connection.hello("client.example")
    assert answered(connection, Reply(502, "", "what?")) == []
    assert connection.bytes_to_send() == b"EHLO client.example\r\nHELO client.example\r\n"
    assert answered(connection, OK) == [HelloAnswered(OK, Extensions())]


def test_lmtp_says_lhlo_and_nothing_else() -> None:
    connection = ClientConnection(lmtp=True)
    answered(connection, Reply(220, "", "mx"))
    connection.hello("client.example")
    assert connection.bytes_to_send() == b"LHLO client.example\r\n"
    assert answered(connection, NO) == [HelloAnswered(NO, Extensions())]


# ------------------------------------------------------------------------------- TLS, AUTH


def test_tls_voids_what_was_offered() -> None:
    connection = ready()
    connection.start_tls()
    assert connection.bytes_to_send() == b"STARTTLS\r\n"
    go = Reply(220, "", "go")
    assert answered(connection, go) == [TlsReady(go)]
    connection.receive(b"server hello, meant for the TLS pipe")
    assert not connection.is_idle
    connection.tls_started()
    assert connection.extensions == Extensions()
    connection.hello("client.example")
    (event,) = events_after(connection, b"250 mx\r\n")
    assert isinstance(event, HelloAnswered)


def test_a_refused_starttls_leaves_the_session() -> None:
    connection = ready()
    connection.start_tls()
    assert answered(connection, LATER) == [TlsRefused(LATER)]
    assert connection.is_idle


def test_answers_injected_before_tls_are_an_attack() -> None:
    connection = ready()
    connection.start_tls()
    with pytest.raises(PeerError):
        events_after(connection, b"220 go\r\n250 injected\r\n")
    assert connection.closed


def test_plain_goes_with_the_command() -> None:
    connection = ready()
    connection.sign_in("ann", "secret")
    assert connection.bytes_to_send() == b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
    yes = Reply(235, "", "yes")
    assert answered(connection, yes) == [SignInAnswered(yes)]


def test_login_answers_two_questions() -> None:
    connection = ready()
    connection.sign_in("ann", "secret", ("LOGIN",))
    assert connection.bytes_to_send() == b"AUTH LOGIN\r\n"
    assert answered(connection, Reply(334, "", "VXNlcm5hbWU6")) == []
    assert connection.bytes_to_send() == b"YW5u\r\n"
    assert answered(connection, Reply(334, "", "UGFzc3dvcmQ6")) == []
    assert connection.bytes_to_send() == b"c2VjcmV0\r\n"
    assert answered(connection, NO) == [SignInAnswered(NO)]


def test_a_server_that_asks_too_much_is_told_to_stop() -> None:
    connection = ready()
    connection.sign_in("ann", "secret")
    connection.bytes_to_send()
    answered(connection, Reply(334, "", ""))
    assert connection.bytes_to_send() == b"*\r\n"
    with pytest.raises(PeerError):
        answered(connection, Reply(334, "", ""))


def test_without_a_common_mechanism_nothing_is_said() -> None:
    connection = ready()
    connection.sign_in("ann", "secret", ("SCRAM-SHA-256",))
    assert connection.bytes_to_send() == b""
    event = connection.next_event()
    assert isinstance(event, SignInAnswered)
    assert not event.reply.is_positive


# ------------------------------------------------------------------------------- transactions


def test_one_write_asks_for_everything() -> None:
    connection = ready()
    number = connection.send(outgoing("a@x.example", "b@x.example"), b"one\n.two\r")
    said = b"MAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"
    assert connection.bytes_to_send() == said
    assert answered(connection, OK, NO, OK) == []
    assert connection.heard_of(number) == (True, (NO, None))
    assert answered(connection, GO) == [ContentOut(number)]
    assert connection.bytes_to_send() == b"one\r\n..two\r\n.\r\n"
    assert answered(connection, LATER) == [TransactionEnded(number, (NO, LATER))]
    assert connection.is_idle


def test_the_next_message_leaves_with_the_content_before() -> None:
    connection = ready()
    connection.send(outgoing("a@x.example"), b"one\r\n")
    connection.send(outgoing("b@x.example"), b"two\r\n")
    connection.bytes_to_send()
    answered(connection, OK, OK, GO)
    said = b"one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"
    assert connection.bytes_to_send() == said
    events = answered(connection, OK, OK, OK, GO)
    assert events == [TransactionEnded(0, (OK,)), ContentOut(1)]
    assert connection.bytes_to_send() == b"two\r\n.\r\n"
    assert answered(connection, OK)[-1] == TransactionEnded(1, (OK,))


def test_without_pipelining_each_command_waits() -> None:
    connection = ready(b"250 mx\r\n")
    connection.send(outgoing("a@x.example", "b@x.example"), b"one\r\n")
    connection.send(outgoing("c@x.example"), b"two\r\n")
    said, events = list[bytes](), list[ClientEvent]()
    for answer in (OK, NO, OK, GO, OK, OK, OK, GO, OK):
        said.append(connection.bytes_to_send())
        events = answered(connection, answer)
    assert said == [
        b"MAIL FROM:<>\r\n",
        b"RCPT TO:<a@x.example>\r\n",
        b"RCPT TO:<b@x.example>\r\n",
        b"DATA\r\n",
        b"one\r\n.\r\n",
        b"MAIL FROM:<>\r\n",
        b"RCPT TO:<c@x.example>\r\n",
        b"DATA\r\n",
        b"two\r\n.\r\n",
    ]
    assert events[-1] == TransactionEnded(1, (OK,))


@pytest.mark.parametrize("offer", [ALL_OFFERED, b"250 mx\r\n"])
def test_a_refused_sender_decides_for_all(offer: bytes) -> None:
    connection = ready(offer)
    connection.send(outgoing("a@x.example", "b@x.example"), b"one\r\n")
    bad_order = Reply(503, "", "order")
    rest = [bad_order] * 3 if connection.extensions.pipelining else []
    events = answered(connection, NO, *rest)
    assert events == [TransactionEnded(0, (NO, NO))]
    assert b"RSET" not in connection.bytes_to_send()
    assert connection.is_idle


@pytest.mark.parametrize("offer", [ALL_OFFERED, b"250 mx\r\n"])
def test_no_recipient_left_ends_with_a_reset(offer: bytes) -> None:
    connection = ready(offer)
    connection.send(outgoing("a@x.example"), b"one\r\n")
    connection.send(outgoing("b@x.example"), b"two\r\n")
    rest = [Reply(554, "", "nobody")] if connection.extensions.pipelining else []
    assert answered(connection, OK, NO, *rest)[-1] == TransactionEnded(0, (NO,))
    assert b"RSET\r\n" in connection.bytes_to_send()
    answered(connection, OK, OK, OK, GO)
    assert answered(connection, OK)[-1] == TransactionEnded(1, (OK,))


def test_354_without_recipients_is_answered_by_the_end() -> None:
    connection = ready()
    connection.send(outgoing("a@x.example"), b"one\r\n")
    connection.bytes_to_send()
    answered(connection, OK, NO, GO)
    assert connection.bytes_to_send() == b".\r\n"
    assert answered(connection, Reply(554, "", "nobody")) == [TransactionEnded(0, (NO,))]
    assert connection.is_idle


def test_refused_data_decides_for_the_accepted() -> None:
    connection = ready()
    connection.send(outgoing("a@x.example", "b@x.example"), b"one\r\n")
    events = answered(connection, OK, NO, OK, LATER)
    assert events == [TransactionEnded(0, (NO, LATER))]
    assert connection.bytes_to_send().endswith(b"DATA\r\nRSET\r\n")


def test_content_can_be_streamed() -> None:
    connection = ready()
    number = connection.send(outgoing("a@x.example"))
    assert answered(connection, OK, OK, GO)[-1] == ContentWanted(number)
    connection.bytes_to_send()
    assert answered(connection, OK) == []  # too early: it is heard behind the end
    for block in (b".a\r", b"\n", b".b", b"\nc"):
        connection.write_content(block)
    connection.end_content()
    assert connection.bytes_to_send() == b"..a\r\n..b\r\nc\r\n.\r\n"
    assert answered(connection) == [ContentOut(number), TransactionEnded(number, (OK,))]


def test_content_is_not_streamed_before_it_is_wanted() -> None:
    connection = ready()
    with pytest.raises(AssertionError):
        connection.write_content(b"early")
    connection.send(outgoing("a@x.example"))
    with pytest.raises(AssertionError):
        connection.write_content(b"early")


def test_lmtp_answers_for_each_recipient() -> None:
    connection = ready(lmtp=True)
    connection.send(outgoing("a@x.example", "b@x.example", "c@x.example"), b"one\r\n")
    answered(connection, OK, OK, NO, OK, GO)
    assert answered(connection, OK) == []
    assert connection.heard_of(0) == (True, (OK, NO, None))
    assert answered(connection, LATER) == [TransactionEnded(0, (OK, NO, LATER))]
    assert connection.is_idle


def test_lmtp_without_recipients_has_no_content() -> None:
    connection = ready(lmtp=True)
    connection.send(outgoing("a@x.example"), b"one\r\n")
    with pytest.raises(PeerError):
        answered(connection, OK, NO, GO)


BINARY = (
    ALL_OFFERED[:-2].replace(b"250 AUTH", b"250-AUTH") + b"\r\n250-CHUNKING\r\n250 BINARYMIME\r\n"
)


def test_binary_content_goes_in_chunks_as_it_is() -> None:
    connection = ready(BINARY)
    connection.send(outgoing("a@x.example", body="BINARYMIME"), b"\n.\n\0")
    said = b"MAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<a@x.example>\r\n"
    assert connection.bytes_to_send() == said
    answered(connection, OK, OK)
    assert connection.bytes_to_send() == b"BDAT 4\r\n\n.\n\0BDAT 0 LAST\r\n"
    assert answered(connection, OK, OK)[-1] == TransactionEnded(0, (OK,))


def test_a_refused_chunk_decides() -> None:
    connection = ready(BINARY)
    connection.send(outgoing("a@x.example", body="BINARYMIME"), b"x")
    answered(connection, OK, OK)
    events = answered(connection, LATER, Reply(503, "", "order"))
    assert events[-1] == TransactionEnded(0, (LATER,))
    assert connection.bytes_to_send().endswith(b"RSET\r\n")


def test_empty_binary_content_is_the_last_chunk_alone() -> None:
    connection = ready(BINARY)
    connection.send(outgoing("a@x.example", body="BINARYMIME"), b"")
    connection.bytes_to_send()
    answered(connection, OK, OK)
    assert connection.bytes_to_send() == b"BDAT 0 LAST\r\n"


def test_binary_content_without_recipients_is_not_sent() -> None:
    connection = ready(BINARY)
    connection.send(outgoing("a@x.example", body="BINARYMIME"), b"x")
    connection.bytes_to_send()
    assert answered(connection, OK, NO)[-1] == TransactionEnded(0, (NO,))
    assert connection.bytes_to_send() == b"RSET\r\n"


def test_what_cannot_be_sent_ends_without_a_word() -> None:
    connection = ready()
    number = connection.send(outgoing("bö@x.example"), b"one\r\n")
    assert connection.bytes_to_send() == b""
    event = connection.next_event()
    assert isinstance(event, TransactionEnded)
    assert event.number == number
    assert event.replies[0].status == "5.6.7"


# ------------------------------------------------------------------------------- closing


def test_421_ends_the_session_at_any_time() -> None:
    connection = ready()
    connection.send(outgoing("a@x.example"), b"one\r\n")
    bye = Reply(421, "4.3.2", "bye")
    assert answered(connection, OK, bye) == [Closed(bye)]
    assert connection.heard_of(0) == (True, (None,))
    assert connection.closed
    connection.receive(b"250 too late\r\n")
    assert connection.next_event() is None


def test_421_may_come_unasked() -> None:
    bye = Reply(421, "4.4.2", "idle")
    assert answered(ready(), bye) == [Closed(bye)]


def test_quit_is_the_last_word() -> None:
    connection = ready()
    connection.reset()
    connection.quit()
    assert connection.bytes_to_send() == b"RSET\r\nQUIT\r\n"
    bye = Reply(221, "", "bye")
    assert answered(connection, OK, bye) == [ResetAnswered(OK), Closed(bye)]
    connection.quit()
    assert connection.bytes_to_send() == b""


def test_quit_is_not_said_where_it_could_become_content() -> None:
    connection = ready()
    connection.send(outgoing("a@x.example"))
    answered(connection, OK, OK, GO)
    connection.bytes_to_send()
    connection.quit()
    assert connection.bytes_to_send() == b""


def test_a_server_that_hangs_up_is_closed_after_its_last_word() -> None:
    connection = ready()
    connection.reset()
    connection.peer_closed()
    assert events_after(connection, b"250 ok\r\n250-half") == [ResetAnswered(OK), Closed(None)]


@pytest.mark.parametrize(
    "answers",
    [
        b"250 ok\r\n250 ok\r\n250 ok\r\n",
        b"354 go\r\n",
        b"250 ok\r\n334 more\r\n",
        b"hello\r\n",
    ],
)
def test_an_answer_that_does_not_fit_breaks_the_session(answers: bytes) -> None:
    connection = ready()
    connection.send(outgoing("a@x.example"), b"one\r\n")
    with pytest.raises(PeerError):
        events_after(connection, answers)
    assert connection.closed
    assert connection.next_event() is None


def test_an_answer_to_nothing_breaks_the_session() -> None:
    with pytest.raises(PeerError):
        events_after(ready(), b"250 ok\r\n")


def test_orders_out_of_order_are_bugs_of_the_caller() -> None:
    connection = ClientConnection()
    for order in (connection.start_tls, connection.reset, connection.tls_started):
        with pytest.raises(AssertionError):
            order()
    with pytest.raises(AssertionError):
        connection.send(outgoing("a@x.example"))
    with pytest.raises(AssertionError):
        ready().hello("a\r\nRSET")


# ------------------------------------------------------------------------------- odd servers

ANSWERS = st.sampled_from(
    [OK, NO, LATER, GO, Reply(421, "", "bye"), Reply(503, "", "order"), Reply(334, "", "what?")]
)


@given(
    st.lists(ANSWERS, max_size=14),
    st.sampled_from([ALL_OFFERED, b"250 mx\r\n", BINARY]),
    st.booleans(),
)
def test_any_answers_give_outcomes_or_a_peer_error(
    answers: list[Reply], offer: bytes, lmtp: bool
) -> None:
    connection = ready(offer, lmtp=lmtp)
    body = "BINARYMIME" if connection.extensions.binarymime else "7BIT"
    for _ in range(2):
        connection.send(outgoing("a@x.example", "b@x.example", body=body), b"one\r\n")
    events: list[ClientEvent] = []
    with suppress(PeerError):
        for answer in answers:
            events += answered(connection, answer)
    ended = [event for event in events if isinstance(event, TransactionEnded)]
    assert [event.number for event in ended] == list(range(len(ended)))
    assert all(len(event.replies) == 2 for event in ended)
    assert not any(reply.code // 100 == 3 for event in ended for reply in event.replies)
    assert not connection.bytes_to_send().replace(b"\r\n", b"").count(b"\n")


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_octets_raise_anything_but_a_peer_error(pieces: list[bytes]) -> None:
    connection = ClientConnection()
    with suppress(PeerError):
        for piece in pieces:
            events_after(connection, piece)
