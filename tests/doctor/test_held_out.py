"""Texts that were written before the doctor could know them: how well it generalises.

Each file was measured once before anything was changed after it; docs/people/coverage.md tells the
figures of that moment. Since then the files only guard against becoming worse.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import CONFIDENT, diagnose

FOLDER = Path(__file__).parent / "held_out"
# Right first, right among the first three, stated and wrong: not worse than these.
FLOORS = {"first": (58, 60, 1), "second": (56, 60, 2), "third": (43, 46, 2), "fourth": (35, 36, 0)}


def texts(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((FOLDER / f"{name}.toml").read_text())["text"]
    return found


@pytest.mark.parametrize("name", FLOORS)
def test_what_was_understood_without_knowing_it_stays_understood(name: str) -> None:
    results = [(text, diagnose(text["text"])) for text in texts(name)]
    right = [1 for text, d in results if d.cause == text["cause"]]
    among = [1 for text, d in results if text["cause"] in (d.cause, *d.candidates[:3])]
    stated = [
        text["text"]
        for text, d in results
        if d.cause != text["cause"] and d.findings[0].confidence >= CONFIDENT
    ]
    first, three, wrong = FLOORS[name]
    assert len(right) >= first
    assert len(among) >= three
    assert len(stated) <= wrong, stated


def test_they_are_many_and_in_many_languages_and_none_is_in_the_other_texts() -> None:
    held_out = [text for name in FLOORS for text in texts(name)]
    assert len(held_out) >= 200
    assert len({text["language"] for text in held_out}) >= 19
    assert {text["cause"] for text in held_out} <= set(Cause)
    known = "".join(path.read_text() for path in (FOLDER.parent / "texts").glob("*.toml"))
    assert not [text for text in held_out if text["text"].strip() in known]
