"""What transcripts cannot show: what the session must and may do between the lines."""

import pytest
from msgspec.structs import replace

from posthouse.mail.reply import Reply
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import (
    AuthRequested,
    CommandRefused,
    ConnectionAbused,
    ContentArrived,
    ContentEnded,
    DataRequested,
    HelloReceived,
    MailReceived,
    NoopReceived,
    RecipientReceived,
    SaslResponse,
    SignInBroken,
    TlsRequested,
)
from posthouse.protocol.smtp.offer import Offer, SessionLimits
from posthouse.protocol.smtp.server import ServerConnection
from posthouse.protocol.smtp.states import Phase
from tests.dialogue import Session

OFFER = Offer("mail.example", 10_000, starttls=True, mechanisms=("PLAIN",))
TRANSACTION = b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.org>\r\n"


def greeted(offer: Offer = OFFER, limits: SessionLimits | None = None) -> ServerConnection:
    connection = ServerConnection(offer, limits)
    connection.greet(replies.ready("mail.example"))
    connection.bytes_to_send()
    return connection


def said_hello(offer: Offer = OFFER, limits: SessionLimits | None = None) -> Session:
    session = Session(greeted(offer, limits))
    session.connection.receive(b"EHLO client.example\r\n")
    session.run()
    session.connection.bytes_to_send()
    return session


def test_the_next_command_waits_for_the_answer() -> None:
    connection = greeted()
    connection.receive(b"EHLO a\r\nNOOP\r\n")
    assert connection.next_event() == HelloReceived("a", extended=True)
    assert connection.next_event() is None
    assert connection.pending_octets == len(b"NOOP\r\n")
    connection.answer(connection.hello_reply())
    assert connection.extended
    assert connection.next_event() == NoopReceived()
    assert connection.pending_octets == 0


def test_nothing_is_heard_before_the_greeting() -> None:
    connection = ServerConnection(OFFER, SessionLimits(early_octets_max=10))
    connection.receive(b"NOOP\r\n" + b"x" * 100)
    assert connection.spoke_early
    assert connection.next_event() is None
    assert connection.pending_octets == 10
    connection.greet(replies.ready("mail.example"))
    assert connection.next_event() == NoopReceived()


def test_silence_is_not_early_talk() -> None:
    connection = ServerConnection(OFFER)
    connection.receive(b"")
    assert not connection.spoke_early


@pytest.mark.parametrize("reply", [Reply(554, "5.7.1", "No"), replies.TOO_MANY_CONNECTIONS])
def test_a_refusing_greeting_closes(reply: Reply) -> None:
    connection = ServerConnection(OFFER)
    connection.greet(reply)
    connection.receive(b"NOOP\r\n")
    assert connection.wants_close
    assert connection.next_event() is None
    assert connection.bytes_to_send() == reply.encode()


def test_any_answer_421_closes() -> None:
    connection = greeted()
    connection.receive(b"NOOP\r\nNOOP\r\n")
    connection.next_event()
    connection.answer(replies.SHUTTING_DOWN)
    assert connection.wants_close
    assert connection.next_event() is None
    assert connection.bytes_to_send() == replies.SHUTTING_DOWN.encode()


def test_hanging_up_is_possible_at_any_time() -> None:
    session = said_hello()
    session.connection.receive(TRANSACTION + b"DATA\r\nhalf")
    session.run()
    session.connection.bytes_to_send()
    session.connection.hang_up(replies.IDLE_TOO_LONG)
    session.connection.hang_up(replies.IDLE_TOO_LONG)
    assert session.connection.bytes_to_send() == replies.IDLE_TOO_LONG.encode()
    assert session.connection.wants_close


def test_an_answer_after_hanging_up_is_not_said() -> None:
    connection = greeted()
    connection.receive(b"NOOP\r\n")
    connection.next_event()
    connection.hang_up(replies.SHUTTING_DOWN)
    connection.answer(replies.NOOP_OK)
    assert connection.bytes_to_send() == replies.SHUTTING_DOWN.encode()


def test_nothing_is_said_in_the_clear_once_tls_has_begun() -> None:
    session = said_hello()
    session.connection.receive(b"STARTTLS\r\n")
    session.run()
    assert session.connection.bytes_to_send() == replies.START_TLS.encode()
    session.connection.receive(b"client hello, meant for the TLS pipe")
    assert session.connection.pending_octets == 0
    session.connection.hang_up(replies.IDLE_TOO_LONG)
    assert session.connection.bytes_to_send() == b""
    assert session.connection.wants_close


def test_a_refused_starttls_changes_nothing() -> None:
    connection = said_hello().connection
    connection.receive(b"STARTTLS\r\nNOOP\r\n")
    assert connection.next_event() == TlsRequested()
    connection.answer(Reply(454, "4.7.0", "TLS is not available just now"))
    assert connection.phase is Phase.READY
    assert connection.next_event() == NoopReceived()


def test_a_session_may_refuse_what_the_order_allows() -> None:
    connection = said_hello().connection
    connection.receive(TRANSACTION)
    assert isinstance(connection.next_event(), MailReceived)
    connection.answer(replies.SIGN_IN_FIRST)
    assert connection.phase is Phase.READY
    assert connection.next_event() == CommandRefused(
        replies.MAIL_FIRST, b"RCPT TO:<bob@example.org>"
    )


def test_data_may_be_refused_and_tried_again() -> None:
    connection = said_hello().connection
    connection.receive(TRANSACTION + b"DATA\r\nDATA\r\n")
    for _ in range(2):
        connection.next_event()
        connection.answer(replies.SENDER_OK)
    for _ in range(2):
        assert connection.next_event() == DataRequested()
        connection.answer(Reply(451, "4.3.0", "Not now"))
    assert connection.phase is Phase.RECIPIENTS


def test_a_refused_message_ends_the_transaction() -> None:
    connection = said_hello().connection
    connection.receive(TRANSACTION + b"DATA\r\n")
    for reply in (replies.SENDER_OK, replies.RECIPIENT_OK, replies.SEND_CONTENT):
        connection.next_event()
        connection.answer(reply)
    connection.receive(b"a\r\n.\r\n")
    assert connection.next_event() == ContentArrived(b"a\r\n")
    assert connection.next_event() == ContentEnded(3)
    assert connection.next_event() is None
    connection.answer(Reply(452, "4.3.1", "No room"))
    assert connection.phase is Phase.READY


def test_the_parameters_arrive() -> None:
    session = said_hello()
    session.connection.receive(
        b"MAIL FROM:<ann@example.com> SIZE=10 BODY=8BITMIME RET=full ENVID=x+2By AUTH=a+40b\r\n"
        b"RCPT TO:<bob@example.org> NOTIFY=delay ORCPT=rfc822;bob@example.org\r\n"
    )
    session.run()
    mail, recipient = session.events[-2:]
    assert isinstance(mail, MailReceived)
    assert isinstance(recipient, RecipientReceived)
    assert (mail.declared_octets, mail.body) == (10, "8BITMIME")
    assert (mail.return_content, mail.envelope_id) == ("FULL", "x+2By")
    assert mail.auth_parameter == "a@b"
    assert recipient.notify == {"DELAY"}
    assert recipient.original == "rfc822;bob@example.org"


def test_overlong_lines_are_reported() -> None:
    session = said_hello()
    session.connection.receive(TRANSACTION + b"DATA\r\n")
    session.run()
    session.connection.receive(b"x" * 999 + b"\r\n.\r\n")
    session.run()
    assert session.events[-1] == ContentEnded(1001, "", overlong=True)


def test_a_name_with_unusual_octets_can_stand_in_a_header() -> None:
    connection = greeted()
    connection.receive("EHLO (a) <b>@ü\r\n".encode())
    assert connection.next_event() == HelloReceived("?a???b???", extended=True)


def test_sign_in_goes_by_the_session() -> None:
    connection = said_hello().connection
    connection.receive(b"AUTH PLAIN\r\n")
    assert connection.next_event() == AuthRequested("PLAIN", None)
    connection.answer(replies.challenge(b""))
    connection.receive(b"AGEAYg==\r\n")
    assert connection.next_event() == SaslResponse(b"\0a\0b")
    assert not connection.signed_in
    connection.answer(replies.SIGNED_IN)
    assert connection.signed_in


def test_a_cancelled_sign_in_is_an_event_and_shows_no_secret() -> None:
    connection = said_hello().connection
    for line, reply in ((b"*", replies.AUTH_CANCELLED), (b"secret!", replies.AUTH_NOT_BASE64)):
        connection.receive(b"AUTH PLAIN\r\n" + line + b"\r\n")
        connection.next_event()
        connection.answer(replies.challenge(b""))
        assert connection.next_event() == SignInBroken(reply)
        connection.answer(reply)
        assert connection.phase is Phase.READY


def test_a_response_that_is_too_long_ends_the_sign_in() -> None:
    connection = said_hello().connection
    connection.receive(b"AUTH PLAIN\r\n")
    connection.next_event()
    connection.answer(replies.challenge(b""))
    connection.receive(b"A" * 20_000 + b"\r\n")
    assert connection.next_event() == SignInBroken(replies.AUTH_TOO_LONG)


@pytest.mark.parametrize("line", [b"AUTH PLAIN secret!", b"AUTH NOSUCH c2VjcmV0", b"c2VjcmV0"])
def test_a_password_gone_astray_is_not_in_the_event(line: bytes) -> None:
    connection = said_hello().connection
    connection.receive(line + b"\r\n")
    event = connection.next_event()
    assert isinstance(event, CommandRefused)
    assert event.line == line[:4].upper()


def test_pipelining_behind_a_refused_mail_is_no_abuse() -> None:
    session = said_hello(limits=SessionLimits(errors_max=0))
    session.connection.receive(b"RCPT TO:<bob@example.org>\r\n" * 50 + b"DATA\r\n")
    session.run()
    assert not session.connection.wants_close
    session.connection.receive(b"RCPT TO:<bob@example.org>\r\n" * 50)
    session.run()
    assert session.connection.wants_close


def test_an_accepted_message_restores_patience() -> None:
    session = said_hello(limits=SessionLimits(errors_max=2))
    for _ in range(5):
        session.connection.receive(b"WHAT\r\nWHAT\r\n" + TRANSACTION + b"DATA\r\n")
        session.run()
        session.connection.receive(b".\r\n")
        session.run()
    assert not session.connection.wants_close
    assert session.messages == [b""] * 5


def test_without_a_size_limit_any_size_is_taken() -> None:
    session = said_hello(replace(OFFER, size_octets_max=0))
    session.connection.receive(TRANSACTION + b"BDAT 200000000\r\n" + b"x" * 1000)
    session.run()
    assert session.events[-1] == ContentArrived(b"x" * 1000)
    assert session.connection.pending_octets == 0


def test_a_chunk_that_goes_on_after_all_limits_is_abuse() -> None:
    offer = replace(OFFER, size_octets_max=10)
    session = said_hello(offer, SessionLimits(surplus_octets_max=10))
    for _ in range(3):
        session.connection.receive((TRANSACTION if not session.content else b"") + b"BDAT 9\r\n")
        session.connection.receive(b"x" * 9)
        session.run()
    assert isinstance(session.events[-1], ConnectionAbused)
    assert session.connection.wants_close


def test_half_a_transaction_of_chunks_can_be_reset() -> None:
    session = said_hello()
    session.connection.receive(TRANSACTION + b"BDAT 2\r\nabRSET\r\n")
    session.run()
    assert session.connection.phase is Phase.READY
    session.connection.receive(TRANSACTION + b"BDAT 2 LAST\r\ncd")
    session.run()
    assert session.events[-1] == ContentEnded(2)


def test_a_session_that_breaks_the_contract_is_told() -> None:
    connection = greeted()
    with pytest.raises(AssertionError):
        connection.answer(replies.NOOP_OK)
    with pytest.raises(AssertionError):
        connection.greet(replies.ready("mail.example"))
    with pytest.raises(AssertionError):
        connection.hello_reply()
    with pytest.raises(AssertionError):
        connection.tls_started()


def test_the_postmaster_is_at_home_where_the_offer_says() -> None:
    session = said_hello(replace(OFFER, postmaster_domain="example.com"))
    session.connection.receive(b"MAIL FROM:<>\r\nRCPT TO:<POSTMASTER>\r\n")
    session.run()
    event = session.events[-1]
    assert isinstance(event, RecipientReceived)
    assert str(event.forward_path) == "POSTMASTER@example.com"
