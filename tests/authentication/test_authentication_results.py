from itertools import pairwise

import authres
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.authentication.authentication_results import Finding, ForgedResults, results_field
from posthouse.authentication.results import Result

HOST = "mx.example.com"
FINDINGS = (
    Finding("spf", Result.FAIL, (("smtp.mailfrom", "ann@example.com"), ("smtp.helo", ""))),
    Finding("dkim", Result.PASS, (("header.d", "example.com"), ("header.b", "ab+/cd12"))),
    Finding("dmarc", Result.NONE, (("header.from", "example.com"),), 'no "record"'),
)


def passed_on(message: bytes, cuts: list[int] = []) -> bytes:  # noqa: B006 - never changed
    filtering = ForgedResults(HOST)
    places = sorted({0, len(message), *(cut % (len(message) + 1) for cut in cuts)})
    parts = [message[a:b] for a, b in pairwise(places)]
    return b"".join([filtering.take(part) for part in parts] + [filtering.end()])


def test_the_field_is_read_by_another_makers_parser() -> None:
    field = results_field(HOST, FINDINGS)
    assert all(len(line) <= 100 for line in field.split(b"\r\n"))
    read = authres.AuthenticationResultsHeader.parse(field.decode().replace("\r\n", ""))
    assert read.authserv_id == HOST
    assert [(each.method, each.result) for each in read.results] == [
        ("spf", "fail"),
        ("dkim", "pass"),
        ("dmarc", "none"),
    ]
    assert read.results[1].properties[1].value == "ab+/cd12"


def test_nothing_found_is_said_too() -> None:
    assert results_field(HOST, ()) == b"Authentication-Results: mx.example.com; none\r\n"


def test_hostile_values_cannot_break_out_of_the_field() -> None:
    evil = 'a"; dkim=pass\r\nX-Evil: 1\\'
    field = results_field(HOST, [Finding("spf", Result.FAIL, (("smtp.helo", evil),), evil)])
    assert field.count(b"\r\n") == field.count(b"\r\n\t") + 1
    read = authres.AuthenticationResultsHeader.parse(field.decode().replace("\r\n", ""))
    assert [each.method for each in read.results] == ["spf"]


@pytest.mark.parametrize(
    "value",
    [
        b" mx.example.com; spf=pass",
        b" MX.Example.COM ; spf=pass",
        b'"mx.example.com"; spf=pass',
        b" (a (nested) comment) mx.example.com (x) 1; spf=pass",
        b"\r\n mx.example.com;\r\n\tspf=pass",
        b" mx.example.com",
        b" mx.example.com.; x=y",
        b" (mx) (\\)) mx.example.com; spf=pass",
        b" 1 mx.example.com; spf=pass",
    ],
)
@pytest.mark.parametrize("name", [b"Authentication-Results", b"AUTHENTICATION-results \t"])
def test_a_field_that_claims_to_be_ours_is_taken_away(name: bytes, value: bytes) -> None:
    message = b"From: a\r\n" + name + b":" + value + b"\r\nTo: b\r\n\r\nbody\r\n"
    assert passed_on(message) == b"From: a\r\nTo: b\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    "message",
    [
        b"Authentication-Results: other.example; spf=pass\r\n\r\n",
        b"Authentication-Results: other.example; spf=pass (by mx.example.com)\r\n\r\n",
        b"X-Authentication-Results: mx.example.com; spf=pass\r\n\r\n",
        b"From: a\r\n\r\nAuthentication-Results: mx.example.com; spf=pass\r\n",
        b"\r\nAuthentication-Results: mx.example.com; spf=pass\r\n\r\n",
        b"Authentication-Results\r\n mx.example.com; spf=pass\r\n\r\n",
        b"",
        b"no header at all",
    ],
)
@given(cuts=st.lists(st.integers(0, 200), max_size=4))
def test_everything_else_goes_on_unchanged(message: bytes, cuts: list[int]) -> None:
    assert passed_on(message, cuts) == message


@given(cuts=st.lists(st.integers(0, 400), max_size=6))
def test_forgeries_are_found_however_the_message_is_cut(cuts: list[int]) -> None:
    forged = b"Authentication-Results:\r\n\tmx.example.com;\r\n\tdkim=pass\r\n"
    message = forged + b"From: a\r\n" + forged + b"\r\n" + forged
    assert passed_on(message, cuts) == b"From: a\r\n\r\n" + forged


def test_a_header_that_is_too_large_is_left_so_that_it_can_be_refused() -> None:
    forged = b"Authentication-Results: mx.example.com; dkim=pass\r\n"
    message = forged + b"X: " + b"a" * 70_000 + b"\r\n" + forged + b"\r\n"
    assert passed_on(message, [40_000]) == message


def test_a_header_without_end_is_not_held_back_for_ever() -> None:
    filtering = ForgedResults(HOST)
    passed = sum(len(filtering.take(b"X: " + b"a" * 997 + b"\r\n")) for _ in range(100))
    assert passed + len(filtering.end()) == 100 * 1002
