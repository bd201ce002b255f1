"""`ask`, `explain`, `reasons`, `check`, `config`, `prove`, `test`, `init`, `doctor`: no server."""

from pathlib import Path

import pytest

from posthouse.cli.exits import Exit
from posthouse.policy.reasons import Reason
from tests.cli.commands import Ran, command

ANN = "ann@proseware.com"


def ask(*more: str, client: str = "192.0.2.1", to: str = "carol@adatum.com") -> Ran:
    return command("--json", "ask", "--client", client, "--from", ANN, "--to", to, *more)


@pytest.fixture
def with_ann(installation: Path) -> Path:
    command("account", "add", ANN, given="six-blue-herons\n")
    return installation


@pytest.mark.usefixtures("with_ann")
@pytest.mark.parametrize(
    ("more", "reason", "code"),
    [
        ((), "not-recognised", Exit.NO),
        (("--sasl", ANN), "signed-in", Exit.DONE),
        (("--sasl", ANN, "--header-from", "bob@proseware.com"), "from-not-own", Exit.NO),
        (("--sasl", ANN, "--reply-to", "x@adatum.com"), "reply-to-not-own", Exit.NO),
        (("--listener", "submission"), "sign-in-first", Exit.NO),
    ],
)
def test_ask_gives_the_decision_and_its_exit_code(
    more: tuple[str, ...], reason: str, code: Exit
) -> None:
    ran = ask(*more)
    assert (ran.json["reason"], ran.code) == (reason, code)
    assert ran.json["schema"] == "posthouse.decision/1"
    assert ran.json["trace"]


@pytest.mark.usefixtures("with_ann")
def test_ask_tells_a_person_what_would_help() -> None:
    ran = command("ask", "--client", "192.0.2.1", "--from", ANN, "--to", "carol@adatum.com")
    assert ran.code == Exit.NO
    assert "550 5.7.1 [not-recognised]" in ran.out
    assert "would pass if" in ran.out
    assert "posthouse network add 192.0.2.1 --for 8h" in ran.out
    assert "who can fix it: the sender" in ran.out
    assert ask(client="198.51.100.4").json["reason"] == "network-may-relay"
    assert ask(to="nosuch@proseware.com").json["reason"] == "recipient-unknown"
    assert ask(to=ANN).json["reason"] == "local-recipient"


@pytest.mark.usefixtures("with_ann")
@pytest.mark.parametrize(
    "more",
    [("--client", "nonsense"), ("--to", "nonsense"), ("--from", "nonsense"),
     ("--listener", "nosuch"), ("--fetched", "yesterday"), ("--sasl", "@"), ("--listener", "pop3")],
)  # fmt: skip
def test_ask_names_what_it_does_not_understand(more: tuple[str, ...]) -> None:
    ran = ask(*more)
    assert ran.code == Exit.USAGE
    assert more[1] in ran.err


@pytest.mark.parametrize("reason", [it.value for it in Reason])
def test_every_reason_is_explained(reason: str) -> None:
    ran = command("explain", f"[{reason}]")
    assert ran.code == Exit.DONE
    assert "who can fix it" in ran.out
    assert command("--json", "explain", reason).json["reason"] == reason


def test_all_reasons_are_listed() -> None:
    rows = command("--json", "reasons").json["reasons"]
    assert {row["reason"] for row in rows} == {it.value for it in Reason}
    assert all(row["meaning"] for row in rows)
    assert "not-recognised" in command("reasons").out


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize("what", ["7Q4KX2MB", "C999", "W999", "nonsense", "../../etc/passwd", "'"])
def test_an_unknown_id_is_exit_code_1(what: str) -> None:
    for arguments in (("explain", what), ("--json", "explain", what)):
        ran = command(*arguments)
        assert ran.code == Exit.NO
        assert ran.out == ""
        assert "there is no" in ran.err


def test_codes_of_check_are_explained(installation: Path) -> None:
    file = installation / "posthouse.toml"
    file.write_text(file.read_text() + '\n[identity]\nreverse_path = "all"\n')
    found = command("--json", "check")
    assert found.code == Exit.CONFIGURATION
    assert found.json["errors"] == 1
    code = found.json["findings"][0]["code"]
    assert code in command("explain", code).out
    shown = command("check")
    assert f"error[{code}]" in shown.out
    assert f"posthouse.toml:{found.json['findings'][0]['line']}" in shown.out


def test_a_right_configuration_is_usable(installation: Path) -> None:
    assert command("check").code == Exit.DONE
    assert command("check", "posthouse.toml").code == Exit.DONE
    assert command("--json", "check").json["errors"] == 0
    missing = command("check", "nosuch.toml")
    assert missing.code == Exit.CONFIGURATION
    assert "nosuch.toml" in missing.err
    (installation / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert command("check", "binary.toml").code == Exit.CONFIGURATION


@pytest.mark.usefixtures("installation")
def test_config_shows_values_the_schema_and_the_reference() -> None:
    shown = command("config", "show", "hostname")
    assert shown.json["values"] == "mail.proseware.com"
    assert "identity" not in command("config", "show", "-n").json["values"]
    assert command("config", "show", "nosuch.key").code == Exit.NO
    schema = command("config", "schema").json
    assert schema["schema"] == "posthouse.configuration-schema/1"
    assert "may_relay" in command("config", "reference").out


def test_prove_finds_the_default_closed_and_lists_who_may(installation: Path) -> None:
    ran = command("--json", "prove")
    assert ran.code == Exit.DONE
    assert ran.json["proof"]["closed"] is True
    shown = command("prove")
    assert "closed: no stranger relays" in shown.out
    assert "office" in shown.out
    (installation / "storage").rmdir()
    assert command("prove").code == Exit.DONE, "needs no storage"


def test_policy_tests_pass_and_fail(installation: Path) -> None:
    good = (
        '[[test]]\nname = "stranger"\nclient = "192.0.2.1"\nfrom = "x@else.example"\n'
        'to = "y@adatum.com"\nexpect = "refuse not-recognised"\n'
    )
    (installation / "good.toml").write_text(good)
    assert command("test", "good.toml").code == Exit.DONE
    (installation / "bad.toml").write_text(good.replace("192.0.2.1", "198.51.100.1"))
    ran = command("--json", "test", "bad.toml")
    assert ran.code == Exit.NO
    assert ran.json["failed"] == 1
    (installation / "wrong.toml").write_text(good.replace("expect", "expects"))
    assert command("test", "wrong.toml").code == Exit.CONFIGURATION


def test_init_writes_a_file_that_check_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("--hostname", "mail.proseware.com", "--domain", "proseware.com")
    assert command("init", *names, "--network", "192.0.2.0/24").code == Exit.DONE
    assert command("check", "posthouse.toml").code == Exit.DONE
    again = command("init", *names)
    assert again.code == Exit.USAGE
    assert "--force" in again.err
    assert command("init", *names, "--force").code == Exit.DONE
    assert command("init", "a.toml", *names, "--network", "x").code == Exit.USAGE
    assert command("init", "a.toml", "--hostname", "a b", "--domain", "x").code == Exit.USAGE
    (tmp_path / "file").touch()
    assert command("init", "file/a.toml", *names).code == Exit.UNREACHABLE


def test_the_doctor_reads_text_files_and_standard_input(tmp_path: Path) -> None:
    text = "550 5.7.1 <someone@adatum.com>... Relaying denied"
    ran = command("--json", "doctor", text)
    assert ran.code == Exit.DONE
    assert ran.json["schema"] == "posthouse.diagnosis/1"
    assert command("doctor", "-", given=text).code == Exit.DONE
    (tmp_path / "error.txt").write_text(text)
    assert command("doctor", str(tmp_path / "error.txt")).code == Exit.DONE
    assert command("doctor", "lorem ipsum dolor").code == Exit.NO
    redacted = command("doctor", "--redact", "550 ann@proseware.com may not")
    assert "ann@proseware.com" not in redacted.out
