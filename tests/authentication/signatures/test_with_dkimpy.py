"""What we sign, dkimpy verifies; what dkimpy signs, we verify."""

import base64

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthouse.authentication.results import Result
from posthouse.authentication.signatures.keys import to_pem
from posthouse.authentication.signatures.signing import Signer
from tests.authentication.signatures.given import (
    ED25519,
    MESSAGE,
    RSA,
    ZONE,
    only,
    signed,
    verified,
)

VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60)
BODIES = st.lists(st.sampled_from([b"", b" ", b"a ", b"\tb  c", b"d"]), max_size=8)


def dns(name: bytes, timeout: int = 5) -> bytes | None:
    texts = ZONE.get(name.decode().rstrip("."))
    return texts[0].encode() if texts else None


def key_of(signer: Signer) -> bytes:
    if signer is RSA:
        return signer.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    assert isinstance(signer.key, Ed25519PrivateKey)
    return base64.b64encode(signer.key.private_bytes_raw())


def signed_by_dkimpy(message: bytes, signer: Signer, forms: tuple[bytes, bytes]) -> bytes:
    algorithm = b"rsa-sha256" if signer is RSA else b"ed25519-sha256"
    field = dkim.sign(
        message,
        signer.selector.encode(),
        signer.domain.encode(),
        key_of(signer),
        canonicalize=forms,
        signature_algorithm=algorithm,
    )
    assert isinstance(field, bytes)
    return field + message


@pytest.mark.parametrize("signer", [RSA, ED25519], ids=["rsa", "ed25519"])
def test_dkimpy_verifies_what_we_sign(signer: Signer) -> None:
    assert dkim.verify(signed(signers=[signer]), dnsfunc=dns)
    changed = signed(signers=[signer]).replace(b"at noon", b"at one")
    assert not dkim.verify(changed, dnsfunc=dns)


def test_two_selectors_give_two_signatures_that_both_hold() -> None:
    message = signed(signers=[ED25519, RSA])
    assert dkim.verify(message, dnsfunc=dns)
    verifier = dkim.DKIM(message)
    assert [verifier.verify(idx=place, dnsfunc=dns) for place in range(2)] == [True, True]


@pytest.mark.parametrize("header", [b"simple", b"relaxed"])
@pytest.mark.parametrize("body", [b"simple", b"relaxed"])
@pytest.mark.parametrize("signer", [RSA, ED25519], ids=["rsa", "ed25519"])
async def test_we_verify_what_dkimpy_signs(signer: Signer, header: bytes, body: bytes) -> None:
    message = signed_by_dkimpy(MESSAGE, signer, (header, body))
    assert (await only(message)).result is Result.PASS
    assert (await only(message.replace(b"Be there", b"Be here"))).result is Result.FAIL
    assert (await only(message.replace(b"bob@", b"rob@"))).result is Result.FAIL


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subject=VALUES, lines=BODIES, ours=st.booleans(), simple=st.booleans())
async def test_both_agree_about_any_message(
    subject: str, lines: list[bytes], ours: bool, simple: bool
) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    head = f"From: ann@example.com\r\nSubject: {subject.strip() or 'x'}\r\n\r\n".encode()
    form = b"simple" if simple else b"relaxed"
    if ours:
        message = signed(head + body, signers=[ED25519])
        assert dkim.verify(message, dnsfunc=dns)
    else:
        message = signed_by_dkimpy(head + body, ED25519, (form, form))
    assert [each.result for each in await verified(message)] == [Result.PASS]


def test_keys_are_kept_in_the_usual_form() -> None:
    assert to_pem(RSA.key).startswith(b"-----BEGIN PRIVATE KEY-----\n")
