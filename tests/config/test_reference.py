"""The reference says what the schema says."""

import json
from pathlib import Path

import pytest

from posthouse.config.anatomy import SECTIONS, keys_of
from posthouse.config.load import load
from posthouse.config.reference import json_schema, json_schema_text, reference
from posthouse.config.schema import WORDING_FIELDS
from posthouse.sessions.wording_fields import FIELDS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
ADVICE = "run: .venv/bin/python -m posthouse.config.reference {}> docs/reference/{}"


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_has_a_meaning(heading: str) -> None:
    for key, field in keys_of(SECTIONS[heading]).items():
        assert field.description, f"{heading}.{key} has no meaning"
        assert field.description.endswith("."), f"{heading}.{key}: a meaning is a sentence"
    assert SECTIONS[heading].__doc__


def test_the_page_is_in_step() -> None:
    written = (REFERENCE / "configuration.md").read_text("utf-8")
    assert written == reference(), ADVICE.format("", "configuration.md")


def test_the_schema_for_editors_is_in_step() -> None:
    written = (REFERENCE / "posthouse.schema.json").read_text("utf-8")
    assert written == json_schema_text(), ADVICE.format("--schema ", "posthouse.schema.json")


def test_the_schema_speaks_of_no_null_and_knows_the_words() -> None:
    text = json.dumps(json_schema())
    assert '"null"' not in text
    assert "before-sign-in" in text
    assert "extra" not in json_schema()


def test_defaults_are_shown_as_they_are_written() -> None:
    page = reference()
    assert '| `message_size` | `"25 MB"` | `"25 MB"` |' in page
    assert '| `window` | `"30 min"` | `"30 min"` |' in page
    assert '`"10 per 10 min"`' in page


def test_a_wording_may_use_exactly_the_fields_that_sessions_fill() -> None:
    assert frozenset(FIELDS) == WORDING_FIELDS


def test_the_whole_default_set_is_there_without_a_section() -> None:
    configuration = load('hostname = "mail.example.com"').configuration
    assert set(configuration.listen) == {"mx", "submission", "submissions", "pop3", "pop3s"}
    assert [str(each) for each in configuration.listen["pop3s"].on] == ["0.0.0.0:995", "[::]:995"]
    assert configuration.storage.mailbox_template == (
        "/var/lib/posthouse/mail/{domain}/{local_part}"
    )
    assert str(configuration.postmaster_mailbox) == "postmaster@mail.example.com"
    assert configuration.screening[0].ask == "gtube"
