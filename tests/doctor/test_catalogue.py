"""Every entry of the catalogue finds its own cause; the data keeps its own rules."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from posthouse.doctor.catalogue import Entry, Knowledge, read_entries, shipped
from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import CONFIDENT, Context, diagnose
from posthouse.doctor.forms import FORMS, NOT_ACCEPTED, PORT_NUMBER
from tests.doctor.sayings import FILLINGS, said

KNOWLEDGE = shipped()
# Marks such as "HL:ICC" and "CXBL" mean nothing by themselves: only the catalogue can know them.
OPAQUE = re.compile(r"[A-Z]{2,5}[:#-]?[A-Z0-9]+$")
TELLING = [e for e in KNOWLEDGE.entries if e.cause not in {"wrapper", "unknown"}]


@pytest.mark.parametrize("entry", TELLING, ids=lambda entry: entry.id)
def test_each_text_finds_its_own_cause(entry: Entry) -> None:
    context = Context(fetch_first=True) if entry.needs == "fetch-first" else Context()
    assert diagnose(said(entry), context).cause == entry.cause


@pytest.mark.parametrize("entry", KNOWLEDGE.entries, ids=lambda entry: entry.id)
def test_an_entry_keeps_the_rules(entry: Entry) -> None:
    assert entry.where in {"server", "client", "report"}
    assert entry.cause in {*Cause, "wrapper"}
    assert entry.remedy in KNOWLEDGE.wordings.remedy
    assert entry.source
    assert entry.needs in {"", "fetch-first"} or entry.needs.startswith("text:")
    assert set(re.findall(r"\{([a-z]+)\}", entry.pattern)) <= set(FILLINGS)


def test_ids_are_unique() -> None:
    counts = Counter(entry.id for entry in KNOWLEDGE.entries)
    assert [name for name, count in counts.items() if count > 1] == []


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        read_entries('[[entry]]\nid = "x"\nsofware = "y"\n')


def test_rules_speak_of_concepts_that_exist() -> None:
    concepts = {concept for stems in KNOWLEDGE.stems.values() for _, _, concept in stems}
    formed = {*FORMS, NOT_ACCEPTED, PORT_NUMBER}
    marks = re.compile(r"(?:code:\d{3}|kind:[45]|status:5\.\d+\.\d+)$")
    for rule in KNOWLEDGE.rules.rule:
        for concept in (*rule.all, *rule.none):
            assert concept in concepts | formed or marks.match(concept), concept
        assert 0 < rule.weight < 1


def without(entry: Entry) -> Knowledge:
    """The knowledge without this text and without those that say the same."""
    others = tuple(other for other in KNOWLEDGE.entries if other.literals != entry.literals)
    return msgspec.structs.replace(KNOWLEDGE, entries=others)


def test_texts_that_are_in_no_catalogue_are_understood_by_other_signs() -> None:
    """Leave one out: each entry is taken away and its text diagnosed by words and codes alone."""
    right = among_three = confidently_wrong = 0
    spoken = [entry for entry in TELLING if not OPAQUE.match(entry.pattern)]
    for entry in spoken:
        diagnosis = diagnose(said(entry), knowledge=without(entry))
        hit = diagnosis.cause == entry.cause
        right += hit
        among_three += entry.cause in diagnosis.candidates[:3]
        confidently_wrong += not hit and diagnosis.findings[0].confidence >= CONFIDENT
    assert right / len(spoken) > 0.88
    assert among_three / len(spoken) > 0.93
    assert confidently_wrong / len(spoken) < 0.03


def test_what_is_derived_is_in_step() -> None:
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "docs/people/generate.py", "--check"]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"run python docs/people/generate.py: {done.stdout}{done.stderr}"
