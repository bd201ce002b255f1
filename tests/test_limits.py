"""Every limit has a name, and the page of limits knows it with its number."""

from pathlib import Path

import pytest

from posthouse.config.schema_storage import AccountBudgets, AddressBudgets, Limits
from tests.limits import constants, fields

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "limits.md").read_text("utf-8")
ROWS = {
    tuple(cell.strip().strip("`") for cell in line.split("|")[1:3]): line.split("|")[3].split()[0]
    for line in PAGE.splitlines()
    if line.startswith("| `") and line.count("|") == 6
}


@pytest.mark.parametrize(("file", "name", "number"), list(constants()))
def test_a_constant_is_on_the_page(file: str, name: str, number: str) -> None:
    assert ROWS.get((file, name)) == number, f"write {name} of {file} into docs/reference/limits.md"


def test_fields_are_on_the_page() -> None:
    named = {name: number for (_, name), number in ROWS.items() if "." in name}
    expected = {
        f"{struct}.{name}": number
        for struct, each in fields().items()
        for name, number in each.items()
    }
    assert named == expected


def test_every_key_of_the_configuration_is_on_the_page() -> None:
    keys = set(Limits.model_fields) - {"each_account", "each_address"}
    keys |= {f"each_account.{name}" for name in AccountBudgets.model_fields}
    keys |= {f"each_address.{name}" for name in AddressBudgets.model_fields}
    assert [key for key in sorted(keys) if f"`{key}`" not in PAGE] == []
