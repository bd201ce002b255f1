"""While the server runs: lost addresses are noticed, and a shadow configuration is asked."""

from collections.abc import Iterator

import pytest

from posthouse.server.requests import Reload, Status
from tests.end_to_end.server import ANN, SIGNED_IN, Server, configuration, door, running
from tests.end_to_end.talking import Talk, signed_in

pytestmark = pytest.mark.slow
GATEWAY, OTHER = "127.0.0.8", "127.0.0.9"
NETWORK = door("network", name='"office"', networks='["127.0.0.8/31"]')
SHADOW = configuration(SIGNED_IN)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("watched")
    (directory / "new.toml").write_text(SHADOW)
    text = configuration(SIGNED_IN, NETWORK, '[shadow]\nfile = "new.toml"\n')
    with running(directory, text, ANN) as it:
        yield it


def relayed(server: Server, place: str, hello: str = "laptop") -> str:
    """What RCPT to a foreign domain is answered."""
    talk = Talk(server.place("mx"), place=place)
    try:
        talk.say(f"EHLO {hello}")
        talk.say("MAIL FROM:<ann@proseware.com>")
        answer = talk.say("RCPT TO:<bob@adatum.com>")
        talk.say("QUIT")
    finally:
        talk.close()
    return f"{answer.code} {answer.text}"


def test_an_address_that_many_share_relays_no_more_and_signing_in_still_works(
    server: Server,
) -> None:
    assert relayed(server, GATEWAY).startswith("250")
    for number in range(9):
        assert relayed(server, GATEWAY, f"mx.company{number}.com").startswith("250")
    told = relayed(server, GATEWAY, "mx.company9.com")
    assert told.startswith("550")
    assert "[address-lost]" in told
    assert "[address-lost]" in relayed(server, GATEWAY)
    assert relayed(server, OTHER).startswith("250")
    (event,) = server.wait_for_events("address-lost", address=GATEWAY)
    assert "10 unrelated EHLO names" in event["evidence"]
    assert "host networking" in event["advice"]
    status = server.ask(Status())
    assert "relaying by address stopped" in status["lost_addresses"][0]
    with signed_in(server.place("submissions"), ANN, place=GATEWAY) as talk:
        talk.say("MAIL FROM:<ann@proseware.com>")
        assert talk.say("RCPT TO:<bob@adatum.com>").code == 250


def test_what_the_shadow_would_decide_is_logged_and_counted(server: Server) -> None:
    assert relayed(server, OTHER).startswith("250")
    active, shadow = "accept network-may-relay", "refuse not-recognised"
    event = server.wait_for_events("shadow-differs", active=active, shadow=shadow)[0]
    assert event["forward_path"] == "bob@adatum.com"
    status = server.ask(Status())
    assert status["shadow_differences"]["accept network-may-relay -> refuse not-recognised"] >= 1


def test_a_broken_shadow_is_refused_by_a_reload_and_nothing_changes(server: Server) -> None:
    (server.directory / "new.toml").write_text("hostname = 5\n")
    with pytest.raises(Exception, match="shadow has errors"):
        server.ask(Reload())
    assert "shadow" in server.ask(Status())
    (server.directory / "new.toml").write_text(SHADOW)
    server.ask(Reload())
