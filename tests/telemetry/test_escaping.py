import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from posthouse.telemetry.escaping import escaped, escaped_to_ascii


def test_what_prints_stays() -> None:
    assert escaped("Grüße, 東京, привет 🌞") == "Grüße, 東京, привет 🌞"


def test_what_does_not_print_is_named() -> None:
    assert escaped("\x1b[31m red \u202e\r\n\x9b\ud800") == (
        "\\x1b[31m red \\u202e\\x0d\\x0a\\x9b\\ud800"
    )
    assert escaped_to_ascii("é\n🌞") == "\\xe9\\x0a\\U0001f31e"


@given(st.text(st.characters()))
def test_nothing_hostile_is_left(text: str) -> None:
    for char in escaped(text):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert escaped_to_ascii(text).isascii()
