"""`posthouse doctor` at the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from posthouse.cli.main import posthouse

RELAY = "550 5.7.1 <bob@example.net>... Relaying denied"


def run(*arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner(env={"LANG": "C", "LC_ALL": ""}).invoke(posthouse, arguments, input=text)


def test_a_text_on_the_command_line_is_answered() -> None:
    result = run("doctor", RELAY)
    assert result.exit_code == 0
    assert "Relaying denied   (relay_denied," in result.output
    assert "Turn on authentication for the outgoing server" in result.output
    assert "When did you see this?" in result.output


def test_standard_input_and_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "bounce.eml"
    file.write_bytes(RELAY.encode())
    assert "relay_denied" in run("doctor", "-", text=RELAY).output
    assert "relay_denied" in run("doctor", text=RELAY).output
    assert "relay_denied" in run("doctor", str(file)).output


def test_chinese_is_spoken_when_asked_for() -> None:
    for arguments in (("doctor", "--lang", "zh_Hans", RELAY), ("--lang", "zh_CN", "doctor", RELAY)):
        assert "拒绝中继" in run(*arguments).output


def test_json_is_one_document_with_a_versioned_schema() -> None:
    document = json.loads(run("doctor", "--json", RELAY).output)
    assert document["schema"] == "posthouse.diagnosis/1"
    assert document["findings"][0]["cause"] == "relay_denied"
    assert document["answer"]["ways"][0]["steps"]
    assert document["question"]["id"] == "when"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--where", "bounce"), "does not know its own domain"),
        (("--where", "dialog", "--signed-in"), "this account or this port may not send"),
        (("--fetch-first",), "after you fetched mail"),
        (("--client", "thunderbird"), "In Thunderbird"),
    ],
)
def test_the_answer_to_the_question_can_be_given(options: tuple[str, ...], words: str) -> None:
    assert words in run("doctor", *options, RELAY).output


def test_a_safe_version_is_printed_and_nothing_else() -> None:
    assert (
        run("doctor", "--redact", RELAY).output
        == RELAY.replace("bob@example.net", "person1@example.com") + "\n"
    )


def test_what_is_not_understood_ends_with_one() -> None:
    result = run("doctor", "hello")
    assert result.exit_code == 1
    assert "Nothing is guessed" in result.output


def test_terminal_escapes_of_the_paste_never_reach_the_terminal() -> None:
    result = run("doctor", "-", text=f"\x1b]0;owned\x07{RELAY}\x1b[2J")
    assert "\x1b" not in result.output
    assert "owned" not in result.output


def test_binary_input_is_no_accident() -> None:
    result = run("doctor", "-", text=bytes(range(256)) * 40)
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
