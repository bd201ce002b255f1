"""Lines that come again are not read again, and nothing of one session shows in another."""

import pytest

from posthouse.mail.address import parse_mailbox
from posthouse.protocol.smtp import parsing
from posthouse.protocol.smtp.events import MailReceived, RecipientReceived
from posthouse.protocol.smtp.offer import Offer
from posthouse.protocol.smtp.parameters import CommandError

ONE, OTHER = Offer("one.example", 0), Offer("other.example", 0, dsn=False)


def event_of(line: bytes, offer: Offer) -> object:
    said = parsing.read(line)
    return said.event or parsing.parse(line, said, offer)


@pytest.mark.parametrize(
    "line", [b"MAIL FROM:<ann@a.example>", b"rcpt to:<bob@b.example>", b"RSET"]
)
def test_a_line_that_comes_again_gives_the_same_event(line: bytes) -> None:
    first = event_of(line, ONE)
    assert event_of(line, OTHER) is first
    assert parsing.read(line).event is first


@pytest.mark.parametrize("path", [b"<postmaster>", b"<Postmaster>", b"<@a.example:postmaster>"])
def test_our_postmaster_is_the_one_of_each_host(path: bytes) -> None:
    for offer in (ONE, OTHER, ONE):
        event = event_of(b"RCPT TO:" + path, offer)
        assert isinstance(event, RecipientReceived)
        assert event.forward_path.domain == offer.hostname


def test_what_an_offer_decides_is_decided_each_time() -> None:
    line = b"RCPT TO:<bob@b.example> ORCPT=rfc822;bob@b.example>"
    assert event_of(line, ONE) == RecipientReceived(
        parse_mailbox("bob@b.example"), original="rfc822;bob@b.example>"
    )
    with pytest.raises(CommandError):
        event_of(line, OTHER)
    with pytest.raises(CommandError):
        event_of(b"MAIL FROM:<a@b.example> ENVID=x>", OTHER)
    event = event_of(b"MAIL FROM:<a@b.example> ENVID=x>", ONE)
    assert isinstance(event, MailReceived)
    assert event.envelope_id == "x>"


def test_what_may_hold_a_password_is_not_kept() -> None:
    offer = Offer("one.example", 0, mechanisms=("PLAIN",))
    line = b"AUTH PLAIN AGFubgBzZWNyZXQ="
    event_of(line, offer)
    assert line not in parsing._known
    event_of(b"NOOP secret", offer)
    assert not any(b"secret" in known for known in parsing._known)


def test_no_more_is_kept_than_a_limit() -> None:
    for number in range(parsing.KNOWN_MAX + 10):
        event_of(b"RCPT TO:<bob%d@b.example>" % number, ONE)
    assert len(parsing._known) <= parsing.KNOWN_MAX
    long = b"MAIL FROM:<" + b"a" * 64 + b"@" + b".".join([b"b" * 60] * 4) + b".example>"
    event_of(long + b" " * 20, ONE)
    assert all(len(line) <= parsing.KNOWN_OCTETS_MAX for line in parsing._known)
