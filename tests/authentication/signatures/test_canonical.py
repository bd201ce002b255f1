"""Canonical forms beside a slow and obvious twin, however the body is cut."""

import re
from itertools import pairwise

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from posthouse.authentication.signatures.canonical import CanonicalBody, Form, canonical_field
from posthouse.mail.message import Field

# Made of what canonical forms care about, and a little else.
ODD_OCTETS = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"bc", b"\r", b"\n", b"\0", b" \r\n", b"\xff"]),
    max_size=40,
).map(b"".join)
LINES = st.lists(st.sampled_from([b"", b" ", b"a", b"a ", b"\ta \tb", b".", b" \t"]), max_size=12)


def canonical(body: bytes, form: Form, cuts: list[int]) -> bytes:
    making = CanonicalBody(form)
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    parts = [body[a:b] for a, b in pairwise(places)]
    return b"".join([making.take(part) for part in parts] + [making.end()])


def slow_simple(body: bytes) -> bytes:
    lines = body.split(b"\r\n")
    while lines and not lines[-1]:
        lines.pop()
    return b"\r\n".join(lines) + b"\r\n"


def slow_relaxed(body: bytes) -> bytes:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


@given(body=ODD_OCTETS, cuts=st.lists(st.integers(0, 200), max_size=6))
def test_bodies_are_as_the_obvious_way_makes_them(body: bytes, cuts: list[int]) -> None:
    assert canonical(body, Form.SIMPLE, cuts) == slow_simple(body)
    assert canonical(body, Form.RELAXED, cuts) == slow_relaxed(body)


@given(lines=LINES)
def test_bodies_are_as_dkimpy_makes_them(lines: list[bytes]) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    assert canonical(body, Form.SIMPLE, []) == Simple.canonicalize_body(body)
    assert canonical(body, Form.RELAXED, []) == Relaxed.canonicalize_body(body)


@pytest.mark.parametrize("form", Form)
def test_a_body_of_nothing_but_empty_lines_takes_no_time(form: Form) -> None:
    making = CanonicalBody(form)
    block = b"\r\n" * 8192
    for _ in range(1000):
        assert making.take(block) == b""
    assert making.end() == (b"\r\n" if form is Form.SIMPLE else b"")


@given(
    name=st.sampled_from([b"Subject", b"SUBJECT", b"X-a ", b"from"]),
    value=st.lists(
        st.sampled_from([b" ", b"\t", b"\r\n ", b"\r\n\t", b"a", b"b:c", b"  "]), max_size=12
    ).map(b"".join),
)
def test_fields_are_as_dkimpy_makes_them(name: bytes, value: bytes) -> None:
    field = Field(name, value)
    ((relaxed_name, relaxed_value),) = Relaxed.canonicalize_headers([(name, value + b"\r\n")])
    assert canonical_field(field, Form.RELAXED) == relaxed_name.strip() + b":" + relaxed_value
    assert canonical_field(field, Form.SIMPLE) == name + b":" + value + b"\r\n"


def test_the_examples_of_rfc_6376_section_3_4_5_come_out() -> None:
    first, second = Field(b"A", b" X"), Field(b"B ", b" Y\t\r\n\tZ  ")
    assert canonical_field(first, Form.RELAXED) == b"a:X\r\n"
    assert canonical_field(second, Form.RELAXED) == b"b:Y Z\r\n"
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert canonical(body, Form.RELAXED, []) == b" C\r\nD E\r\n"
    assert canonical(body, Form.SIMPLE, []) == b" C \r\nD \t E\r\n"
