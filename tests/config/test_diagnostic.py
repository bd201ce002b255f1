"""How findings are shown."""

import pytest

from posthouse.config.diagnostic import (
    ConfigurationError,
    Diagnostic,
    Severity,
    is_fatal,
    render,
    showable,
)
from posthouse.config.load import decode


def finding(line: int = 1, column: int = 1, width: int = 1, words: str = "") -> Diagnostic:
    return Diagnostic("C012", Severity.ERROR, "this is wrong", line, column, width, words)


def carets(shown: str) -> tuple[int, int]:
    line = next(line for line in shown.split("\n") if "^" in line)
    return line.index("^"), line.count("^")


def test_it_looks_like_a_compiler_error() -> None:
    text = 'a = 1\nrole = "submision"\n'
    assert render([finding(2, 8, 11, 'did you mean "submission"?')], text, "posthouse.toml") == (
        "error[C012]: this is wrong\n"
        "  --> posthouse.toml:2:8\n"
        "   |\n"
        ' 2 | role = "submision"\n'
        "   |        ^^^^^^^^^^^\n"
        '   = help: did you mean "submission"?\n'
        "   = more: posthouse explain C012\n"
    )


def test_carets_stand_under_wide_characters_and_tabs() -> None:
    assert carets(render([finding(1, 8, 2)], 'name = 東京"', "x"))[1] == 4
    column, _ = carets(render([finding(1, 9, 1)], "東京 = 'x'", "x"))
    assert column == len(" 1 | ") + 8 + 2
    assert carets(render([finding(1, 2, 1)], "\tx", "x")) == (len(" 1 | ") + 4, 1)
    assert carets(render([finding(1, 3, 1)], "e\u0301x", "x"))[0] == len(" 1 | ") + 1


def test_a_very_long_line_is_cut_around_the_place() -> None:
    text = "a" * 5000 + "b" * 10 + "c" * 5000
    shown = render([finding(1, 5001, 10)], text, "x")
    assert max(len(line) for line in shown.split("\n")) < 200
    source = next(line for line in shown.split("\n") if "bbbb" in line)
    column, width = carets(shown)
    assert source[column : column + width] == "b" * 10


def test_what_belongs_to_no_line_is_shown_without_one() -> None:
    assert render([finding(0)], "", "x") == (
        "error[C012]: this is wrong\n  --> x\n   = more: posthouse explain C012\n"
    )
    assert "-->" in render([finding(99)], "one line", "x")


def test_long_help_is_wrapped() -> None:
    shown = render([finding(words="word " * 60)], "x", "x")
    assert all(len(line) < 110 for line in shown.split("\n"))
    assert shown.count("word") == 60


@pytest.mark.parametrize("sign", ["\x1b", "\r", "\x9b", "\u202e", "\u200b", "\x00", "\ud800"])
def test_nothing_can_steer_the_terminal(sign: str) -> None:
    found = Diagnostic("C010", Severity.ERROR, f"no key {sign}", 1, 1, 1, f"help {sign}")
    shown = render([found], f"x{sign} = 1", f"name{sign}.toml")
    assert sign not in shown
    assert shown.count(f"\\u{ord(sign):04x}") == 4


def test_showable_keeps_what_people_write() -> None:
    assert showable("bücher 東京 🙂") == "bücher 東京 🙂"


def test_only_errors_are_fatal() -> None:
    warning = Diagnostic("W103", Severity.WARNING, "wide")
    assert not is_fatal([warning])
    assert is_fatal([warning, finding()])


def test_a_file_in_another_encoding_is_told_with_its_place() -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode("# ok\nname = 'Müller'".encode("latin-1"))
    [error] = caught.value.diagnostics
    assert (error.code, error.line, error.column) == ("C003", 2, 10)
    assert "0xfc" in error.message
