"""What a stranger sees of a wrong file: wrong/NAME.toml gives wrong/NAME.txt, sign for sign."""

from pathlib import Path

import pytest

from posthouse.config.catalogue import EXPLANATIONS
from posthouse.config.diagnostic import ConfigurationError, Severity, render
from posthouse.config.load import load

WRONG = Path(__file__).with_name("wrong")
FILES = sorted(WRONG.glob("*.toml"))
# How pydantic and tomllib would have said it.
FOREIGN_WORDS = ("Input should", "Field required", "Extra inputs", "validation", "Value error",
                 "Expected", "Unclosed", "Cannot", "Invalid")  # fmt: skip


def errors_of(text: str, name: str = "posthouse.toml") -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(text, name)
    return caught.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_wrong_file_is_explained_as_written_down(path: Path) -> None:
    text = path.read_text("utf-8")

    shown = render(errors_of(text).diagnostics, text, path.name)

    assert shown == path.with_suffix(".txt").read_text("utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_error_has_its_place_its_code_and_our_own_words(path: Path) -> None:
    text = path.read_text("utf-8")
    lines = text.split("\n")
    for each in errors_of(text).diagnostics:
        assert each.severity is Severity.ERROR
        assert each.code in EXPLANATIONS
        assert each.code != "C099", "an error of pydantic without words of ours"
        assert 1 <= each.line <= len(lines)
        assert each.column + each.width - 1 <= len(lines[each.line - 1]) + 1
        assert not any(word in each.message + each.help for word in FOREIGN_WORDS)
