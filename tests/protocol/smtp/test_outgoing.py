import pytest

from posthouse.mail.address import NULL, Mailbox, ReversePath
from posthouse.mail.envelope import Notify, Recipient
from posthouse.protocol.smtp.client_events import Extensions
from posthouse.protocol.smtp.outgoing import Outgoing, mail_command, obstacle, recipient_command

ALL = Extensions(
    size_octets_max=1000,
    eightbitmime=True,
    smtputf8=True,
    dsn=True,
    chunking=True,
    binarymime=True,
    requiretls=True,
)
NONE = Extensions()
BOB = Recipient(Mailbox("bob", "example.org"))
PLAIN = Outgoing(NULL, (BOB,))
RICH = Outgoing(
    ReversePath(Mailbox("ann", "example.com")),
    (BOB,),
    octets=10,
    body="8BITMIME",
    envelope_id="id",
    return_content="HDRS",
)


def test_parameters_are_said_only_to_those_who_know_them() -> None:
    assert mail_command(RICH, NONE) == "MAIL FROM:<ann@example.com>"
    said = "MAIL FROM:<ann@example.com> SIZE=10 BODY=8BITMIME RET=HDRS ENVID=id"
    assert mail_command(RICH, ALL) == said
    assert mail_command(PLAIN, ALL) == "MAIL FROM:<>"


def test_reports_are_asked_for_only_where_they_are_known() -> None:
    notify = frozenset({Notify.DELAY, Notify.SUCCESS})
    recipient = Recipient(BOB.mailbox, notify, "rfc822;bob@example.org")
    assert recipient_command(recipient, NONE) == "RCPT TO:<bob@example.org>"
    said = "RCPT TO:<bob@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob@example.org"
    assert recipient_command(recipient, ALL) == said
    assert recipient_command(BOB, ALL) == "RCPT TO:<bob@example.org>"


@pytest.mark.parametrize(
    ("outgoing", "status"),
    [
        (Outgoing(NULL, (BOB,), smtputf8=True), "5.6.7"),
        (Outgoing(NULL, (Recipient(Mailbox("böb", "example.org")),)), "5.6.7"),
        (Outgoing(ReversePath(Mailbox("änn", "example.com")), (BOB,)), "5.6.7"),
        (Outgoing(NULL, (BOB,), body="BINARYMIME"), "5.6.3"),
        (Outgoing(NULL, (BOB,), requiretls=True), "5.7.30"),
    ],
)
def test_what_a_server_cannot_take_is_known_beforehand(outgoing: Outgoing, status: str) -> None:
    refusal = obstacle(outgoing, NONE)
    assert refusal is not None
    assert refusal.status == status
    assert refusal.encode()
    assert obstacle(outgoing, ALL) is None
    assert mail_command(outgoing, ALL).split()[-1] in {
        "SMTPUTF8",
        "BODY=BINARYMIME",
        "REQUIRETLS",
    }


def test_size_is_an_obstacle_only_where_both_are_known() -> None:
    big = Outgoing(NULL, (BOB,), octets=1001)
    refusal = obstacle(big, ALL)
    assert refusal is not None
    assert refusal.code == 552
    assert obstacle(big, NONE) is None
    assert obstacle(big, Extensions(size_octets_max=0)) is None
    assert obstacle(Outgoing(NULL, (BOB,), octets=1000), ALL) is None
    assert obstacle(PLAIN, ALL) is None
