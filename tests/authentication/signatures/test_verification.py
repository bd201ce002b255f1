"""Each way in which a signature can fail, with the words that say which."""

import base64
import re

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.authentication.results import Result
from posthouse.authentication.signatures.keys import record_of
from tests.authentication.signatures.given import (
    ED25519,
    MESSAGE,
    RSA,
    ZONE,
    only,
    signed,
    verified,
)
from tests.authentication.signatures.test_with_dkimpy import key_of

NAME = "e1._domainkey.example.com"
RECORD = record_of(ED25519.key)
GOOD = signed(signers=[ED25519])


async def test_mail_without_signature_has_no_result() -> None:
    assert await verified(MESSAGE) == ()


async def test_a_good_signature_is_told_with_its_questions() -> None:
    result = await only(GOOD)
    assert (result.result, result.domain, result.selector) == (Result.PASS, "example.com", "e1")
    assert [check.question for check in result.checks] == [
        "the key is published",
        "the body is as it was signed",
        "the signed fields are as they were",
    ]
    assert all(check.answer for check in result.checks)
    assert len(result.begins) == 8


@pytest.mark.parametrize(
    ("records", "result", "words"),
    [
        ((), Result.PERMERROR, "no key at e1._domainkey.example.com"),
        (("hello",), Result.PERMERROR, "it is no list of tag=value"),
        (("v=DKIM1; p=",), Result.PERMERROR, "was revoked"),
        (("v=DKIM2; " + RECORD,), Result.PERMERROR, "v= occurs twice"),
        ((RECORD.replace("DKIM1", "DKIM2"),), Result.PERMERROR, "version is not DKIM1"),
        ((RECORD.replace("p=", "p=!"),), Result.PERMERROR, "not base64"),
        ((RECORD.replace("ed25519", "rsa"),), Result.PERMERROR, "no key of that kind"),
        ((RECORD + "; h=sha1",), Result.PERMERROR, "not be used with SHA-256"),
        ((RECORD + "; s=tlsrpt",), Result.PERMERROR, "not for mail"),
        ((RECORD + "; s=other:email; h=sha1 : sha256",), Result.PASS, "ed25519-sha256"),
        ((RECORD + "; t=y",), Result.PASS, "only being tried"),
        (ZONE["r1._domainkey.example.com"], Result.PERMERROR, "of another kind"),
        (("unrelated text", RECORD), Result.PASS, "by example.com"),
        ((RECORD.replace("p=", "p= "),), Result.PASS, "by example.com"),
    ],
)
async def test_the_published_key_decides(
    records: tuple[str, ...], result: Result, words: str
) -> None:
    found = await only(GOOD, {NAME: records})
    assert found.result is result
    assert words in found.because


async def test_a_name_server_that_is_silent_is_a_temporary_error() -> None:
    found = await only(GOOD.replace(b"s=e1", b"s=slow"))
    assert (found.result, found.because) == (Result.TEMPERROR, "no name server answered")


async def test_a_domain_that_only_tries_is_not_blamed() -> None:
    changed = GOOD.replace(b"noon", b"once")
    assert (await only(changed)).result is Result.FAIL
    assert (await only(changed, {NAME: (RECORD + "; t=y:s",)})).result is Result.NEUTRAL


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"v=1", b"v=2", "version is not 1"),
        (b"v=1; ", b"", "v= is missing"),
        (b"a=ed25519-sha256", b"a=rsa-sha1", "does not count"),
        (b"c=relaxed/relaxed", b"c=loose", "canonical form"),
        (b"d=example.com", b"d=[192.0.2.1]", "d= is no domain"),
        (b"d=example.com", b"d=", "d= is no domain"),
        (b"d=example.com", b"d=example.com; d=example.com", "d= occurs twice"),
        (b"d=example.com", b"d=example.com; i=@evil-example.com", "i= is not within d="),
        (b"d=example.com", b"d=example.com; q=http", "not in DNS"),
        (b"h=from:from:", b"h=", "From is not signed"),
        (b"t=", b"x=1; t=", "expires before"),
        (b"t=", b"t=a", "t= is no number"),
        (b"bh=", b"bh=!", "bh= is not base64"),
        (b"v=1", b"just words", "no list"),
    ],
)
async def test_a_field_that_breaks_the_rules_is_a_permanent_error(
    old: bytes, new: bytes, words: str
) -> None:
    found = await only(GOOD.replace(old, new, 1))
    assert found.result is Result.PERMERROR
    assert words in found.because


async def test_subdomains_may_be_signed_for_unless_the_key_says_no() -> None:
    message = GOOD.replace(b"d=example.com", b"d=example.com; i=@sub.example.com", 1)
    assert (await only(message)).result is Result.FAIL, "i= is signed as well"
    strict = await only(message, {NAME: (RECORD + "; t=s",)})
    assert (strict.result, strict.because) == (
        Result.PERMERROR,
        "the key may not sign for subdomains",
    )


async def test_an_rsa_key_that_is_too_small_does_not_count() -> None:
    small = generate_private_key(public_exponent=65537, key_size=1024)
    der = small.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = "v=DKIM1; p=" + base64.b64encode(der).decode()
    message = signed()
    assert (
        "signature is wrong"
        in (await only(message, {"r1._domainkey.example.com": (text,)})).because
    )
    tiny = (
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL51pSEv1ZVsQR9aFwGpYwqcuQbSVzmZ8gLv2aY0VQhVkiGQQPgXJFtZ"
        "4ykvWJm0TnRx1GSLpyZWhQn1ZfxB7ScCAwEAAQ=="
    )
    found = await only(message, {"r1._domainkey.example.com": (f"p={tiny}",)})
    assert found.because.endswith("an RSA key of 512 bits does not count")


async def test_a_body_signed_in_part_is_not_a_pass() -> None:
    field = dkim.sign(MESSAGE, b"r1", b"example.com", key_of(RSA), length=True)
    assert (await only(field + MESSAGE)).result is Result.PASS
    longer = await only(field + MESSAGE + b"Pay here.\r\n")
    assert longer.result is Result.POLICY
    assert re.fullmatch(r"only \d+ of \d+ octets of the body are signed", longer.because)
    shorter = await only(field + MESSAGE.replace(b"Be there.", b""))
    assert shorter.result is Result.FAIL


async def test_no_more_than_eight_signatures_are_looked_at() -> None:
    field = GOOD[: GOOD.index(b"From:")]
    assert [each.result for each in await verified(field * 20 + MESSAGE)] == [Result.PASS] * 8


PIECES = st.sampled_from(
    [b"v=1;", b"a=rsa-sha256;", b"a=ed25519-sha256;", b"c=simple;", b"d=example.com;", b"s=e1;",
     b"h=from;", b"h=from:to:from:from;", b"bh=;", b"b=", b"b=AAAA;", b"l=0;", b"l=-1;", b"t=1;",
     b"x=99999999999999;", b"x=999999999999;", b"i=@;", b"\r\n\t", b"\xff", b"\0", b"=", b";;",
     b" "]
)  # fmt: skip
RECORDS = st.lists(
    st.sampled_from(["v=DKIM1;", "k=rsa;", "k=ed25519;", "p=", "p=AAAA;", RECORD, "t=s;", ";"]),
    max_size=5,
).map(" ".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(value=st.lists(PIECES, max_size=14).map(b"".join), record=RECORDS)
async def test_any_field_and_any_record_get_an_answer_that_is_no_pass(
    value: bytes, record: str
) -> None:
    message = b"DKIM-Signature: " + value + b"\r\n" + MESSAGE
    for result in await verified(message, {NAME: (record,)}):
        assert result.result in (Result.PERMERROR, Result.FAIL, Result.NEUTRAL)
        assert result.because
        assert result.checks
