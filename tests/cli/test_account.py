"""`posthouse account`: without a server, and seen at once by one that runs."""

import json
from pathlib import Path

import pytest

from posthouse.cli.exits import Exit
from tests.cli.commands import Ran, command

ANN, BOB = "ann@proseware.com", "bob@proseware.com"
pytestmark = pytest.mark.usefixtures("installation")


def add(name: str = ANN, password: str = "six-blue-herons") -> Ran:
    return command("account", "add", name, given=password + "\n")


def test_an_account_is_added_with_a_password_from_standard_input() -> None:
    ran = add()
    assert (ran.code, ran.out) == (Exit.DONE, f"{ANN}: password set\n")
    assert "six-blue" not in ran.out + ran.err
    listed = command("account", "list")
    assert ANN in listed.out
    assert "open" in listed.out


def test_adding_it_twice_says_no() -> None:
    add()
    again = add()
    assert again.code == Exit.NO
    assert ANN in again.err


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("ann@adatum.com", Exit.NO, "none of our domains (proseware.com)"),
        ("ann", Exit.USAGE, "is not an address"),
        ("ann@@proseware.com", Exit.USAGE, "is not an address"),
        ("", Exit.USAGE, "is not an address"),
    ],
)
def test_only_addresses_of_our_domains_are_added(name: str, code: Exit, words: str) -> None:
    ran = add(name)
    assert ran.code == code
    assert words in ran.err


@pytest.mark.parametrize("given", ["", "\n", "short\n"])
def test_a_short_password_is_not_taken(given: str) -> None:
    ran = command("account", "add", ANN, given=given)
    assert ran.code == Exit.USAGE
    assert "--generate" in ran.err
    assert command("--json", "account", "list").json["accounts"] == []


def test_a_generated_password_is_shown_once() -> None:
    ran = command("--json", "account", "add", ANN, "--generate")
    assert ran.code == Exit.DONE
    assert ran.json["schema"] == "posthouse.account/1"
    password = ran.json["password"]
    assert len(password) >= 20
    assert password not in command("--json", "account", "list").out


def test_a_password_is_changed_and_an_account_closed_opened_and_removed() -> None:
    add()
    assert command("account", "passwd", ANN, given="four-red-kites\n").code == Exit.DONE
    assert command("account", "disable", ANN).code == Exit.DONE
    assert command("--json", "account", "list").json["accounts"][0]["account"]["disabled"] is True
    assert command("account", "enable", ANN).code == Exit.DONE
    assert command("account", "remove", ANN, given="n\n").code != Exit.DONE
    assert command("account", "remove", ANN, "--yes").code == Exit.DONE
    assert command("--json", "account", "list").json["accounts"] == []


@pytest.mark.parametrize(
    "arguments",
    [("passwd", BOB, "--generate"), ("disable", BOB), ("enable", BOB), ("remove", BOB, "--yes"),
     ("app-password", "add", BOB, "phone"), ("app-password", "list", BOB),
     ("app-password", "revoke", BOB, "phone"), ("alias", "remove", "sales@proseware.com")],
    ids=" ".join,
)  # fmt: skip
def test_what_is_not_there_is_named(arguments: tuple[str, ...]) -> None:
    add()
    ran = command("account", *arguments)
    assert ran.code == Exit.NO
    assert "proseware.com" in ran.err
    assert "Traceback" not in ran.err


def test_submission_passwords_are_made_listed_and_revoked() -> None:
    add()
    made = command("account", "app-password", "add", ANN, "phone")
    assert made.code == Exit.DONE
    password = made.out.split()[-1]
    assert len(password) >= 20
    again = command("account", "app-password", "add", ANN, "phone")
    assert again.code == Exit.NO
    command("account", "app-password", "add", ANN, "printer")
    listed = command("--json", "account", "app-password", "list", ANN).json
    assert listed["schema"] == "posthouse.submission-passwords/1"
    assert [it["label"] for it in listed["submission_passwords"]] == ["phone", "printer"]
    assert password not in json.dumps(listed)
    assert command("account", "app-password", "revoke", ANN, "phone").code == Exit.DONE
    assert command("account", "app-password", "revoke", ANN, "phone").code == Exit.NO
    command("account", "disable", ANN)
    listed = command("--json", "account", "app-password", "list", ANN).json
    assert [it["label"] for it in listed["submission_passwords"]] == ["printer"]


def test_aliases_and_groups_are_added_listed_and_removed() -> None:
    add()
    add(BOB)
    ran = command("account", "alias", "add", "sales@proseware.com", ANN, BOB, "carol@adatum.com")
    assert ran.code == Exit.DONE
    found = command("--json", "account", "alias", "list").json
    assert found["schema"] == "posthouse.aliases/1"
    assert found["aliases"] == [
        {"address": "sales@proseware.com", "targets": [ANN, BOB, "carol@adatum.com"]}
    ]
    assert "sales@proseware.com" in command("account", "alias", "list").out
    assert command("account", "alias", "add", "x@adatum.com", ANN).code == Exit.NO
    assert command("account", "alias", "remove", "sales@proseware.com").code == Exit.DONE
    assert command("--json", "account", "alias", "list").json["aliases"] == []


def test_a_damaged_store_is_one_sentence_and_exit_code_4(installation: Path) -> None:
    (installation / "storage" / "accounts.db").write_bytes(b"garbage" * 1000)
    for arguments in (("account", "list"), ("network", "list"), ("account", "alias", "list")):
        ran = command(*arguments)
        assert ran.code == Exit.UNREACHABLE
        assert "accounts.db" in ran.err
        assert len(ran.err.strip().splitlines()) == 1
