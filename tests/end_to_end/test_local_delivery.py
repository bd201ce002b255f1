"""Every address that leads to a mailbox: alias, group, catch-all, plus tag, postmaster."""

from collections.abc import Iterator

import pytest

from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.lab.hosts import wait_for
from posthouse.mail.address import parse_mailbox
from tests.end_to_end.server import ANN, BOB, SIGNED_IN, Server, configuration, running
from tests.end_to_end.sinks import Sink, sinking
from tests.end_to_end.talking import Talk, signed_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with sinking() as it:
        yield it


@pytest.fixture(scope="module")
def server(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    via = f"smtp://127.0.0.1:{sink.port}"
    text = configuration(
        '[domains."woodgrove.com"]\ncatch_all = "bob@proseware.com"\n',
        f'[domains."fabrikam.com"]\ndeliver_via = "{via}"\n',
        SIGNED_IN,
        via=via,
    )
    with running(tmp_path_factory.mktemp("local"), text, ANN, BOB) as it:
        store = SqliteAccountStore(it.storage / "accounts.db")
        for address, targets in (
            ("sales@proseware.com", [ANN.name]),
            ("all@proseware.com", [ANN.name, BOB.name, "sales@proseware.com"]),
            ("loop@proseware.com", ["loop2@proseware.com", BOB.name]),
            ("loop2@proseware.com", ["loop@proseware.com"]),
            ("away@proseware.com", ["carol@adatum.com"]),
            ("both@proseware.com", [ANN.name, "carol@adatum.com"]),
        ):
            store.add_alias(parse_mailbox(address), [parse_mailbox(each) for each in targets])
        store.close()
        yield it


def bring(server: Server, token: str, *to: str) -> None:
    """As another server would."""
    with Talk(server.place("mx")) as talk:
        talk.say("EHLO mx.adatum.com")
        answer = talk.mail("x@adatum.com", *to, content=f"Subject: {token}\r\n\r\nHello.".encode())
        assert answer.code == 250, answer


def count(server: Server, name: str, token: str) -> int:
    return sum(
        f"Subject: {token}\n".encode() in it.replace(b"\r", b"") for it in server.mailbox(name)
    )


@pytest.mark.parametrize(
    ("address", "ann", "bob"),
    [
        ("ann@proseware.com", 1, 0),
        ("ANN@Proseware.COM", 1, 0),
        ("ann+shop@proseware.com", 1, 0),
        ("sales@proseware.com", 1, 0),
        ("sales+x@proseware.com", 1, 0),
        ("all@proseware.com", 1, 1),
        ("loop@proseware.com", 0, 1),
        ("anything@woodgrove.com", 0, 1),
        ('"odd one"@woodgrove.com', 0, 1),
    ],
)
def test_mail_reaches_whoever_the_address_leads_to_once(
    server: Server, address: str, ann: int, bob: int
) -> None:
    token = f"to-{address.encode().hex()[:40]}"
    bring(server, token, address)
    assert wait_for(
        lambda: (count(server, "ann", token), count(server, "bob", token)) == (ann, bob), 10
    ), (count(server, "ann", token), count(server, "bob", token))


def test_one_message_to_many_addresses_of_one_person_is_delivered(server: Server) -> None:
    bring(server, "many", ANN.name, "sales@proseware.com", BOB.name)
    assert wait_for(lambda: count(server, "ann", "many") >= 1, 10)
    assert wait_for(lambda: count(server, "bob", "many") == 1, 10)


def test_a_forward_leads_outside_and_a_domain_is_passed_on(server: Server, sink: Sink) -> None:
    bring(server, "forwarded", "away@proseware.com", "both@proseware.com", "dora@fabrikam.com")

    def to_sink() -> list[str]:
        mails = [mail for mail in sink.mails if b"Subject: forwarded" in mail.content]
        return sorted(to.split("<")[1].split(">")[0] for mail in mails for to in mail.recipients)

    wanted = ["carol@adatum.com", "carol@adatum.com", "dora@fabrikam.com"]
    assert wait_for(lambda: to_sink() in (wanted, wanted[1:]), 10), to_sink()
    assert wait_for(lambda: count(server, "ann", "forwarded") == 1, 10)


@pytest.mark.parametrize(
    "to", ["postmaster", "Postmaster@proseware.com", "postmaster@mail.proseware.com"]
)
def test_mail_to_postmaster_is_always_taken(server: Server, to: str) -> None:
    token = f"to-{to}"
    bring(server, token, to)
    assert wait_for(lambda: count(server, "postmaster", token) == 1, 10)


def test_unknown_addresses_are_refused_each_by_itself(server: Server) -> None:
    with Talk(server.place("mx")) as talk:
        talk.say("EHLO mx.adatum.com")
        talk.say("MAIL FROM:<x@adatum.com>")
        for unknown in ("nosuch@proseware.com", "nosuch+ann@proseware.com", "an@proseware.com"):
            answer = talk.say(f"RCPT TO:<{unknown}>")
            assert answer.code == 550
            assert "[recipient-unknown]" in answer.text
        assert talk.say(f"RCPT TO:<{ANN.name}>").code == 250


def test_what_she_sends_has_the_fields_that_submission_adds(server: Server, sink: Sink) -> None:
    with signed_in(server.place("submissions"), ANN) as talk:
        content = b"From: ann@proseware.com\r\nSubject: bare\r\nBcc: eve@adatum.com\r\n\r\nHello."
        assert talk.mail(ANN.name, "carol@adatum.com", content=content).code == 250

    def found() -> list[bytes]:
        return [mail.content for mail in sink.mails if b"Subject: bare" in mail.content]

    (content,) = wait_for(found, 10)
    head = content.partition(b"\r\n\r\n")[0]
    for field in (b"Date: ", b"Message-ID: <", b"Received: from laptop.example"):
        assert field in head, head
    assert b"ESMTPSA" in head
