"""The core alone: what it reports, what it refuses by itself, what it forgets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.pop3 import replies
from posthouse.protocol.pop3.events import (
    AuthRequested,
    CapabilitiesRequested,
    CommandRefused,
    ConnectionAbused,
    DeletionRequested,
    Event,
    MessageRequested,
    PasswordGiven,
    QuitReceived,
    SaslResponse,
    SignInBroken,
    SizesRequested,
    StatusRequested,
    TlsRequested,
    UserNamed,
)
from posthouse.protocol.pop3.replies import Challenge, ok
from posthouse.protocol.pop3.server import CoreLimits, Offer, ServerConnection
from posthouse.protocol.pop3.states import Phase

EVERYTHING = Offer(user=True, mechanisms=("PLAIN", "LOGIN"), stls=True)


def connection(offer: Offer = EVERYTHING, limits: CoreLimits | None = None) -> ServerConnection:
    return ServerConnection(offer, limits or CoreLimits())


def signed_in() -> ServerConnection:
    it = connection()
    for line in (b"USER ann\r\n", b"PASS secret\r\n"):
        it.receive(line)
        assert it.next_event() is not None
        it.answer(ok())
    it.bytes_to_send()
    return it


def ask(it: ServerConnection, line: bytes) -> Event:
    it.receive(line + b"\r\n")
    event = it.next_event()
    assert event is not None
    return event


def refusal(it: ServerConnection, line: bytes) -> bytes:
    event = ask(it, line)
    assert isinstance(event, CommandRefused)
    it.bytes_to_send()
    it.answer(event.reply)
    return it.bytes_to_send()


def test_a_password_comes_with_the_name_and_keeps_its_spaces() -> None:
    it = connection()
    assert ask(it, b"user ann@example.com") == UserNamed("ann@example.com")
    it.answer(ok())
    assert ask(it, b"PASS  two words ") == PasswordGiven("ann@example.com", " two words ")


def test_a_password_shows_in_no_error_report() -> None:
    for event in (PasswordGiven("ann", "hush"), SaslResponse(b"hush"), AuthRequested("X", b"hush")):
        assert "hush" not in repr(event)


def test_commands_wait_for_the_answer_to_the_one_before() -> None:
    it = signed_in()
    it.receive(b"STAT\r\nDELE 1\r\n")
    assert it.next_event() == StatusRequested()
    assert it.next_event() is None
    it.answer(ok("1 2"))
    assert it.next_event() == DeletionRequested(1)
    assert it.bytes_to_send() == b"+OK 1 2\r\n"


def test_arguments_become_numbers() -> None:
    it = signed_in()
    for line, event in (
        (b"LIST", SizesRequested()),
        (b"list 3", SizesRequested(3)),
        (b"RETR 1", MessageRequested(1)),
        (b"TOP 1 0", MessageRequested(1, 0)),
        (b"NOOP ", None),
    ):
        got = ask(it, line)
        assert event is None or got == event
        it.answer(ok())


@pytest.mark.parametrize(
    "line",
    [b"RETR", b"RETR x", b"RETR -1", b"RETR 1 2", b"TOP 1", b"DELE 99999999999", b"STAT 1"],
)
def test_wrong_arguments_are_refused(line: bytes) -> None:
    assert refusal(signed_in(), line) == replies.BAD_ARGUMENTS.encode()


def test_what_may_not_come_now_says_what_must_come_first() -> None:
    it = connection()
    assert refusal(it, b"STAT") == replies.SIGN_IN_FIRST.encode()
    assert refusal(it, b"PASS x") == replies.USER_FIRST.encode()
    assert refusal(signed_in(), b"USER ann") == replies.OUT_OF_ORDER.encode()
    assert refusal(signed_in(), b"STLS") == replies.OUT_OF_ORDER.encode()


def test_without_tls_nothing_secret_is_asked_for_where_tls_comes_first() -> None:
    it = connection(Offer(stls=True))
    for line in (b"USER ann", b"PASS x", b"AUTH PLAIN", b"AUTH"):
        assert refusal(it, line) == replies.TLS_FIRST.encode()
    it = connection(Offer())
    assert refusal(it, b"USER ann") == replies.SIGN_IN_NOT_OFFERED.encode()
    assert refusal(it, b"STLS") == replies.TLS_NOT_OFFERED.encode()
    it = connection(Offer(is_encrypted=True))
    assert refusal(it, b"STLS") == replies.TLS_ACTIVE.encode()


@pytest.mark.parametrize("line", [b"NO\x00OP", b"USER \xff", b"USER a\tb", b"US\x1bER"])
def test_a_line_that_is_no_text_is_refused(line: bytes) -> None:
    assert refusal(connection(), line) == replies.BAD_CHARACTERS.encode()


def test_a_bare_newline_ends_no_command() -> None:
    it = connection()
    it.receive(b"QUIT\nCAPA\r\n")
    event = it.next_event()
    assert event == CommandRefused(replies.BARE_NEWLINE)


def test_a_long_line_is_skipped_and_refused_once() -> None:
    it = connection(limits=CoreLimits(line_octets_max=20))
    it.receive(b"x" * 50)
    assert it.next_event() is None
    assert it.pending_octets == 0
    it.receive(b"xx\r\nCAPA\r\n")
    event = it.next_event()
    assert event == CommandRefused(replies.LINE_TOO_LONG)
    it.answer(event.reply)
    assert it.next_event() == CapabilitiesRequested()


def test_a_line_without_end_is_abuse() -> None:
    it = connection(limits=CoreLimits(flood_octets_max=1000))
    for _ in range(11):
        it.receive(b"x" * 100)
    event = it.next_event()
    assert isinstance(event, ConnectionAbused)
    it.answer(event.reply)
    assert it.wants_close


def test_too_many_errors_in_a_row_end_the_session() -> None:
    it = connection(limits=CoreLimits(errors_max=2))
    refusal(it, b"XX")
    refusal(it, b"XX")
    ask(it, b"CAPA")
    it.answer_capabilities()
    refusal(it, b"XX")
    refusal(it, b"XX")
    event = ask(it, b"XX")
    assert event == ConnectionAbused(replies.TOO_MANY_ERRORS)
    it.answer(replies.TOO_MANY_ERRORS)
    assert it.wants_close


def test_who_does_not_sign_in_may_not_ask_for_ever() -> None:
    it = connection(limits=CoreLimits(opening_commands_max=3))
    for _ in range(3):
        ask(it, b"CAPA")
        it.answer_capabilities()
    event = ask(it, b"CAPA")
    assert event == ConnectionAbused(replies.TOO_MANY_COMMANDS)
    it.answer(replies.TOO_MANY_COMMANDS)
    assert it.wants_close


def test_after_the_sign_in_commands_are_not_counted() -> None:
    it = connection(limits=CoreLimits(opening_commands_max=3))
    for line in (b"USER ann", b"PASS secret"):
        ask(it, line)
        it.answer(replies.NOTHING_DONE)
    for _ in range(10):
        ask(it, b"NOOP")
        it.answer(replies.NOTHING_DONE)
    assert not it.wants_close


def test_an_exchange_goes_on_by_challenges() -> None:
    it = connection()
    assert ask(it, b"auth login") == AuthRequested("LOGIN")
    it.answer(Challenge(b"Username:"))
    assert it.bytes_to_send() == b"+ VXNlcm5hbWU6\r\n"
    assert ask(it, b"YW5u") == SaslResponse(b"ann")
    it.answer(ok())
    assert it.phase is Phase.TRANSACTION


def test_an_initial_response_may_be_empty() -> None:
    assert ask(connection(), b"AUTH PLAIN =") == AuthRequested("PLAIN", b"")
    assert ask(connection(), b"AUTH PLAIN AGEAYg==") == AuthRequested("PLAIN", b"\0a\0b")
    assert refusal(connection(), b"AUTH PLAIN ???") == replies.BAD_ARGUMENTS.encode()
    assert refusal(connection(), b"AUTH CRAM-MD5") == replies.UNKNOWN_MECHANISM.encode()


@pytest.mark.parametrize(
    ("line", "reply"),
    [(b"*", replies.SIGN_IN_CANCELLED), (b"no base64!", replies.SIGN_IN_NOT_BASE64)],
)
def test_an_exchange_can_be_cancelled_or_broken(line: bytes, reply: replies.Reply) -> None:
    it = connection()
    ask(it, b"AUTH PLAIN")
    it.answer(Challenge())
    event = ask(it, line)
    assert event == SignInBroken(reply)
    it.answer(reply)
    assert it.phase is Phase.AUTHORIZATION


def test_a_failed_sign_in_starts_over() -> None:
    it = connection()
    ask(it, b"USER ann")
    it.answer(ok())
    ask(it, b"PASS wrong")
    it.answer(replies.SIGN_IN_FAILED)
    assert refusal(it, b"PASS other") == replies.USER_FIRST.encode()


def test_what_was_pipelined_behind_stls_is_forgotten() -> None:
    it = connection()
    it.receive(b"USER mallory\r\nSTLS\r\nQUIT\r\nUSER eve\r\n")
    it.next_event()
    it.answer(ok())
    assert it.next_event() == TlsRequested()
    it.answer(replies.BEGIN_TLS)
    it.receive(b"USER more\r\n")
    assert it.next_event() is None
    assert it.phase is Phase.HANDSHAKE
    it.tls_started()
    assert it.next_event() is None
    assert refusal(it, b"PASS x") == replies.USER_FIRST.encode()


def test_nothing_is_heard_after_quit() -> None:
    it = connection()
    it.receive(b"QUIT\r\nCAPA\r\n")
    assert it.next_event() == QuitReceived()
    it.answer(replies.BYE)
    assert it.wants_close
    it.receive(b"CAPA\r\n")
    assert it.next_event() is None
    assert it.bytes_to_send() == replies.BYE.encode()


def test_content_is_stuffed_across_blocks_and_ended_by_a_dot() -> None:
    it = signed_in()
    ask(it, b"RETR 1")
    it.begin_content(ok())
    for block in (b".a\r\n", b".", b"b\r\n.", b"\r\nc"):
        it.send_content(block)
    it.end_content()
    assert it.bytes_to_send() == b"+OK\r\n..a\r\n..b\r\n..\r\nc\r\n.\r\n"
    assert ask(it, b"STAT") == StatusRequested()


def capabilities(it: ServerConnection) -> list[str]:
    ask(it, b"CAPA")
    it.answer_capabilities()
    status, *lines, dot = it.bytes_to_send().decode().splitlines()
    assert status.startswith("+OK")
    assert dot == "."
    return lines


def test_capabilities_are_what_can_be_done_now() -> None:
    lines = capabilities(connection())
    assert {"USER", "SASL PLAIN LOGIN", "STLS", "TOP", "UIDL", "PIPELINING"} <= set(lines)
    assert {"RESP-CODES", "AUTH-RESP-CODE", "IMPLEMENTATION Posthouse"} <= set(lines)
    before_tls = capabilities(connection(Offer(stls=True)))
    assert "STLS" in before_tls
    assert not any(line.startswith(("USER", "SASL")) for line in before_tls)
    assert "STLS" not in capabilities(signed_in())


def test_a_negative_greeting_ends_the_session() -> None:
    it = connection()
    it.greet(replies.TOO_BUSY)
    assert it.wants_close
    assert it.bytes_to_send() == replies.TOO_BUSY.encode()


def test_a_farewell_is_not_put_into_a_message() -> None:
    it = signed_in()
    ask(it, b"RETR 1")
    it.begin_content(ok())
    it.bytes_to_send()
    it.say_last(replies.SHUTTING_DOWN)
    assert it.bytes_to_send() == b""
    assert it.wants_close


LINES = st.sampled_from(
    b"USER ann|PASS x|CAPA|STAT|LIST 1|LIST|RETR 1|TOP 1 1|DELE 2|AUTH PLAIN|AUTH LOGIN =".split(
        b"|"
    )
    + b"YQ==|*||a\nb|QUIT|\0".split(b"|")
    + [b"x" * 1100]
)


def played(pieces: list[bytes]) -> tuple[list[Event], bytes]:
    it = connection(limits=CoreLimits(errors_max=3))
    seen: list[Event] = []
    said = b""
    for piece in pieces:
        it.receive(piece)
        while (event := it.next_event()) is not None:
            seen.append(event)
            answer_well(it, event)
        said += it.bytes_to_send()
    return seen, said


def answer_well(it: ServerConnection, event: Event) -> None:
    match event:
        case CommandRefused(reply=reply) | ConnectionAbused(reply=reply):
            it.answer(reply)
        case AuthRequested():
            it.answer(Challenge())
        case CapabilitiesRequested():
            it.answer_capabilities()
        case MessageRequested() | SizesRequested(number=None):
            it.begin_content(ok())
            it.send_content(b".\r\n")
            it.end_content()
        case _:
            it.answer(ok())


@given(lines=st.lists(LINES, max_size=12), cuts=st.sets(st.integers(0, 1500)))
def test_any_split_gives_the_same_events_and_replies(lines: list[bytes], cuts: set[int]) -> None:
    stream = b"".join(line + b"\r\n" for line in lines)
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert played(pieces) == played([stream])


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_octets_make_it_fail(pieces: list[bytes]) -> None:
    played(pieces)
