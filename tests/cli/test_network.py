"""`posthouse network`: listed in the file, and granted for a while."""

from datetime import UTC, datetime, timedelta

import pytest

from posthouse.cli.exits import Exit
from tests.cli.commands import command

pytestmark = pytest.mark.usefixtures("installation")


def test_networks_of_the_file_and_grants_are_listed_together() -> None:
    added = command("network", "add", "203.0.113.9", "--for", "8h", "--because", "ticket 4711")
    assert added.code == Exit.DONE
    assert "203.0.113.9" in added.out
    assert "posthouse network remove 1" in added.err
    rows = command("--json", "network", "list").json["networks"]
    assert [row["networks"] for row in rows] == [["198.51.100.0/24"], ["203.0.113.9"]]
    assert rows[0]["listed"].startswith("posthouse.toml:")
    assert rows[1]["because"] == "ticket 4711"
    until = datetime.fromisoformat(rows[1]["until"])
    assert timedelta(hours=7) < until - datetime.now(UTC) < timedelta(hours=9)
    shown = command("network", "list").out
    assert "256" in shown
    assert "office" in shown


def test_a_grant_is_removed_by_number_or_by_network() -> None:
    command("network", "add", "203.0.113.9", "--for", "8h")
    command("network", "add", "203.0.113.10", "--for", "2d")
    assert command("network", "remove", "1").code == Exit.DONE
    assert command("network", "remove", "203.0.113.10/32").code == Exit.DONE
    assert len(command("--json", "network", "list").json["networks"]) == 1
    again = command("network", "remove", "1")
    assert again.code == Exit.NO
    assert "network list" in again.err


def test_a_network_is_removed_as_it_was_typed() -> None:
    command("network", "add", "203.0.113.9", "--for", "8h")
    assert command("network", "remove", "203.0.113.9").code == Exit.DONE


def test_who_tells_which_entries_hold_an_address() -> None:
    held = command("--json", "network", "who", "198.51.100.7")
    assert held.code == Exit.DONE
    assert [row["name"] for row in held.json["networks"]] == ["office"]
    assert command("--json", "network", "who", "::ffff:198.51.100.7").code == Exit.DONE
    not_held = command("network", "who", "192.0.2.1")
    assert not_held.code == Exit.NO
    assert "in no network" in not_held.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "nonsense", "--for", "8h"), Exit.NO),
        (("add", "203.0.113.0/33", "--for", "8h"), Exit.NO),
        (("add", "203.0.113.9", "--for", "soon"), Exit.USAGE),
        (("add", "203.0.113.9", "--for", "99999999d"), Exit.USAGE),
        (("add", "203.0.113.9", "--until", "2020-01-01"), Exit.USAGE),
        (("add", "203.0.113.9", "--until", "tomorrow"), Exit.USAGE),
        (("add", "203.0.113.9", "--for", "8h", "--until", "2099-01-01"), Exit.USAGE),
        (("add", "0.0.0.0/0", "--for", "8h"), Exit.NO),
        (("add", "::/0", "--for", "8h"), Exit.NO),
        (("add", "0.0.0.0/1,128.0.0.0/1", "--for", "8h"), Exit.NO),
        (("add", "10.0.0.0/8", "--for", "8h"), Exit.NO),
        (("who", "nonsense"), Exit.USAGE),
        (("remove", "nonsense"), Exit.NO),
    ],
)
def test_what_is_wrong_or_too_wide_is_not_taken(arguments: tuple[str, ...], code: Exit) -> None:
    ran = command("network", *arguments)
    assert ran.code == code, ran
    assert ran.err.startswith("posthouse: ")
    assert len(command("--json", "network", "list").json["networks"]) == 1


def test_a_wide_network_is_taken_with_a_reason() -> None:
    ran = command("network", "add", "10.0.0.0/8", "--for", "8h", "--because", "ticket 12")
    assert ran.code == Exit.DONE
