"""Domains that we only pass on: only recipients that exist are taken."""

import socket
from pathlib import Path

import pytest

from posthouse.lab.hosts import wait_for
from tests.end_to_end.server import SIGNED_IN, configuration, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Talk

pytestmark = pytest.mark.slow


def domains(port: int) -> str:
    return f"""
[domains."school.example"]
deliver_via = "smtp://127.0.0.1:{port}"
verify_recipients = true

[domains."listed.example"]
deliver_via = "smtp://127.0.0.1:{port}"
recipients_file = "recipients"
"""


def test_only_recipients_that_exist_behind_the_relay_are_taken(tmp_path: Path) -> None:
    (tmp_path / "recipients").write_text("ann\n")
    script = {"RCPT TO:<nobody": "550 5.1.1 no such user"}
    with sinking(Sink(script=script)) as sink:
        text = configuration(SIGNED_IN) + domains(sink.port)
        with running(tmp_path, text) as server, Talk(server.place("mx")) as talk:
            talk.say("EHLO stranger.example")
            assert talk.say("MAIL FROM:<x@stranger.example>").code == 250
            assert talk.say("RCPT TO:<ann@school.example>").code == 250
            assert talk.say("RCPT TO:<nobody@school.example>").code == 550
            assert talk.say("RCPT TO:<ann@listed.example>").code == 250
            assert talk.say("RCPT TO:<eve@listed.example>").code == 550
            asked = sink.commands.count("MAIL FROM:<>")
            assert talk.say("RCPT TO:<nobody@school.example>").code == 550
            assert sink.commands.count("MAIL FROM:<>") == asked == 2, "it is remembered"
            assert sink.mails == [], "asking sends nothing"


def test_who_is_unknown_while_the_server_is_silent_is_deferred(tmp_path: Path) -> None:
    (tmp_path / "recipients").write_text("ann\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    text = configuration(SIGNED_IN) + domains(port)
    with running(tmp_path, text) as server, Talk(server.place("mx")) as talk:
        talk.say("EHLO stranger.example")
        talk.say("MAIL FROM:<x@stranger.example>")
        assert talk.say("RCPT TO:<ann@school.example>").code == 451
        assert talk.say("RCPT TO:<ann@listed.example>").code == 250


def test_a_gateway_that_checks_spf_gets_reverse_paths_of_ours_and_bounces_find_back(
    tmp_path: Path,
) -> None:
    with sinking() as gateway, sinking() as world:
        text = (
            configuration(via=f"smtp://127.0.0.1:{world.port}")
            + f"""
[domains."school.example"]
deliver_via = "smtp://127.0.0.1:{gateway.port}"
rewrite_senders = true
"""
        )
        with running(tmp_path, text) as server:
            content = b"From: x@stranger.example\r\nSubject: hi\r\n\r\nhello\r\n"
            with Talk(server.place("mx")) as talk:
                talk.say("EHLO stranger.example")
                to = "ann@school.example"
                assert talk.mail("x@stranger.example", to, content=content).code == 250
            assert wait_for(lambda: gateway.mails, 10)
            path = gateway.mails[0].sender.partition("<")[2].partition(">")[0]
            assert path.startswith("SRS0=")
            assert path.endswith("=stranger.example=x@proseware.com")
            with Talk(server.place("mx")) as talk:
                talk.say("EHLO school.example")
                assert talk.mail("", path, content=b"Subject: bounce\r\n\r\nno\r\n").code == 250
            assert wait_for(lambda: world.mails, 10)
            assert "x@stranger.example" in str(world.mails[0].recipients)
