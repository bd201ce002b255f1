"""Signing in at a smart host that is a server of our own kind: by SCRAM, else by the password."""

import ssl
from pathlib import Path

import pytest
from msgspec.structs import replace

from posthouse.accounts.passwords import add_account
from posthouse.delivery.opening import Manners, TlsContexts
from posthouse.delivery.outcomes import Deferred, Delivered, Outcome
from posthouse.delivery.routes import Route, SignIn, SmartHost
from posthouse.delivery.transport import Transport
from posthouse.mail.address import ReversePath, parse_mailbox
from posthouse.telemetry.events import SignedIn
from tests.delivery.given import CALM, FixedHosts, content, host, recipient, work
from tests.sessions.post import LISTENERS, SIGNED_IN, post, rules_with, trusting

ANN, PASSWORD = "ann@proseware.com", "correct horse"
MAIL = b"From: <ann@proseware.com>\r\nSubject: hi\r\n\r\nHello.\r\n"


async def sent(directory: Path, password: str, *mechanisms: str) -> tuple[Outcome, list[str]]:
    """Send a message by a smart host; how it went, and how we signed in there."""
    listeners = {it.name: replace(it, mechanisms=mechanisms) for it in LISTENERS}
    rules = replace(rules_with(SIGNED_IN), listeners=listeners)
    async with post(directory, rules) as opened:
        add_account(opened.accounts, parse_mailbox(ANN), PASSWORD)
        port = opened.ports["submission"]
        trust: ssl.SSLContext = trusting()
        transport = Transport(
            FixedHosts((host(port),)),
            Manners("relay.ours.example", (), CALM),
            TlsContexts(trust, trust),
        )
        route = Route(SmartHost("localhost", port), sign_in=SignIn(user=ANN, password=password))
        mail = work(recipient(ANN), reverse_path=ReversePath(parse_mailbox(ANN)))
        outcomes = await transport.deliver(route, mail, content(MAIL))
        await transport.close()
        told = [it.mechanism for it in opened.events if isinstance(it, SignedIn)]
    return outcomes[0], told


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (("SCRAM-SHA-256", "PLAIN"), "SCRAM-SHA-256"),
        (("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"), "SCRAM-SHA-256"),
        (("PLAIN", "LOGIN"), "PLAIN"),
        (("LOGIN",), "LOGIN"),
    ],
)
async def test_the_best_mechanism_signs_in(
    tmp_path: Path, offered: tuple[str, ...], taken: str
) -> None:
    outcome, told = await sent(tmp_path, PASSWORD, *offered)
    assert isinstance(outcome, Delivered), outcome
    assert told == [taken]


async def test_a_wrong_password_defers_after_all_ways(tmp_path: Path) -> None:
    outcome, told = await sent(tmp_path, "wrong", "SCRAM-SHA-256", "PLAIN")
    assert isinstance(outcome, Deferred)
    assert outcome.status == "4.7.8"
    assert told == []
