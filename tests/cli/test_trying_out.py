"""`simulate`, `audit` in process, and `diff`: trying rules out, without a server and a network."""

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from msgspec import json as encoded

from posthouse.accounts.passwords import hash_generated
from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.config.compile import compile_rules
from posthouse.config.load import load
from posthouse.mail.address import parse_mailbox, parse_reverse_path
from posthouse.policy.facts import Account, Client, PopSession, Request, SignIn
from posthouse.policy.relaying import decide_recipient
from posthouse.telemetry.case import case_of
from posthouse.telemetry.cases import CaseStore
from tests.cli.commands import command

PASSWORD = "abcd-efgh-ijkl-mnop-qrst-uvwx"
OLD = """
hostname = "mail.proseware.com"
[domains."proseware.com"]
[[may_relay]]
who = "signed-in"
[[may_relay]]
who = "pop-window"
window = "30 min"
[[may_relay]]
who = "network"
name = "customers"
networks = ["198.51.100.0/24"]
[storage]
directory = "storage"
"""
NEW = OLD.replace("198.51.100.0/24", "198.51.100.0/25")
ANN = "ann@proseware.com"
NOW = datetime.now(UTC)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    file = tmp_path / "posthouse.toml"
    file.write_text(OLD)
    (tmp_path / "new.toml").write_text(NEW)
    (tmp_path / "storage").mkdir()
    store = SqliteAccountStore(tmp_path / "storage" / "accounts.db")
    store.add(parse_mailbox(ANN), hash_generated(PASSWORD))
    store.close()
    return file


# ------------------------------------------------------------------ simulate

SESSION = """EHLO laptop
MAIL FROM:<ann@proseware.com>
RCPT TO:<bob@adatum.com>
RCPT TO:<ann@proseware.com>
DATA
From: ann@proseware.com
Subject: x

..dot
.
QUIT
"""


def test_replies_go_to_standard_output_and_reasons_to_standard_error(place: Path) -> None:
    done = command("--config", str(place), "simulate", "--client", "203.0.113.9", given=SESSION)
    assert done.code == 1
    codes = [line[:3] for line in done.out.splitlines() if line[3:4] == " "]
    assert codes == ["220", "250", "250", "550", "250", "354", "250", "221"]
    assert "refused at recipient [not-recognised]" in done.err
    assert "would pass if" in done.err
    assert "posthouse network add 203.0.113.9" in done.err
    assert "nothing is kept" in done.err
    assert not list((place.parent / "storage").glob("spool*"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--client", "198.51.100.7"), "network-may-relay"),
        (("--client", "203.0.113.9", "--fetched", ANN, "3min"), "pop-window-open"),
        (("--client", "203.0.113.9", "--sasl", ANN), "signed-in"),
        (("--client", "203.0.113.9", "--sasl", ANN, "--listener", "submissions"), "signed-in"),
    ],
)
def test_who_the_client_is_may_be_said(place: Path, words: tuple[str, ...], reason: str) -> None:
    session = SESSION.replace("RCPT TO:<ann@proseware.com>\n", "")
    done = command("--config", str(place), "simulate", *words, given=session)
    assert f"accepted at recipient [{reason}]" in done.err
    assert done.code == 0


def test_starttls_and_a_real_sign_in_work_as_on_the_wire(place: Path) -> None:
    response = base64.b64encode(f"\0{ANN}\0{PASSWORD}".encode()).decode()
    session = f"EHLO x\nAUTH PLAIN {response}\nSTARTTLS\nEHLO x\nAUTH PLAIN {response}\nQUIT\n"
    words = ("simulate", "--client", "203.0.113.9", "--listener", "submission")
    done = command("--config", str(place), *words, given=session)
    codes = [line[:3] for line in done.out.splitlines() if line[3:4] == " "]
    assert [*codes[:2], *codes[3:]] == ["220", "250", "220", "250", "235", "221"]
    assert codes[2].startswith("5")  # no password in clear


def test_a_witness_of_prove_can_be_played(tmp_path: Path) -> None:
    file = tmp_path / "posthouse.toml"
    file.write_text(OLD.replace('"198.51.100.0/24"', '"64.0.0.0/3", "96.0.0.0/3"'))
    proof = json.loads(command("--config", str(file), "--json", "prove").out)["proof"]
    witness = proof["witnesses"][0]
    done = command(
        "--config", str(file), "simulate", "--client", witness["client"],
        "--listener", witness["listener"], given="\n".join(witness["session"]) + "\n",
    )  # fmt: skip
    assert "network-may-relay" in done.err
    assert "550" not in done.out


def test_unknown_listeners_accounts_and_addresses_are_usage_errors(place: Path) -> None:
    for words in (
        ("--client", "nowhere"),
        ("--client", "203.0.113.9", "--listener", "nosuch"),
        ("--client", "203.0.113.9", "--sasl", "nobody@proseware.com"),
        ("--client", "203.0.113.9", "--fetched", ANN, "soon"),
    ):
        assert command("--config", str(place), "simulate", *words).code == 2


def test_large_content_leaves_nothing_behind(place: Path) -> None:
    body = "x" * 70 + "\n"
    session = SESSION.replace("..dot\n", body * 6_000)
    done = command("--config", str(place), "simulate", "--client", "198.51.100.7", given=session)
    assert "nothing is kept" in done.err
    assert done.code == 0


# ------------------------------------------------------------------ audit


def test_rules_are_audited_in_process(place: Path) -> None:
    done = command("--config", str(place), "audit", "--quick")
    assert (done.code, done.out[:10]) == (0, "ok  closed")


def test_another_machine_is_tried_only_with_permission(place: Path) -> None:
    done = command("--config", str(place), "audit", "--host", "mail.adatum.example")
    assert done.code == 6
    assert "--i-may-test-this" in done.err


def test_a_server_that_is_not_there_is_unreachable(place: Path) -> None:
    done = command("--config", str(place), "audit", "--host", "127.0.0.1", "--port", "9")
    assert done.code == 4


# ------------------------------------------------------------------ diff


def test_the_same_file_differs_in_nothing(place: Path) -> None:
    done = command("--config", str(place), "diff", str(place))
    assert (done.code, done.out[:11]) == (0, "ok  none of")


def test_a_narrower_network_is_told_with_an_example_and_counts(place: Path) -> None:
    new = str(place.parent / "new.toml")
    done = command("--config", str(place), "diff", new)
    assert done.code == 1
    assert "accept network-may-relay" in done.out
    answer = command("--config", str(place), "--json", "diff", str(place), new).json
    assert answer["schema"] == "posthouse.diff/1"
    assert answer["different"] == sum(it["times"] for it in answer["kinds"]) > 0


def record(place: Path, *requests: Request) -> None:
    loaded = load(OLD, "posthouse.toml")
    rules = compile_rules(loaded.configuration, loaded.spans)
    store = CaseStore(place.parent / "storage" / "cases.db")
    for number, request in enumerate(requests):
        case = case_of(f"000000{number:02}", request, decide_recipient(request, rules))
        store.record(case)
    store.close()


def asked(address: str, sender: str = ANN, **more: object) -> Request:
    client = Client(ip_address(address), "mx", hello="x", **more)  # type: ignore[arg-type]
    at = NOW - timedelta(hours=1)
    to = parse_mailbox("bob@adatum.com")
    return Request(at, client, parse_reverse_path(f"<{sender}>"), to)


ACCOUNT = Account(ANN, frozenset({parse_mailbox(ANN)}))


def test_recorded_decisions_are_decided_again_with_what_they_depended_on(place: Path) -> None:
    record(
        place,
        asked("198.51.100.200"),
        asked("198.51.100.201"),
        asked("198.51.100.7"),
        asked("203.0.113.9"),
        asked("203.0.113.9", signed_in=SignIn(ACCOUNT)),
        asked("203.0.113.9", pop_sessions=(PopSession(ACCOUNT, NOW - timedelta(minutes=75)),)),
    )
    new = str(place.parent / "new.toml")
    answer = command("--config", str(place), "--json", "diff", new, "--replay", "7d").json
    assert (answer["asked"], answer["different"], answer["left_out"]) == (6, 2, 0)
    (kind,) = answer["kinds"]
    assert (kind["old"], kind["new"]) == ("accept network-may-relay", "refuse not-recognised")
    assert command("--config", str(place), "diff", str(place), "--replay", "7d").code == 0


def test_requests_of_a_file_are_cases_or_questions(place: Path) -> None:
    lines = place.parent / "requests.jsonl"
    loaded = load(OLD, "posthouse.toml")
    one = asked("198.51.100.200")
    by = compile_rules(loaded.configuration, loaded.spans)
    case = case_of("00000000", one, decide_recipient(one, by))
    question = {"client": "198.51.100.222", "from": ANN, "to": "bob@adatum.com"}
    lines.write_text(f"{json.dumps(question)}\n\n{encoded.encode({'case': case}).decode()}\n")
    new = str(place.parent / "new.toml")
    answer = command("--config", str(place), "--json", "diff", new, "--replay", str(lines)).json
    assert (answer["asked"], answer["different"]) == (2, 2)
    lines.write_text("nonsense\n")
    done = command("--config", str(place), "diff", new, "--replay", str(lines))
    assert done.code == 2
    assert "line 1" in done.err


def test_a_file_with_errors_is_shown_and_three_files_are_too_many(place: Path) -> None:
    broken = place.parent / "broken.toml"
    broken.write_text("hostname = 5\n")
    assert command("--config", str(place), "diff", str(broken)).code == 3
    assert command("--config", str(place), "diff", "a", "b", "c").code == 2
