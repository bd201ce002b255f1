from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from posthouse.authentication.results import Result
from posthouse.authentication.signatures.arriving import ArrivingMessage
from posthouse.authentication.signatures.signing import fields_to_sign, sign_message
from posthouse.authentication.signatures.verification import verify_message
from posthouse.mail.message import split_header
from tests.authentication.signatures.given import (
    ED25519,
    MESSAGE,
    NOON,
    RSA,
    ZONE,
    only,
    signed,
    zone,
)


def test_a_second_from_breaks_the_signature_because_from_is_signed_once_more() -> None:
    names = fields_to_sign(split_header(MESSAGE))
    assert names.count(b"from") == 2
    assert names.count(b"cc") == 1, "none is there and none may be added"
    assert b"received" not in names


async def test_added_fields_are_noticed() -> None:
    assert (await only(b"Received: from x\r\n" + signed())).result is Result.PASS
    for added in (b"From: eve@evil.example\r\n", b"Cc: eve@evil.example\r\n", b"subject: !\r\n"):
        assert (await only(added + signed())).result is Result.FAIL
        head, body = signed().split(b"\r\n\r\n", 1)
        assert (await only(head + b"\r\n" + added + b"\r\n" + body)).result is Result.FAIL


def test_lines_are_short_and_the_body_is_signed_to_its_end() -> None:
    field = sign_message(MESSAGE, [RSA, ED25519], NOON)
    assert all(len(line) <= 78 for line in field.split(b"\r\n"))
    assert b" l=" not in field
    assert field.endswith(b"\r\n")
    assert field.count(b"DKIM-Signature:") == 2


async def test_a_signature_with_an_end_counts_until_then() -> None:
    signer = replace(ED25519, lifetime=timedelta(days=7))
    message = signed(signers=[signer])
    assert (await only(message, now=NOON + timedelta(days=6))).result is Result.PASS
    late = await only(message, now=NOON + timedelta(days=8))
    assert late.result is Result.FAIL
    assert late.because == "it expired at 2026-05-11 12:00 UTC"


@given(st.lists(st.integers(0, 1200), max_size=8))
async def test_a_message_may_come_in_any_parts(cuts: list[int]) -> None:
    message = signed(signers=[ED25519])
    arriving = ArrivingMessage()
    places = sorted({0, len(message), *(min(cut, len(message)) for cut in cuts)})
    for start, end in pairwise(places):
        arriving.take(message[start:end])
    arriving.end()
    (result,) = await verify_message(arriving, zone(ZONE), NOON)
    assert result.result is Result.PASS


async def test_a_message_without_body_or_without_empty_line_is_signed_too() -> None:
    for message in (b"From: a@example.com\r\n\r\n", b"From: a@example.com\r\n"):
        assert (await only(signed(message))).result is Result.PASS
