import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.accounts.passwords import (
    PasswordError,
    generate_password,
    hash_generated,
    hash_of_nothing,
    hash_password,
    matches,
    prepare,
)


def test_a_password_matches_its_hash_and_no_other() -> None:
    hashed = hash_password("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert matches(hashed, "correct horse")
    assert not matches(hashed, "correct horses")


@pytest.mark.parametrize("hashed", ["", "nonsense", "$argon2id$", "$posthouse-generated$", "*"])
def test_a_hash_nobody_can_read_matches_nothing(hashed: str) -> None:
    assert not matches(hashed, "password")


def test_nothing_matches_the_hash_of_nothing() -> None:
    assert not matches(hash_of_nothing(), "")


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 1025, "é" * 513, "with\nline end", "\ud800" * 9]
)
def test_what_is_not_fit_for_a_password_is_said(text: str) -> None:
    with pytest.raises(PasswordError, match="password"):
        hash_password(text)


# RFC 4013 §3: the examples
@pytest.mark.parametrize(
    ("text", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX")],
)
def test_saslprep_examples(text: str, prepared: str) -> None:
    assert prepare(text) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "\u00ad"])
def test_saslprep_refuses(text: str) -> None:
    with pytest.raises(PasswordError):
        prepare(text)


def test_an_accent_is_the_same_however_it_was_typed() -> None:
    assert prepare("cafe\u0301 au lait") == prepare("caf\u00e9\u00a0au lait")


def test_new_symbols_may_be_in_a_password() -> None:
    assert prepare("sun \U0001f31e and rain") == "sun \U0001f31e and rain"


@given(st.text(max_size=40))
def test_prepared_once_is_prepared(text: str) -> None:
    try:
        once = prepare(text)
    except PasswordError:
        return
    assert prepare(once) == once


def test_a_generated_password_is_readable_and_has_over_80_bits() -> None:
    password = generate_password()
    groups = password.split("-")
    assert [len(group) for group in groups] == [4] * 5  # 20 characters of 31: 99 bits
    assert not set("".join(groups)) & set("il1o0")
    assert len({generate_password() for _ in range(100)}) == 100


def test_a_generated_password_may_be_typed_without_its_hyphens() -> None:
    password = generate_password()
    hashed = hash_generated(password)
    assert password not in hashed
    assert matches(hashed, password)
    assert matches(hashed, password.replace("-", " ").upper())
    assert not matches(hashed, generate_password())
    assert hash_generated(password) != hashed, "salted"
