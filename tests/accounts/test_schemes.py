"""Stored passwords of other servers; most of these hashes were made by Dovecot's ``doveadm pw``."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.accounts import libcrypt, schemes
from posthouse.accounts.schemes import SchemeError, matches, normalised
from posthouse.protocol import cram_md5, scram

PASSWORD: Final = "sécret pass"
STORED: Final = (
    (Path(__file__).parent / "stored_passwords.txt").read_text(encoding="utf-8").splitlines()
)
YESCRYPT: Final = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0"


@pytest.mark.parametrize("stored", STORED, ids=lambda it: it[1 : it.index("}")])
def test_the_password_matches_and_no_other(stored: str) -> None:
    assert matches(stored, PASSWORD)
    for other in ("", "secret pass", PASSWORD + "x", "a\0b", "x" * 1000, "\ud800"):
        assert not matches(stored, other)
    assert matches(normalised(stored), PASSWORD)


def test_yescrypt_is_read_where_the_c_library_knows_it() -> None:
    if libcrypt._library() is None:
        pytest.skip("no libxcrypt here")
    assert matches("{CRYPT}" + YESCRYPT, "secret")
    assert matches("{YESCRYPT}" + YESCRYPT, "secret")
    assert not matches("{CRYPT}" + YESCRYPT, "secreT")


def test_without_the_c_library_the_usual_ones_are_still_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(libcrypt, "_library", lambda: None)
    for stored in STORED:
        if stored.startswith(("{MD5-CRYPT", "{SHA256-CRYPT", "{SHA512-CRYPT")):
            assert matches(stored, PASSWORD)
            assert not matches(stored, "another")
    assert not matches("{CRYPT}" + YESCRYPT, "secret")


def test_bcrypt_sees_seventy_two_octets_as_dovecot_does() -> None:
    stored = "{BLF-CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"
    assert matches(stored, "") is matches(stored, "")  # never raises
    assert not matches(stored, "x" * 100)


def test_what_has_no_prefix_has_the_default_scheme() -> None:
    assert normalised("$6$salt$hash") == "{CRYPT}$6$salt$hash"
    assert normalised("secret", default="PLAIN") == "{PLAIN}secret"
    assert normalised("{clear}secret") == "{PLAIN}secret"


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "secret",
        "{ROT13}frperg",
        "{SSHA}",
        "{SSHA}!!!",
        "{SHA}AAAA",
        "{SHA512-CRYPT}nonsense",
        "{CRAM-MD5}00",
        "{SCRAM-SHA-256}1,a,b,c",
        "{SCRAM-SHA-256}4096,!,!,!",
        "{PBKDF2}$2$a$1$00",
        "{PLAIN}",
    ],
)
def test_what_nobody_can_read_is_said_at_import_and_matches_nothing(stored: str) -> None:
    with pytest.raises(SchemeError):
        normalised(stored)
    assert not matches(stored, "secret")


@settings(max_examples=150)
@given(
    scheme=st.sampled_from(sorted(schemes.CHECKS.keys() - {"CRYPT", "PLAIN"})),
    value=st.text(max_size=60),
)
def test_any_value_matches_or_not_and_never_raises(scheme: str, value: str) -> None:
    matches(f"{{{scheme}}}{value}", "secret")


def test_elsewhere_matches_nothing() -> None:
    assert not matches(schemes.ELSEWHERE, "")
    assert schemes.is_foreign(schemes.ELSEWHERE)


def test_secrets_of_mechanisms_come_from_those_that_have_them() -> None:
    by_scheme = {it[1 : it.index("}")]: it for it in STORED}
    assert schemes.plain(by_scheme["PLAIN"]) == PASSWORD
    assert schemes.plain(by_scheme["SHA"]) is None
    assert schemes.cram_secret(by_scheme["CRAM-MD5"]) == cram_md5.derive(PASSWORD)
    assert schemes.cram_secret(by_scheme["PLAIN"]) == cram_md5.derive(PASSWORD)
    assert schemes.cram_secret(by_scheme["SSHA"]) is None
    assert schemes.cram_secret("$argon2id$") is None
    kept = schemes.scram_secret(by_scheme["SCRAM-SHA-256"])
    assert kept is not None
    assert kept == scram.derive(PASSWORD, kept.salt, 4096)
    assert schemes.read_scram(schemes.write_scram(kept)) == kept
