"""Hostile text from HELO, addresses and headers reaches no terminal, log or JSON as itself."""

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from msgspec.structs import replace

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.policy.decision import Decision, Stage, Step, Verdict
from posthouse.policy.facts import Client, Request
from posthouse.policy.reasons import Reason
from posthouse.telemetry.case import Case, case_of
from posthouse.telemetry.cases import CaseStore
from posthouse.telemetry.events import Refused
from posthouse.telemetry.sinks import console_line, json_line
from tests.cli.commands import Ran, command

NOW = datetime.now(UTC)
HOSTILE = {
    "control": "a\x07\x08\x00\x7fb",
    "escape": "\x1b[31mred\x1b]0;title\x07\x9b2J",
    "lines": "x\r\nInjected: yes\nmore\u2028\u2029\x85",
    "bidi": "safe\u202egpj.exe\u2066\u200f",
    "invisible": "ad\u200bmin\ufeff\u00ad",
    "look-alike": "p\u0430yp\u0430l",
    "all look-alike": "\u0430\u0440\u0440\u04cf\u0435",
    "wide": "\uff50aypal",
    "tags": "x\U000e0041\ue000",
}
LOOK_ALIKES = "\u0430\u0440\u04cf\u0435\uff50"


def assert_harmless(text: str) -> None:
    for char in text:
        assert char == "\n" or unicodedata.category(char) not in (
            "Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp",
        ), ascii(text)  # fmt: skip
        assert char not in LOOK_ALIKES, ascii(text)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    file = tmp_path / "posthouse.toml"
    file.write_text(
        'hostname = "mail.proseware.com"\n[domains."proseware.com"]\n[storage]\ndirectory = "s"\n'
    )
    (tmp_path / "s").mkdir()
    return file


def case_with(text: str, case_id: str) -> Case:
    mailbox = Mailbox(text, "contoso.example")
    client = Client(ip_address("203.0.113.9"), "mx", hello=text)
    request = Request(NOW - timedelta(minutes=1), client, ReversePath(mailbox), mailbox)
    decision = Decision(
        Stage.RECIPIENT, Verdict.REFUSE, Reason.SENDER_NOT_OWN,
        (Step("reverse-path is the client's own", answer=False, because=text),),
        allowed=(text,), field="From", subject=text, recognitions=(text,),
    )  # fmt: skip
    case = case_of(case_id, request, decision, reply="550 5.7.1 no", would_help=(text,))
    return replace(case, account=text, message_id=text)


@pytest.fixture
def recorded(place: Path) -> Path:
    store = CaseStore(place.parent / "s" / "cases.db")
    for number, text in enumerate(HOSTILE.values()):
        store.record(case_with(text, f"0000000{number}"))
    store.close()
    return place


def ran(place: Path, *words: str) -> Ran:
    done = command("--config", str(place), *words)
    assert_harmless(done.out)
    assert_harmless(done.err)
    return done


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=HOSTILE)
def test_explain_shows_hostile_text_and_obeys_none_of_it(recorded: Path, number: int) -> None:
    told = ran(recorded, "explain", f"0000000{number}")
    assert told.code == 0
    assert "\\x" in told.out or "\\u" in told.out or "\\U" in told.out
    again = ran(recorded, "--json", "explain", f"0000000{number}")
    assert again.out.isascii()
    assert json.loads(again.out)["case"]["hello"]


@pytest.mark.parametrize(
    "words",
    [("decisions", "tail", "--no-follow", "-n", "50"), ("decisions", "search")],
    ids=["tail", "search"],
)
def test_lists_of_decisions_keep_one_line_for_each(recorded: Path, words: tuple[str, ...]) -> None:
    told = ran(recorded, *words)
    assert told.code == 0
    assert sum("sender-not-own" in line for line in told.out.splitlines()) == len(HOSTILE)
    ran(recorded, "--json", *words)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_typed_is_answered_harmlessly(place: Path, text: str) -> None:
    text = text.replace("\x00", "")
    for words in (
        ("ask", "--client", "203.0.113.9", "--from", f"{text}@x.example", "--to", "a@b.example"),
        ("ask", "--client", "203.0.113.9", "--from", "a@b.example", "--to", f'"{text}"@x.example'),
        ("ask", "--client", "203.0.113.9", "--from", "", "--to", "a@b.example", "--listener", text),
        ("ask", "--client", text, "--from", "", "--to", "a@b.example"),
        ("explain", text),
        ("decisions", "search", "--reason", text),
        ("queue", "list", "--destination", text),
        ("audit", "--host", text),
        ("simulate", "--client", text),
    ):
        assert ran(place, *words).code != 70


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_simulated_session_says_nothing_hostile(place: Path, text: str) -> None:
    session = f"EHLO {text}\nMAIL FROM:<{text}@x.example> SMTPUTF8\nRCPT TO:<{text}@y.example>\n"
    done = command("--config", str(place), "simulate", "--client", "203.0.113.9", given=session)
    assert_harmless(done.out)
    assert_harmless(done.err)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_log_holds_one_harmless_line(text: str) -> None:
    event = Refused(
        "CASE", "recipient", "refuse", "not-recognised", text, "203.0.113.9", "mx", text, text,
        text, text,
    )  # fmt: skip
    for line in (json_line(NOW, event), console_line(NOW, event)):
        assert len(line.splitlines()) == 1
        assert_harmless(line)
    assert json.loads(json_line(NOW, event))["hello"] == text
