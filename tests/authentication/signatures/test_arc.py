"""Chains of forwarders, ours and dkimpy's together."""

import dkim
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.authentication.authentication_results import (
    Finding,
    results_field,
    results_value,
)
from posthouse.authentication.results import Result
from posthouse.authentication.signatures.arc_chain import read_chain
from posthouse.authentication.signatures.arc_sealing import chain_status, seal_fields
from posthouse.authentication.signatures.arc_verification import Arc, verify_chain
from posthouse.authentication.signatures.arriving import arrived
from posthouse.authentication.signatures.body_hash import body_digest
from posthouse.authentication.signatures.signing import BODY_KIND
from posthouse.mail.message import split_header
from tests.authentication.signatures.given import ED25519, MESSAGE, NOON, RSA, ZONE, signed, zone
from tests.authentication.signatures.test_with_dkimpy import dns, key_of


async def chain_of(message: bytes, records: dict[str, tuple[str, ...]] | None = None) -> Arc:
    return await verify_chain(arrived(message), zone(ZONE if records is None else records))


async def sealed(message: bytes) -> bytes:
    """One more of our hosts takes the message and sends it on."""
    arc = await chain_of(message)
    results = results_value("mx.example.com", [Finding("arc", arc.result)])
    body = message.partition(b"\r\n\r\n")[2]
    digest = body_digest(body, BODY_KIND).digest
    return seal_fields(split_header(message), digest, RSA, results, NOON) + message


def sealed_by_dkimpy(message: bytes, cv: bytes) -> bytes:
    results = b"Authentication-Results: mx.other.example; arc=" + cv + b"\r\n"
    fields = dkim.arc_sign(
        results + message, b"r1", b"example.com", key_of(RSA), b"mx.other.example"
    )
    assert fields
    return b"".join(field.rstrip(b"\r\n") + b"\r\n" for field in fields) + message


async def test_mail_that_nobody_sealed_has_no_chain() -> None:
    assert (await chain_of(MESSAGE)).result is Result.NONE


async def test_dkimpy_believes_our_chains() -> None:
    message = signed()
    for length in (1, 2, 3):
        message = await sealed(b"Received: by somebody\r\n" + message)
        verdict, results, why = dkim.arc_verify(message, dnsfunc=dns)
        assert (verdict, why) == (b"pass", "success")
        assert len(results) == length
        assert all(one["ams-valid"] for one in results[:1])
        ours = await chain_of(message)
        assert (ours.result, ours.length) == (Result.PASS, length)


async def test_however_much_was_found_no_line_of_a_seal_is_too_long() -> None:
    many = [Finding("dkim", Result.PASS, (("header.d", "x" * 60 + ".example"),))] * 20
    field = results_field("mx.example.com", [*many, Finding("arc", Result.NONE)])
    (results,) = split_header(field).fields("Authentication-Results")
    digest = body_digest(MESSAGE.partition(b"\r\n\r\n")[2], BODY_KIND).digest
    message = seal_fields(split_header(MESSAGE), digest, RSA, results, NOON) + MESSAGE
    assert max(map(len, message.split(b"\r\n"))) <= 998
    assert dkim.arc_verify(message, dnsfunc=dns)[0] == b"pass"


async def test_we_believe_chains_of_dkimpy_and_mixed_ones() -> None:
    message = sealed_by_dkimpy(signed(), b"none")
    assert (await chain_of(message)).because == "sealed by example.com"
    message = await sealed(message)
    assert dkim.arc_verify(message, dnsfunc=dns)[0] == b"pass"
    message = sealed_by_dkimpy(message, b"pass")
    assert ((await chain_of(message)).result, (await chain_of(message)).length) == (Result.PASS, 3)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"at noon", b"at one", "the body was changed"),
        (b"Subject:  The", b"Subject: No", "signed fields were changed"),
        (b"cv=pass", b"cv=none", "says the chain before it was none"),
        (b"cv=pass", b"cv=fine", "cv= is not none, pass or fail"),
        (b"i=1; mx.example.com", b"i=1; mx.example.org", "seal 2 is wrong"),
        (b"ARC-Authentication-Results: i=1", b"X-ARC-Authentication-Results: i=1", "missing"),
        (b"ARC-Authentication-Results: i=1", b"ARC-Authentication-Results: i=2", "a field twice"),
        (b"ARC-Authentication-Results: i=1", b"ARC-Authentication-Results: i=51", "from 1 to 50"),
        (b"ARC-Authentication-Results: i=1", b"ARC-Authentication-Results: x", "from 1 to 50"),
        (b"h=from", b"h=arc-seal:from", "the signature covers a seal"),
        (b"cv=pass", b"h=from; cv=pass", "a seal has no h="),
    ],
)
async def test_what_was_changed_breaks_the_chain(old: bytes, new: bytes, words: str) -> None:
    message = await sealed(await sealed(MESSAGE))
    assert old in message
    found = await chain_of(message.replace(old, new, 1))
    assert found.result is Result.FAIL
    assert words in found.because
    assert not found.checks[-1].answer


async def test_a_key_that_cannot_be_looked_up_leaves_the_chain_open() -> None:
    message = await sealed(MESSAGE)
    assert (await chain_of(message.replace(b"s=r1", b"s=slow"))).result is Result.TEMPERROR
    assert (await chain_of(message, {})).result is Result.FAIL


async def test_a_broken_chain_is_sealed_as_broken_and_then_never_again() -> None:
    broken = (await sealed(MESSAGE)).replace(b"at noon", b"at one")
    once = await sealed(broken)
    assert once != broken
    assert b"cv=fail" in once
    assert (await chain_of(once)).result is Result.FAIL
    assert await sealed(once) == once


async def test_results_that_do_not_tell_of_the_chain_seal_nothing() -> None:
    header, digest = split_header(MESSAGE), b"x" * 32
    for results in (b"mx; none", b"mx; arc=temperror", b"mx; arc=pass", b""):
        assert seal_fields(header, digest, RSA, results, NOON) == b""
    assert chain_status(b"mx;\r\n\tspf=pass;\r\n\tarc=fail") is Result.FAIL


async def test_ed25519_can_seal_too() -> None:
    results = b"mx.example.com; arc=none"
    digest = body_digest(MESSAGE.partition(b"\r\n\r\n")[2], BODY_KIND).digest
    message = seal_fields(split_header(MESSAGE), digest, ED25519, results, NOON) + MESSAGE
    assert (await chain_of(message)).result is Result.PASS


NAMES = st.sampled_from([b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"])
VALUES = st.lists(
    st.sampled_from([b"i=1; ", b"i=2;", b"a=rsa-sha256;", b"cv=none;", b"d=a.b;", b"s=c;", b"b=;",
                     b"bh=;", b"h=from;", b"\xff", b"i=", b"mx; spf=pass"]),
    max_size=9,
).map(b"".join)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
async def test_any_fields_get_an_answer(fields: list[tuple[bytes, bytes]]) -> None:
    message = b"".join(name + b": " + value + b"\r\n" for name, value in fields) + MESSAGE
    found = await chain_of(message)
    assert found.result in (Result.NONE, Result.FAIL)
    assert (read_chain(split_header(message)) is None) is (found.result is Result.NONE)
