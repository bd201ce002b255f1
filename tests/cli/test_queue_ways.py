"""Other ways for mail, pauses, and the whole way of a message."""

import re
from collections.abc import Iterator

import pytest

from posthouse.cli.exits import Exit
from posthouse.lab.hosts import wait_for
from tests.cli.commands import command
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import signed_in

pytestmark = pytest.mark.slow
CONTENT = (
    "From: <ann@proseware.com>\r\nTo: <x@adatum.com>\r\nMessage-ID: <{0}@proseware.com>\r\n"
    "Subject: {0}\r\n\r\nHello.\r\n"
)


@pytest.fixture(scope="module")
def ill() -> Iterator[Sink]:
    with sinking(Sink(script={"MAIL": "451 4.3.0 not now"})) as it:
        yield it


@pytest.fixture(scope="module")
def one_server(ill: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(SIGNED_IN, via=f"smtp://127.0.0.1:{ill.port}")
    with running(tmp_path_factory.mktemp("ways"), text, ANN, BOB) as server:
        yield server


def submit(server: Server, subject: str, *to: str) -> str:
    with signed_in(server.place("submissions"), ANN) as talk:
        answer = talk.mail(
            ANN.name, *(to or ("carol@adatum.com",)), content=CONTENT.format(subject).encode()
        )
    found = re.search(r" as (\w{11})", answer.text)
    assert found, answer
    return found[1]


def waiting(server: Server, subject: str, *to: str) -> str:
    found = submit(server, subject, *to)
    server.wait_for_events("deferred", message=found)
    return found


def is_gone(message: str) -> bool:
    shown = command("--json", "queue", "list").json["messages"]
    return message not in {it["id"] for it in shown}


def test_a_message_or_all_for_a_destination_take_another_way(server: Server) -> None:
    one, two = waiting(server, "moved-1"), waiting(server, "moved-2", "x@woodgrove.com")
    with sinking() as well:
        way = f"smtp://127.0.0.1:{well.port}"
        assert command("queue", "move", one, "--via", way).code == Exit.DONE
        assert wait_for(lambda: is_gone(one), 10)
        assert not is_gone(two)
        changed = command("--json", "queue", "move", "--domain", "woodgrove.com", "--via", way)
        assert changed.json["answer"] == 1
        assert wait_for(lambda: is_gone(two), 10)
    told = command("journey", two).out
    assert f"moved to {way}" in told
    assert "delivered (127.0.0.1 [127.0.0.1], not encrypted: 250 2.0.0 taken)" in told


@pytest.mark.parametrize("via", ["nonsense", "smtp://", "lmtp://x:99999", "local"])
def test_a_way_that_means_nothing_is_refused(server: Server, via: str) -> None:
    ran = command("queue", "move", "--domain", "adatum.com", "--via", via)
    assert ran.code == Exit.USAGE
    assert via in ran.err or "port" in ran.err


def test_a_destination_can_be_paused_and_resumed(server: Server, ill: Sink) -> None:
    assert command("queue", "pause", "paused.example", "--because", "they move").code == Exit.DONE
    ill.commands.clear()
    one = submit(server, "paused", "x@paused.example")
    other = waiting(server, "not-paused", "x@others.example")
    retried = command("queue", "retry", one)
    assert f"{one}: due now" in retried.out
    assert "paused.example is paused: its mail waits" in retried.err
    assert "is paused" not in command("queue", "retry", "--domain", "others.example").err
    assert not any("paused.example" in it for it in ill.commands)
    (row,) = [it for it in command("queue", "list").out.splitlines() if one in it]
    assert "  paused  " in row
    assert "its destination is paused" in command("queue", "show", one).out
    shown = command("queue", "summary").out
    assert "paused.example is paused" in shown
    assert "they move" in shown
    assert (
        command("--json", "queue", "summary").json["paused"][0]["destination"] == "paused.example"
    )
    assert command("queue", "resume", "paused.example").code == Exit.DONE
    server.wait_for_events("deferred", message=one)
    assert command("queue", "resume", "paused.example").code == Exit.NO
    assert command("queue", "pause", "no domain").code == Exit.USAGE
    assert command("queue", "drop", one, other, "--yes").code == Exit.DONE


def test_a_return_does_not_wait_for_a_paused_destination(server: Server) -> None:
    assert command("queue", "pause", "closed.example").code == Exit.DONE
    ones = [submit(server, f"closed-{number}", "x@closed.example") for number in range(10)]
    ran = command(
        "queue", "bounce", "--domain", "Closed.Example", "--because", "the house is empty", "--yes"
    )
    assert (ran.code, ran.out.strip()) == (Exit.DONE, "10 returned")
    assert wait_for(lambda: all(map(is_gone, ones)), 10)
    told = [it for it in server.mailbox("ann") if b"the house is empty" in it]
    assert wait_for(lambda: len(told) == len(ones) or None, 1)
    assert command("queue", "resume", "closed.example").code == Exit.DONE


def test_messages_are_changed_by_what_they_have_in_common(server: Server) -> None:
    ones = [waiting(server, f"common-{number}", "x@common.example") for number in range(3)]
    other = waiting(server, "uncommon", "x@other.example")
    assert command("queue", "hold", "--reason", "NOT now", "--domain", "common.example").code == 0
    held = command("--json", "queue", "list", "--held").json["messages"]
    assert [it["id"] for it in held] == ones
    refused = command("queue", "retry", ones[0])
    assert refused.code == Exit.NO
    assert f"posthouse queue release {ones[0]}" in refused.err
    assert "is not held" in command("queue", "release", other).err
    released = command("queue", "release", "--sender", "ann@", "--recipient", "x@COMMON")
    assert released.out.strip() == "3 released"
    assert command("queue", "release", "--all").code == Exit.NO, "nothing is held any more"
    asked = command("queue", "drop", "--account", ANN.name, given="n\n")
    assert "Remove 4 messages for good? Nobody will be told." in asked.err
    assert (asked.code, "nothing was changed" in asked.err) == (Exit.NO, True)
    unanswered = command("queue", "bounce", "--domain", "other.example")
    assert (unanswered.code, "--yes" in unanswered.err) == (Exit.NO, True)
    assert not is_gone(other)
    assert command("queue", "drop", "--domain", "nowhere.example").code == Exit.NO
    assert command("queue", "drop", "--account", ANN.name, "--yes").out.strip() == "4 gone"
    assert is_gone(other)


@pytest.mark.parametrize("change", ["retry", "hold", "release", "bounce", "drop", "move"])
def test_a_change_wants_to_know_what_it_is_about(server: Server, change: str) -> None:
    via = ("--via", "mx") if change == "move" else ()
    assert command("queue", change, *via).code == Exit.USAGE
    assert command("queue", change, "0R41CND4MFK", "--all", *via).code == Exit.USAGE
    assert command("queue", change, "--domain", "no domain", *via).code == Exit.USAGE


def test_the_queue_alone_is_its_summary_and_what_matches_is_counted(server: Server) -> None:
    one = waiting(server, "counted-1", "x@counted.example")
    two = waiting(server, "counted-2", "x@uncounted.example")
    shown = command("queue").out
    assert shown.startswith("2 messages, 0 of them held, 0.0 MB\n")
    assert "451 4.3.0 not now" in shown
    assert command("queue", "--json").json["messages"] == 2
    only = command("--json", "queue", "summary", "--domain", "counted.example", "--sender", "ann@")
    assert [it["destination"] for it in only.json["destinations"]] == ["counted.example"]
    assert only.json["destinations"][0]["oldest"]
    assert "busiest 1 destinations" in command("queue", "summary", "-n", "1").err
    assert len(command("queue", "list", "-n", "1").out.splitlines()) == 2
    assert "-n shows more" in command("queue", "list", "-n", "1").err
    assert command("queue", "list", "-n", "0", "--ids").out.split() == [one, two]
    assert command("queue", "drop", "--all", "--yes").code == Exit.DONE
    assert "nothing in the queue matches" in command("queue", "list", "--reason", "x").err


def test_several_messages_are_changed_at_once_and_unknown_ones_are_told(server: Server) -> None:
    one, two = waiting(server, "many-1"), waiting(server, "many-2")
    ids = command("queue", "list", "--ids").out.split()
    assert ids == [one, two]
    assert command("queue", "hold", *ids, "--because", "ticket 7").code == Exit.DONE
    ran = command("queue", "release", one, "0R41CND4MFK")
    assert ran.code == Exit.NO
    assert "0R41CND4MFK" in ran.err
    assert command("queue", "drop", one, two, "--yes").code == Exit.DONE
    assert is_gone(one)


def test_the_whole_way_is_found_by_id_address_and_message_id(server: Server) -> None:
    one = waiting(server, "whole-way", "dora@woodgrove.com")
    by_id = command("journey", one).out
    for words in (
        "from client 127.0.0.1 on submissions, TLS, signed in as ann@proseware.com",
        "recipient <dora@woodgrove.com>",
        "posthouse explain",
        "<dora@woodgrove.com>: to be tried again (127.0.0.1 [127.0.0.1], not encrypted: 451 4.3.0",
        "1 attempt, next try",
    ):
        assert words in by_id
    assert command("journey", "<whole-way@proseware.com>").out == by_id
    assert command("journey", "whole-way@proseware.com").out == by_id
    assert command("journey", "dora@woodgrove.com").out == by_id
    of_ann = command("journey", "ann@proseware.com", "-n", "2")
    assert f"message {one}" in of_ann.out
    assert "-n shows more" in of_ann.err
    ways = command("--json", "journey", one).json["messages"]
    (case,) = ways[0]["recipient_cases"]
    assert (case["account"], case["forward_path"]) == ("ann@proseware.com", "dora@woodgrove.com")
    command("queue", "drop", one, "--yes")
    assert "nothing of it is kept here" in command("journey", one).out
    assert command("journey", "nobody@nowhere.example").code == Exit.NO
