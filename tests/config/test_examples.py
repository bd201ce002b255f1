"""The examples and the first file of a new server are right, and their own tests pass."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.check import check
from posthouse.config.compile import compile_rules
from posthouse.config.initial import initial_text, toml_string
from posthouse.config.load import Loaded, load
from posthouse.config.policy_tests import run_tests
from posthouse.config.schema import ViaKind

NOW = datetime(2026, 11, 24, tzinfo=UTC)
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
TRIAL = {
    "mx": "127.0.0.1:2525",
    "submission": "127.0.0.1:2587",
    "submissions": "127.0.0.1:2465",
    "pop3": "127.0.0.1:2110",
    "pop3s": "[::1]:2995",
}


def assert_its_tests_pass(loaded: Loaded) -> None:
    rules = compile_rules(loaded.configuration, loaded.spans)
    for outcome in run_tests(loaded.configuration.test, rules, NOW):
        assert outcome.passed, f"{outcome.name}: {outcome.expected}, but {outcome.found}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_checks_clean_and_passes_its_own_tests(path: Path) -> None:
    loaded = load(path.read_text("utf-8"), path.name)
    assert check(loaded.configuration, loaded.spans, NOW) == []
    assert_its_tests_pass(loaded)


def test_the_minimal_example_has_ten_lines() -> None:
    lines = next(path for path in EXAMPLES if path.stem == "minimal").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) <= 10


def test_the_first_file_of_a_trial_is_clean() -> None:
    text = initial_text(
        hostname="mail.example.com",
        domains=["example.com", "bücher.example"],
        listen=TRIAL,
        storage="/srv/post house",
        capture=True,
        networks=["127.0.0.0/8"],
    )
    loaded = load(text)
    assert check(loaded.configuration, loaded.spans, NOW) == []
    assert loaded.configuration.outbound.via.kind is ViaKind.CAPTURE
    assert loaded.configuration.storage.directory == "/srv/post house"
    assert str(loaded.configuration.listen["pop3s"].on[0]) == "[::1]:2995"
    assert len(loaded.configuration.test) == 6
    assert_its_tests_pass(loaded)


def test_the_first_file_of_a_server_lacks_a_certificate_only() -> None:
    text = initial_text(
        hostname="mail.example.com",
        domains=["example.com"],
        listen={},
        storage="/var/lib/posthouse",
    )
    loaded = load(text)
    assert [each.code for each in check(loaded.configuration, loaded.spans, NOW)] == ["W114"]
    assert len(loaded.configuration.test) == 6
    assert_its_tests_pass(loaded)


@pytest.mark.parametrize(
    "networks", [["192.0.2.0/24"], ["192.0.2.25", "198.51.100.0/24", "203.0.113.0/24"],
                 [], ["0.0.0.0/1"], ["2001:db8::/48"], ["192.0.2.10-192.0.2.20"]],
)  # fmt: skip
def test_the_six_situations_hold_whatever_the_network(networks: list[str]) -> None:
    text = initial_text(
        hostname="mail.example.com",
        domains=["example.com"],
        listen=TRIAL,
        storage="/x",
        networks=networks,
    )
    loaded = load(text)
    assert len(loaded.configuration.test) == 6
    assert_its_tests_pass(loaded)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.isprintable))
def test_any_path_can_be_written(path: str) -> None:
    text = initial_text(hostname="m.example", domains=["a.example"], listen={}, storage=f"/{path}")
    assert load(text).configuration.storage.directory == f"/{path}"


def test_quoting_leaves_nothing_special() -> None:
    assert toml_string('a"b\\c\n\x7f') == '"a\\"b\\\\c\\U0000000a\\U0000007f"'
