"""The whole list against a running Posthouse: closed; and each door's own openings are tried."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial

import pytest
from click.testing import CliRunner

from posthouse.cli.main import posthouse
from posthouse.probe.attempt import Attempt, Outcome
from posthouse.probe.audit import Audit, Entrance, Verdict, audit
from posthouse.probe.canary import Canary
from posthouse.probe.line import SocketLine
from posthouse.probe.open_relay import APPROACHES, Places, Trick, every_trick, published
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, door, running

pytestmark = pytest.mark.slow
IN_NETWORK, NEIGHBOUR, FETCHING, STRANGE = "127.0.0.8", "127.0.0.9", "127.0.0.11", "127.0.0.77"
DOMAIN = "proseware.com"


class Ground:
    """A server with every kind of door, whose mail for other domains goes to the canary."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def entrance(self, listener: str, source: str) -> Entrance:
        host, port = self.server.place(listener)
        places = Places(
            "mail.proseware.com", host, local_domain=DOMAIN, local_user="ann",
            foreign_domain="canary.example",
        )  # fmt: skip
        tls = listener == "submissions"
        return Entrance(
            listener, places, partial(SocketLine.open, host, port, tls=tls, source=source)
        )

    def audit(self, listener: str, source: str, tricks: tuple[Trick, ...]) -> Audit:
        return asyncio.run(audit([self.entrance(listener, source)], tricks))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    text = configuration(
        '[domains."catching.example"]\ncatch_all = "ann@proseware.com"\n',
        '[domains."passed.example"]\ndeliver_via = "smtp://127.0.0.1:9"\n',
        SIGNED_IN,
        door("pop-window", window='"10 min"', listeners='["mx", "submission"]'),
        door("network", name='"one machine"', networks=f'["{IN_NETWORK}"]'),
        door("network", name='"over"', networks='["127.0.0.12"]', until="2026-01-31"),
        door(
            "network", name='"narrow"', networks='["127.0.0.13"]', sends_to='["@archive.example"]'
        ),
        door("host-name", hosts='["shop.dyn.example"]', listeners='["submissions"]'),
        top='dns = { servers = ["127.0.0.1:9"], timeout = "1 s" }',
    )
    with running(tmp_path_factory.mktemp("audited"), text, ANN, BOB) as server:
        yield Ground(server)


@pytest.mark.parametrize("listener", ["mx", "submission", "submissions"])
def test_the_whole_list_is_closed(ground: Ground, listener: str) -> None:
    shown = ground.audit(listener, STRANGE, every_trick())
    assert shown.openings() == ()
    assert shown.counts().get(Outcome.LOST) is None
    assert len(shown.attempts) > 1_300


def plain(sender: str, *, approach: str = "ehlo") -> tuple[Trick, ...]:
    state = next(it for it in APPROACHES if it.id == approach)
    return (Trick(f"{sender}/{approach}", f"<{sender}>", "<{T}@{X}>", state),)


def only(shown: Audit) -> Attempt:
    (attempt,) = shown.attempts
    return attempt


def test_a_network_door_opens_for_its_machine_as_its_domains_and_for_no_neighbour(
    ground: Ground,
) -> None:
    own = plain("printer@proseware.com", approach="after-local-recipient")
    assert only(ground.audit("mx", NEIGHBOUR, own)).outcome is Outcome.REFUSED_RECIPIENT
    foreign = only(ground.audit("mx", IN_NETWORK, plain("x@elsewhere.example")))
    assert (foreign.outcome, "sender-not-own" in foreign.reply) == (Outcome.REFUSED_MAIL, True)


def test_the_open_network_door_is_seen_by_the_audit(ground: Ground) -> None:
    """Else "closed" would only mean that the audit cannot see."""
    tricks = (
        Trick("own", "<printer@proseware.com>", "<{T}@{X}>"),
        Trick("route", "<printer@proseware.com>", "<@{R}:{T}@{X}>"),
    )
    host, port = ground.server.place("mx")
    places = Places(
        "mail.proseware.com", host, local_domain=DOMAIN, foreign_domain="canary.example"
    )
    opened = partial(SocketLine.open, host, port, source=IN_NETWORK)
    shown = asyncio.run(audit([Entrance("mx", places, opened)], with_own_author(tricks)))
    assert [it.outcome for it in shown.attempts] == [Outcome.ACCEPTED_FOR_RELAY] * 2
    assert shown.verdict is Verdict.OPEN


def with_own_author(tricks: tuple[Trick, ...]) -> tuple[Trick, ...]:
    own = next(it for it in APPROACHES if it.id == "local-author")
    return tuple(Trick(it.id, it.sender, it.recipient, own) for it in tricks)


def test_an_ended_and_a_narrow_door_open_nothing_else(ground: Ground) -> None:
    own = plain("printer@proseware.com")
    ended = only(ground.audit("mx", "127.0.0.12", own))
    assert (ended.outcome, "door-ended" in ended.reply) == (Outcome.REFUSED_RECIPIENT, True)
    narrow = only(ground.audit("mx", "127.0.0.13", own))
    assert "recipient-not-in-door" in narrow.reply
    assert ground.audit("mx", "127.0.0.13", tuple(published())).verdict is Verdict.CLOSED


def test_a_pop_window_is_its_owners_and_on_its_listeners(ground: Ground) -> None:
    before = only(ground.audit("mx", FETCHING, plain(ANN.name)))
    assert before.outcome is Outcome.REFUSED_RECIPIENT
    ground.server.fetch(BOB, FETCHING)
    for sender in ("ann@proseware.com", "x@elsewhere.example", "nobody@proseware.com"):
        assert not only(ground.audit("mx", FETCHING, plain(sender))).outcome.is_open
    assert ground.audit("mx", FETCHING, tuple(published())).verdict is Verdict.CLOSED
    own = with_own_author((Trick("bob", "<bob@proseware.com>", "<{T}@{X}>"),))
    half = only(ground.audit("mx", FETCHING, own))
    assert "from-not-own" in half.reply  # Ann's name in From: only the envelope is Bob's
    elsewhere = only(ground.audit("mx", NEIGHBOUR, plain("bob@proseware.com")))
    assert elsewhere.outcome is Outcome.REFUSED_RECIPIENT
    other_listener = only(ground.audit("submissions", FETCHING, plain("bob@proseware.com")))
    assert not other_listener.outcome.is_accepted


def test_a_failed_or_half_pop_sign_in_opens_no_window(ground: Ground) -> None:
    host, port = ground.server.place("pop3")
    address = "127.0.0.14"

    async def half_sign_in() -> None:
        reader, writer = await asyncio.open_connection(host, port, local_addr=(address, 0))
        for said in (b"USER ann@proseware.com\r\n", b"PASS wrong\r\n", b"QUIT\r\n"):
            await reader.readline()
            writer.write(said)
        await reader.read()
        writer.close()

    asyncio.run(half_sign_in())
    found = only(ground.audit("mx", address, plain(ANN.name)))
    assert "not-recognised" in found.reply


def test_a_name_that_cannot_be_looked_up_defers_and_opens_nothing(ground: Ground) -> None:
    tricks = tuple(it for it in published() if it.id.startswith("maps"))
    shown = ground.audit("submissions", "127.0.0.15", tricks)
    assert shown.openings() == ()
    assert Outcome.DEFERRED in shown.counts()


def test_catch_all_and_passed_on_domains_take_no_routes(ground: Ground) -> None:
    for domain in ("catching.example", "passed.example"):
        host, port = ground.server.place("mx")
        places = Places("mail.proseware.com", host, local_domain=domain, local_user="any")
        opened = partial(SocketLine.open, host, port, source=STRANGE)
        shown = asyncio.run(audit([Entrance("mx", places, opened)], tuple(published())))
        assert shown.openings() == ()


async def test_what_relays_is_seen_by_a_canary() -> None:
    canary = Canary()
    port = await canary.listen("127.0.0.1", 0)
    line = await SocketLine.open("127.0.0.1", port)
    for said in (b"EHLO x\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<a@b.example>\r\n", b"DATA\r\n"):
        await line.reply()
        await line.send(said)
    await line.reply()
    await line.send(b"X-Relay-Test: 0123456789abcdef\r\n\r\nx\r\n.\r\n")
    await canary.wait_for({"0123456789abcdef"}, 2)
    await line.close()
    await canary.close()
    assert canary.arrived == {"0123456789abcdef"}


def command(ground: Ground, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        posthouse, ["--config", str(ground.server.file), *words], standalone_mode=False
    )
    if result.exception is not None:
        raise result.exception
    return int(result.return_value or 0), result.output


def test_the_command_tries_a_port_and_in_process_and_says_closed(ground: Ground) -> None:
    _, port = ground.server.place("mx")
    words = ("audit", "--host", "127.0.0.1", "--port", str(port), "--source", STRANGE, "--quick")
    code, text = command(ground, *words)
    assert (code, text.splitlines()[0][:11]) == (0, "ok  closed:")
    code, text = command(ground, "--json", "audit", "--quick")
    answer = json.loads(text)
    assert (code, answer["schema"], answer["verdict"]) == (0, "posthouse.audit/1", "closed")
    assert {it["outcome"] for it in answer["attempts"]} <= {it.value for it in Outcome}
