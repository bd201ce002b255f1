"""One request of the web and its answer, without a connection."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.http import (
    BODY_OCTETS_MAX,
    HttpAnswer,
    HttpError,
    HttpExchange,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\n"
HELLO = HttpAnswer(
    200, {"content-type": "Text/Plain; charset=utf-8", "content-length": "5"}, b"hello"
)


def get(target: str = "/a?b=c") -> HttpExchange:
    return HttpExchange("GET", "web.example", target, {"Accept": "text/xml"})


def heard(octets: bytes, step: int = 100_000) -> HttpAnswer:
    """Hand over the octets in parts, then the end of the connection."""
    exchange = get()
    for at in range(0, len(octets), step):
        if (answer := exchange.receive(octets[at : at + step])) is not None:
            return answer
    answer = exchange.receive(b"")
    assert answer is not None
    return answer


def test_a_request_is_one_write() -> None:
    assert get().octets == (
        b"GET /a?b=c HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\nAccept: text/xml\r\n\r\n"
    )
    posted = HttpExchange("POST", "web.example:8443", "/", {}, b"{}").octets
    assert posted.endswith(b"Content-Length: 2\r\n\r\n{}")
    assert b"Host: web.example:8443\r\n" in posted
    assert b"Content-Length: 0\r\n" in HttpExchange("POST", "web.example", "/", {}).octets


@given(st.integers(1, 40))
def test_an_answer_may_come_in_any_parts(step: int) -> None:
    assert heard(OK + b"Content-Length: 5\r\n\r\nhellomore", step) == HELLO
    assert heard(OK + b"\r\nhello", step).body == b"hello"
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    assert heard(chunked, step).body == b"hello"
    assert heard(b"HTTP/1.1 103 Early Hints\r\n\r\n" + chunked, step).media_type == "text/plain"


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"220 mail.example\r\n\r\n", "no web server"),
        (b"\r\n\r\n", "no web server"),
        (b"", "cut off"),
        (OK, "cut off"),
        (OK + b"Content-Length: 9\r\n\r\nx", "cut off"),
        (OK + b"Content-Length: -1\r\n\r\n", "Content-Length"),
        (OK + b"Content-Length: %d\r\n\r\n" % (BODY_OCTETS_MAX + 1), "too long"),
        (OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n", "head of the answer is too long"),
        (OK + b"X: y\r\n" * 4000 + b"\r\n", "head of the answer is too long"),
        (OK + b"\r\n" + b"x" * (BODY_OCTETS_MAX + 1), "the answer is too long"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk"),
    ],
)
def test_anything_else_is_told(octets: bytes, words: str) -> None:
    with pytest.raises(HttpError, match=words):
        heard(octets)


@given(st.binary(max_size=300))
def test_any_octets_are_an_answer_or_an_error(octets: bytes) -> None:
    for start in (b"", OK + b"\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n"):
        with suppress(HttpError):
            assert 100 <= heard(start + octets).status < 1000


@pytest.mark.parametrize("target", ["a", "/a b", "/a\r\nX: y", "/\u00e9", ""])
def test_nothing_is_smuggled_in(target: str) -> None:
    with pytest.raises(HttpError, match="no path"):
        get(target)
    with pytest.raises(HttpError, match="cannot be asked"):
        HttpExchange("GET", "web.example", "/", {"X": "y\r\nZ: z"})
