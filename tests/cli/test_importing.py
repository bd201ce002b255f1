"""`posthouse import passwd`, and that accounts made here can sign in by every mechanism."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.cli.main import posthouse

PASSWD = """\
ann@example.com:{SHA512}C7Td6cJ2THBNFQuKsHz9lAC/3xEKfvBtPX6GLPb49bWCcxCQsI6SVnN+pLj1dxb8ubQEb0xMMdYQbjg51f7I7Q==
bob:{PLAIN}secret word:1000:1000
carol@elsewhere.example:{PLAIN}secret
dave@example.com:{ROT13}x
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "posthouse.toml").write_text(
        'hostname = "mail.example.com"\n[domains."example.com"]\n[storage]\ndirectory = "data"\n'
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "users").write_text(PASSWD)
    return tmp_path


def run(place: Path, *words: str, typed: str = "") -> str:
    told = ["--config", str(place / "posthouse.toml"), *words]
    result = CliRunner().invoke(posthouse, told, input=typed, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def kept(place: Path) -> dict[str, str]:
    store = SqliteAccountStore(place / "data" / "accounts.db")
    found = {it.name: store.credentials(it.name)[0].hash for it in store.list()}
    store.close()
    return found


def test_accounts_come_with_their_passwords_and_readable_ones_are_hashed(place: Path) -> None:
    told = run(place, "import", "passwd", str(place / "users"), "--domain", "example.com")
    assert "2 accounts added" in told
    assert "carol@elsewhere.example" in told
    assert "line 4 left out" in told
    assert "secret" not in told
    assert kept(place)["ann@example.com"].startswith("{SHA512}")
    assert kept(place)["bob@example.com"].startswith("$argon2id$")


def test_who_is_there_keeps_the_password_unless_asked_otherwise(place: Path) -> None:
    run(place, "import", "passwd", str(place / "users"), "--domain", "example.com")
    before = kept(place)
    words = ("import", "passwd", str(place / "users"), "--domain", "example.com", "--keep-plain")
    assert "2 were there already" in run(place, *words)
    assert kept(place) == before
    told = json.loads(run(place, "--json", *words, "--replace"))
    assert "bob@example.com" in json.dumps(told)
    assert kept(place)["bob@example.com"] == "{PLAIN}secret word"


def test_accounts_made_here_can_sign_in_by_every_mechanism(place: Path) -> None:
    run(place, "account", "add", "ann@example.com", typed="correct horse\n")
    run(place, "account", "app-password", "add", "ann@example.com", "phone")
    store = SqliteAccountStore(place / "data" / "accounts.db")
    salts = {it.scram.split(",")[1] for it in store.credentials("ann")}
    assert len(store.credentials("ann")) == 2
    assert len(salts) == 1, "all passwords of an account share a salt"
    assert store.all_know_scram()
    store.close()
    run(place, "account", "passwd", "ann@example.com", typed="another horse\n")
