"""What an administrator changes holds at the next MAIL of sessions that are open already."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from posthouse.lab.clients import Account
from posthouse.lab.hosts import wait_for
from tests.end_to_end.server import (
    ANN,
    BOB,
    ELSEWHERE,
    SIGNED_IN,
    Server,
    configuration,
    running,
)
from tests.end_to_end.talking import Talk, signed_in

pytestmark = pytest.mark.slow
FOREIGN = "carol@adatum.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(SIGNED_IN)
    with running(tmp_path_factory.mktemp("at-once"), text, ANN, BOB) as it:
        yield it


def posthouse(server: Server, *arguments: str, given: str = "") -> str:
    """Run a command in a process of its own, as an administrator does."""
    done = subprocess.run(
        [sys.executable, "-m", "posthouse", "--config", str(server.file), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def may_relay(talk: Talk, sender: str) -> int:
    """The code of the first refusal, or of RCPT."""
    code = talk.say(f"MAIL FROM:<{sender}>").code
    if code == 250:
        code = talk.say(f"RCPT TO:<{FOREIGN}>").code
        talk.say("RSET")
    return code


def test_a_submission_password_works_from_the_moment_it_is_made_until_it_is_revoked(
    server: Server,
) -> None:
    made = posthouse(server, "account", "app-password", "add", ANN.name, "phone")
    phone = Account(ANN.name, made.split()[-1])
    with signed_in(server.place("submissions"), phone) as talk:
        assert may_relay(talk, ANN.name) == 250
        posthouse(server, "account", "app-password", "revoke", ANN.name, "phone")
        assert may_relay(talk, ANN.name) in {530, 550}
        assert talk.sign_in(phone).code == 535
        assert talk.sign_in(ANN).code == 235, "her account's own password is another one"
        assert may_relay(talk, ANN.name) == 250
    used = posthouse(server, "--json", "account", "app-password", "list", ANN.name)
    assert '"submission_passwords": []' in used


def test_a_submission_password_does_not_open_the_mailbox(server: Server) -> None:
    made = posthouse(server, "account", "app-password", "add", BOB.name, "printer")
    with pytest.raises(Exception, match=r"-ERR"):
        server.fetch(Account(BOB.name, made.split()[-1]))


def test_a_disabled_account_relays_no_more_but_still_gets_mail(server: Server) -> None:
    with signed_in(server.place("submissions"), BOB) as talk:
        assert may_relay(talk, BOB.name) == 250
        posthouse(server, "account", "disable", BOB.name)
        assert may_relay(talk, BOB.name) in {530, 550}
    with Talk(server.place("mx")) as talk:
        talk.say("EHLO a.example")
        answer = talk.mail("x@adatum.com", BOB.name, content=b"Subject: for-disabled\r\n\r\nHello.")
        assert answer.code == 250
    posthouse(server, "account", "enable", BOB.name)
    assert any("for-disabled" in it for it in wait_for(lambda: server.fetch(BOB), 10))


def test_a_changed_password_ends_what_was_signed_in_with_the_old_one(server: Server) -> None:
    with signed_in(server.place("submissions"), ANN) as talk:
        assert may_relay(talk, ANN.name) == 250
        posthouse(server, "account", "passwd", ANN.name, given="new-blue-herons\n")
        assert may_relay(talk, ANN.name) in {530, 550}
        assert talk.sign_in(Account(ANN.name, "new-blue-herons")).code == 235
    posthouse(server, "account", "passwd", ANN.name, given=ANN.password + "\n")


def test_a_network_may_relay_from_the_moment_it_is_listed_until_it_is_taken_back(
    server: Server,
) -> None:
    with Talk(server.place("mx"), place=ELSEWHERE) as talk:
        talk.say("EHLO laptop.example")
        assert may_relay(talk, ANN.name) == 550
        posthouse(server, "network", "add", ELSEWHERE, "--for", "8h", "--because", "a test")
        assert wait_for(lambda: may_relay(talk, ANN.name) == 250, 5)
        assert may_relay(talk, "stranger@adatum.com") == 550, "only as one of our own"
        posthouse(server, "network", "remove", ELSEWHERE)
        assert wait_for(lambda: may_relay(talk, ANN.name) == 550, 5)


def test_an_account_that_is_added_gets_mail_and_one_that_is_removed_does_not(
    server: Server,
) -> None:
    with Talk(server.place("mx")) as talk:
        talk.say("EHLO a.example")
        talk.say("MAIL FROM:<x@adatum.com>")
        assert talk.say("RCPT TO:<eve@proseware.com>").code == 550
        posthouse(server, "account", "add", "eve@proseware.com", given="two-grey-geese\n")
        assert talk.say("RCPT TO:<eve@proseware.com>").code == 250
        posthouse(server, "account", "remove", "eve@proseware.com", "--yes")
        assert talk.say("RCPT TO:<eve@proseware.com>").code == 550
