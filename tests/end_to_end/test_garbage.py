"""Garbage at every door: the right reply, bounded memory, and the next client is served."""

import contextlib
import random
import socket
import time
from collections.abc import Iterator

import pytest

from tests.end_to_end.server import ANN, SIGNED_IN, Server, configuration, running
from tests.end_to_end.talking import TRUSTING, Talk

pytestmark = pytest.mark.slow
MIB = 1024 * 1024
GROWTH_OCTETS_MAX = 48 * MIB
RANDOM = random.Random(20).randbytes(200_000)
BEGUN = b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@proseware.com>\r\n"
IN_DATA = BEGUN + b"DATA\r\n"
GARBAGE = {
    "binary": RANDOM,
    "no newline": b"A" * (8 * MIB),
    "one huge line": b"MAIL FROM:<" + b"a" * (4 * MIB) + b">\r\n",
    "newlines only": b"\r\n" * 200_000,
    "bare line feeds": b"NOOP\n" * 100_000,
    "bare carriage returns": b"NOOP\r" * 100_000,
    "nul": b"\0" * MIB,
    "pipelined flood": b"EHLO a\r\n" + b"MAIL FROM:<a@b.example>\r\nRSET\r\n" * 50_000,
    "recipient flood": BEGUN + b"RCPT TO:<ann@proseware.com>\r\n" * 50_000,
    "auth flood": b"EHLO a\r\n" + b"AUTH PLAIN\r\n" + b"A" * 100_000 + b"\r\n" * 1000,
    "tls record": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + RANDOM[:1000],
    "unicode": b"\xd0\x9c\xd0\x90\xd0\x98\xd0\x9b <\xd0\xb0@\xd0\xb1>\r\n" * 10_000,
    "endless header": IN_DATA + b"X-" + b"a" * (6 * MIB),
    "many header fields": IN_DATA + b"X: y\r\n" * 300_000 + b"\r\n.\r\n",
    "deep comment": IN_DATA + b"From: " + b"(" * 50_000 + b"a@b.example\r\n\r\n.\r\n",
    "huge bdat": BEGUN + b"BDAT 99999999999999999999\r\n" + b"x" * MIB,
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(SIGNED_IN, limits='message_size = "10 MB"')
    with running(tmp_path_factory.mktemp("garbage"), text, ANN) as it:
        yield it


def throw(server: Server, listener: str, octets: bytes, *, tls: bool = False) -> bytes:
    """Send it all, as far as it is taken; return what came back."""
    answered = b""
    with contextlib.closing(socket.create_connection(server.place(listener), 10)) as raw:
        stream = TRUSTING.wrap_socket(raw) if tls else raw
        stream.settimeout(0.5)
        view, begun = memoryview(octets), time.monotonic()
        with contextlib.suppress(OSError):
            while view and time.monotonic() - begun < 10:
                with contextlib.suppress(TimeoutError):
                    view = view[stream.send(view[:65536]) :]
                stream.setblocking(False)
                with contextlib.suppress(BlockingIOError, TimeoutError, Exception):
                    answered += stream.recv(65536)
                stream.settimeout(0.5)
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_WR)
            while more := stream.recv(65536):
                answered += more
        stream.close()
    return answered


def still_serves(server: Server) -> None:
    with Talk(server.place("mx")) as talk:
        assert talk.greeting.code == 220
        assert talk.say("EHLO a.example").code == 250
        assert talk.say("MAIL FROM:<x@adatum.com>").code == 250
        assert talk.say(f"RCPT TO:<{ANN.name}>").code == 250
    box = socket.create_connection(server.place("pop3"), 10)
    with box, box.makefile("rwb") as lines:
        assert lines.readline().startswith(b"+OK")


@pytest.mark.parametrize("listener", ["mx", "submissions", "pop3", "pop3s"])
@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_costs_bounded_memory(server: Server, listener: str, kind: str) -> None:
    tls = listener.endswith("s")
    before = server.memory_octets()
    answered = throw(server, listener, GARBAGE[kind], tls=tls)
    after = server.memory_octets()
    assert after - before < GROWTH_OCTETS_MAX, f"{(after - before) // MIB} MiB"
    for line in answered.splitlines():
        assert line.isascii(), line[:100]
        assert line[:3].isdigit() if listener in ("mx", "submissions") else True
    assert len(answered) < MIB * 8
    still_serves(server)


def test_garbage_where_tls_is_expected_ends_the_session(server: Server) -> None:
    for listener in ("submissions", "pop3s"):
        for octets in (RANDOM, b"EHLO plain.example\r\n", b"GET / HTTP/1.0\r\n\r\n"):
            answered = throw(server, listener, octets)
            assert b"220" not in answered
            assert b"+OK" not in answered
    still_serves(server)


def test_two_hundred_sessions_that_say_half_a_line_cost_little(server: Server) -> None:
    before = server.memory_octets()
    opened = []
    try:
        for _ in range(150):
            it = socket.create_connection(server.place("mx"), 10)
            it.sendall(b"MAIL FROM:<" + b"a" * 400)
            opened.append(it)
        still_serves(server)
        assert server.memory_octets() - before < 16 * MIB
    finally:
        for it in opened:
            it.close()


def test_a_message_above_the_limit_is_refused_before_and_after_it_is_sent(server: Server) -> None:
    with Talk(server.place("mx")) as talk:
        talk.say("EHLO a.example")
        answer = talk.say("MAIL FROM:<x@adatum.com> SIZE=20000000")
        assert (answer.code, "message-too-big" in answer.text) == (552, True)
        assert talk.say("MAIL FROM:<x@adatum.com>").code == 250
        assert talk.say(f"RCPT TO:<{ANN.name}>").code == 250
        assert talk.say("DATA").code == 354
        before = server.memory_octets()
        for _ in range(24):
            talk.send(b"x" * 1000 * 512 + b"\r\n")
        answer = talk.say(".")
        assert answer.code == 552
        assert server.memory_octets() - before < GROWTH_OCTETS_MAX
        assert talk.say("NOOP").code == 250
    assert server.mailbox("ann") == [it for it in server.mailbox("ann") if len(it) < 10 * MIB]
