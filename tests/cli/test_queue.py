"""`queue`, `journey`, `decisions`, `explain`, `status`, `reload`: asking a server that runs."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from posthouse.cli.exits import Exit
from posthouse.lab.clients import GTUBE
from posthouse.lab.hosts import wait_for
from tests.cli.commands import command
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Answer, Talk, signed_in

pytestmark = pytest.mark.slow
CONTENT = "From: <ann@proseware.com>\r\nTo: <x@adatum.com>\r\nSubject: {}\r\n\r\n{}\r\n"


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """A next hop that is not well, until `recover`."""
    with sinking(Sink(script={"MAIL": "451 4.3.0 not now"})) as it:
        yield it


@pytest.fixture(scope="module")
def one_server(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(SIGNED_IN, via=f"smtp://127.0.0.1:{sink.port}")
    with running(tmp_path_factory.mktemp("queue"), text, ANN, BOB) as server:
        yield server


def submit(server: Server, subject: str, *to: str, body: str = "Hello.") -> Answer:
    content = CONTENT.format(subject, body).encode()
    with signed_in(server.place("submissions"), ANN) as talk:
        answer = talk.mail(ANN.name, *(to or ("carol@adatum.com",)), content=content)
    assert answer.code == 250, answer
    return answer


def message_id(answer: Answer) -> str:
    return answer.text.partition(" as ")[2].split()[0].rstrip(":")


def waiting(server: Server, subject: str, *to: str) -> str:
    """Submit a message and wait until its first attempt failed; return its id."""
    found = message_id(submit(server, subject, *to))
    server.wait_for_events("deferred", message=found)
    return found


def queued() -> dict[str, Any]:
    return {it["id"]: it for it in command("--json", "queue", "list").json["messages"]}


def subjects(sink: Sink) -> list[str]:
    return [mail.content.decode().partition("Subject: ")[2].split("\r")[0] for mail in sink.mails]


def drop_all() -> None:
    for each in queued():
        command("queue", "drop", each, "--yes")


def test_what_waits_is_listed_with_its_last_reply(server: Server) -> None:
    one = waiting(server, "one")
    two = waiting(server, "two", "dora@woodgrove.com", "carol@adatum.com")
    assert list(queued()) == [one, two]
    shown = command("queue", "list").out
    assert "451 4.3.0 not now" in shown
    assert "dora@woodgrove.com and 1 more" in shown
    only = command("--json", "queue", "list", "--domain", "woodgrove.com").json["messages"]
    assert [it["id"] for it in only] == [two]
    none = command("--json", "queue", "list", "--sender", "nosuch@").json["messages"]
    assert none == []
    assert command("--json", "queue", "list", "--older-than", "1h").json["messages"] == []
    assert len(command("--json", "queue", "list", "-n", "1").json["messages"]) == 1
    summary = command("--json", "queue", "summary").json
    assert summary["messages"] == 2
    assert {it["destination"] for it in summary["destinations"]} == {"adatum.com", "woodgrove.com"}
    assert "woodgrove.com" in command("queue", "summary").out
    drop_all()
    assert "the queue is empty" in command("queue", "list").err


def test_a_message_is_shown_with_its_journey(server: Server) -> None:
    one = waiting(server, "shown")
    shown = command("queue", "show", one, "--content").out
    for words in (one, "carol@adatum.com: waiting, 1 attempt,", "not now", "Subject: shown"):
        assert words in shown
    as_json = command("--json", "queue", "show", one).json
    assert as_json["message"]["id"] == one
    assert command("journey", one).out.count("\n") >= 2
    assert command("--json", "journey", one).json["messages"][0]["journey"]
    command("queue", "drop", one, "--yes")
    assert command("journey", one).code == Exit.DONE, "it is told after its end too"
    ended = command("queue", "show", one, "--content")
    assert (ended.code, ended.err) == (Exit.DONE, "")
    assert "all recipients are settled" in ended.out
    assert "dropped" in ended.out


def test_a_message_is_held_released_and_tried(server: Server, sink: Sink) -> None:
    one = waiting(server, "held-by-hand")
    assert command("queue", "hold", one, "--because", "ticket 12").code == Exit.DONE
    assert [it["id"] for it in command("--json", "queue", "list", "--held").json["messages"]] == [
        one
    ]
    assert "ticket 12" in command("queue", "list", "--held").out
    with well(sink):
        command("queue", "retry", "--all")
        assert command("queue", "release", one).code == Exit.DONE
        assert wait_for(lambda: "held-by-hand" in subjects(sink), 10)
        assert wait_for(lambda: one not in queued(), 5)


def test_retry_tries_one_or_all_for_a_destination(server: Server, sink: Sink) -> None:
    one, two = waiting(server, "retry-one"), waiting(server, "retry-two", "x@woodgrove.com")
    with well(sink):
        assert command("queue", "retry", one).code == Exit.DONE
        assert wait_for(lambda: "retry-one" in subjects(sink), 10)
        assert two in queued()
        changed = command("--json", "queue", "retry", "--domain", "woodgrove.com")
        assert changed.json["schema"] == "posthouse.queue-change/1"
        assert wait_for(lambda: "retry-two" in subjects(sink), 10)


def test_bounce_returns_a_message_and_drop_tells_nobody(server: Server, sink: Sink) -> None:
    returned, dropped = waiting(server, "returned"), waiting(server, "dropped")
    assert command("queue", "drop", dropped, given="n\n").code != Exit.DONE
    assert dropped in queued()
    assert command("queue", "drop", dropped, "--yes", "--because", "a test").code == Exit.DONE
    assert command("queue", "bounce", returned, "--because", "wrong person").code == Exit.DONE
    assert wait_for(lambda: any(b"wrong person" in it for it in server.mailbox("ann")), 10)
    assert not any(b"Subject: dropped" in it for it in server.mailbox("ann"))
    assert "a test" in command("journey", dropped).out
    assert wait_for(lambda: not queued(), 10)


@pytest.mark.parametrize(
    "arguments",
    [("show",), ("retry",), ("hold",), ("release",), ("bounce",), ("drop", "--yes")],
    ids=" ".join,
)
@pytest.mark.parametrize("unknown", ["0R41CND4MFK", "nonsense", "../x", "%"])
def test_an_unknown_message_is_exit_code_1(
    server: Server, arguments: tuple[str, ...], unknown: str
) -> None:
    ran = command("queue", *arguments, unknown)
    assert ran.code == Exit.NO
    assert unknown in ran.err
    assert "queue" in ran.err


def test_retry_wants_to_know_which(server: Server) -> None:
    assert command("queue", "retry").code == Exit.USAGE
    assert command("queue", "retry", "x", "--all").code == Exit.USAGE


def test_spam_is_held_listed_explained_and_bounced(server: Server) -> None:
    answer = submit(server, "spam", body=GTUBE)
    (held,) = command("--json", "queue", "list", "--held").json["messages"]
    assert held["id"] == message_id(answer)
    assert held["hold"].startswith("looks-like-spam")
    case = explained(held["hold_case"])
    assert (case["verdict"], case["reason"]) == ("hold", "looks-like-spam")
    assert "held at content" in command("explain", held["hold_case"]).out
    assert held["hold_case"] in command("queue", "show", held["id"]).out
    told = held["hold_case"].encode()
    assert wait_for(lambda: any(told in it for it in server.mailbox("ann")), 10)
    assert command("queue", "bounce", held["id"], "--because", "it is spam").code == Exit.DONE
    assert wait_for(lambda: any(b"it is spam" in it for it in server.mailbox("ann")), 10)


def refused_case(server: Server, sender: str, to: str) -> str:
    with Talk(server.place("mx")) as talk:
        talk.say("EHLO [127.0.0.1]")
        assert talk.say(f"MAIL FROM:<{sender}>").code == 250
        answer = talk.say(f"RCPT TO:<{to}>")
    assert answer.code == 550
    return answer.text.partition("] case ")[2].split()[0]


def explained(case: str) -> dict[str, Any]:
    """What is recorded of a case; it is written a moment after the reply."""
    assert wait_for(lambda: command("explain", case).code == Exit.DONE, 5)
    found: dict[str, Any] = command("--json", "explain", case).json["case"]
    return found


def test_every_refusal_can_be_explained_from_its_reply(server: Server) -> None:
    for to, reason in (
        ("x@adatum.com", "not-recognised"),
        ("nosuch@proseware.com", "recipient-unknown"),
    ):
        case = refused_case(server, "stranger@adatum.com", to)
        found = explained(case)
        assert found["reason"] == reason
        assert found["trace"]
        shown = command("explain", case).out
        assert to in shown
        assert "who can fix it" in shown
        assert command("explain", case.lower()).code == Exit.DONE, "typed in small letters"


def test_decisions_are_tailed_and_searched(server: Server) -> None:
    case = refused_case(server, "tail@adatum.com", "y@adatum.com")

    def lines() -> list[str]:
        ran = command(
            "--json", "decisions", "tail", "--no-follow", "--reason", "not-recognised",
            "--person", "tail@adatum.com",
        )  # fmt: skip
        return ran.out.splitlines()

    (line,) = wait_for(lines, 5)
    assert json.loads(line)["case"]["id"] == case
    assert case in command("decisions", "tail", "--no-follow", "-n", "50").out
    found = command(
        "--json", "decisions", "search", "--address", "tail@adatum.com", "--since", "1h"
    )
    assert case in [it["id"] for it in found.json["decisions"]]
    assert command("decisions", "search", "--address", "nobody@nowhere.example").code == Exit.NO
    assert command("decisions", "tail", "--reason", "nosuch", "--no-follow").code == Exit.USAGE
    assert command("decisions", "search", "--client", "nonsense").code != Exit.BUG


def test_a_tail_that_follows_prints_each_decision_at_once_and_ends_quietly(server: Server) -> None:
    tail = subprocess.Popen(
        [sys.executable, "-m", "posthouse", "--config", str(server.file), "decisions", "tail"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tail.stdout is not None
        tail.stdout.readline()  # it follows from here on
        case = refused_case(server, "follow@adatum.com", "y@adatum.com")
        printed = ""
        while case not in printed:
            printed = tail.stdout.readline()
            assert printed, "it ended"
        assert "not-recognised" in printed
    finally:
        tail.send_signal(signal.SIGINT)
        _, complaints = tail.communicate(timeout=10)
    assert (tail.returncode, complaints.strip()) == (Exit.INTERRUPTED, "")


def test_status_tells_listeners_and_counts(server: Server) -> None:
    ran = command("--json", "status")
    assert ran.code == Exit.DONE
    assert set(ran.json["listeners"]) == {"mx", "submission", "submissions", "pop3", "pop3s"}
    assert ran.json["problems"] == []
    assert "mail.proseware.com" in command("status").out


def test_reload_with_a_broken_file_changes_nothing(server: Server) -> None:
    good = server.file.read_text()
    try:
        server.file.write_text(good.replace('via = "', 'vla = "'))
        ran = command("reload")
        assert ran.code == Exit.CONFIGURATION
        server.file.write_text(good.replace('hostname = "mail.', 'hostname = "other.'))
        ran = command("reload")
        assert ran.code == Exit.CONFIGURATION
        assert "hostname cannot change while the server runs" in ran.err
        with Talk(server.place("mx")) as talk:
            assert "mail.proseware.com" in talk.greeting.text
    finally:
        server.file.write_text(good)
    ran = command("reload")
    assert (ran.code, ran.out.split(":")[0]) == (Exit.DONE, "reloaded")
    assert command("--json", "reload").json["answer"] == "reloaded"


@contextlib.contextmanager
def well(sink: Sink) -> Iterator[None]:
    """Let the next hop take mail for a while."""
    script, sink.script = sink.script, {}
    try:
        yield
    finally:
        sink.script = script
