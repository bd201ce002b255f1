from pathlib import Path

import pytest

from tests.dialogue import Dialogue

FILES = sorted((Path(__file__).parents[2] / "dialogues" / "smtp").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_server_says_what_the_transcript_says(path: Path) -> None:
    dialogue = Dialogue(path)
    assert dialogue.played() == dialogue.expected()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_transcript_says_what_it_shows_and_what_it_protects(path: Path) -> None:
    first, second = path.read_text().splitlines()[:2]
    assert first.startswith("# ")
    assert second.startswith("# Protects: ")
