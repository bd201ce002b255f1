"""FUTURERELEASE, DELIVERBY and LIMITS: what is offered and what is understood."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import NULL, parse_mailbox
from posthouse.mail.envelope import Recipient
from posthouse.mail.reply import Reply
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.answers import extensions_in
from posthouse.protocol.smtp.client_events import Extensions
from posthouse.protocol.smtp.offer import Offer
from posthouse.protocol.smtp.outgoing import Outgoing, mail_command, obstacle
from posthouse.protocol.smtp.parameters import CommandError
from posthouse.protocol.smtp.parsing import parse_mail
from posthouse.protocol.smtp.timing import (
    BY_SECONDS_MAX,
    DeliverBy,
    FutureRelease,
    parse_by,
    parse_instant,
)

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
OFFER = Offer(
    "mail.example",
    1000,
    recipients_max=100,
    messages_max=20,
    future_release=FutureRelease(timedelta(days=30), UNTIL),
    deliver_by_seconds_min=60,
)


def refusal(parameters: str, offer: Offer = OFFER) -> Reply:
    with pytest.raises(CommandError) as caught:
        parse_mail(f"FROM:<ann@example.com> {parameters}", offer)
    return caught.value.reply


def test_ehlo_tells_how_far_ahead_how_soon_and_how_much() -> None:
    lines = OFFER.hello_reply(extended=True).text.split("\n")
    assert "FUTURERELEASE 2592000 2026-06-01T00:00:00Z" in lines
    assert "DELIVERBY 60" in lines
    assert "LIMITS MAILMAX=20 RCPTMAX=100" in lines


def test_a_wait_and_an_instant_are_understood() -> None:
    event = parse_mail("FROM:<ann@example.com> HOLDFOR=3600", OFFER)
    assert event.hold == timedelta(hours=1)
    event = parse_mail("FROM:<ann@example.com> HOLDUNTIL=2026-05-04t12:00:00+02:00", OFFER)
    assert event.hold == datetime(2026, 5, 4, 10, tzinfo=UTC)


def test_a_deadline_is_understood() -> None:
    event = parse_mail("FROM:<ann@example.com> BY=120;rt", OFFER)
    assert event.deliver_by == DeliverBy(120, returned=True, traced=True)
    event = parse_mail("FROM:<ann@example.com> BY=-5;N", OFFER)
    assert event.deliver_by == DeliverBy(-5, returned=False)


@pytest.mark.parametrize(
    "parameters",
    [
        "HOLDFOR=",
        "HOLDFOR=-1",
        "HOLDFOR=1234567890",
        "HOLDUNTIL=tomorrow",
        "HOLDUNTIL=2026-05-04T12:00:00",
        "HOLDUNTIL=2026-13-04T12:00:00Z",
        "HOLDFOR=60 HOLDUNTIL=2026-05-04T12:00:00Z",
        "BY=",
        "BY=60",
        "BY=60;X",
        "BY=0;R",
        "BY=-60;R",
        "BY=1234567890;N",
    ],
)
def test_malformed_values_are_refused(parameters: str) -> None:
    assert refusal(parameters) == replies.BAD_PARAMETER


def test_what_ehlo_does_not_allow_is_refused() -> None:
    assert refusal("HOLDFOR=2592001") == replies.HELD_TOO_LONG
    assert refusal("HOLDUNTIL=2026-06-01T00:00:01Z") == replies.HELD_TOO_LONG
    assert refusal("BY=59;R") == replies.DEADLINE_TOO_SOON
    bare = Offer("mail.example", 1000)
    for parameter in ("HOLDFOR=60", "HOLDUNTIL=2026-05-04T12:00:00Z", "BY=60;R"):
        assert refusal(parameter, bare) == replies.UNKNOWN_PARAMETER


@given(st.integers(-BY_SECONDS_MAX, BY_SECONDS_MAX), st.booleans(), st.booleans())
def test_a_deadline_is_read_as_it_is_written(seconds: int, returned: bool, traced: bool) -> None:
    by = DeliverBy(max(seconds, 1) if returned else seconds, returned, traced)
    assert parse_by(str(by)) == by


@given(st.text(alphabet="0123456789-:TZ+.", max_size=40))
def test_any_text_is_an_instant_with_a_zone_or_nothing(text: str) -> None:
    instant = parse_instant(text)
    assert instant is None or instant.tzinfo is not None


BOB = (Recipient(parse_mailbox("bob@theirs.example")),)


def test_a_deadline_goes_on_to_who_knows_deadlines() -> None:
    hello = Reply(250, "", "mx.example\nDELIVERBY 30")
    extensions = extensions_in(hello)
    assert extensions.deliver_by_seconds_min == 30
    assert extensions_in(Reply(250, "", "mx.example\nDELIVERBY")).deliver_by_seconds_min == 0
    outgoing = Outgoing(NULL, BOB, deliver_by=DeliverBy(90, returned=True))
    assert mail_command(outgoing, extensions) == "MAIL FROM:<> BY=90;R"
    assert obstacle(outgoing, extensions) is None
    told = Outgoing(NULL, BOB, deliver_by=DeliverBy(90, returned=False))
    assert mail_command(told, Extensions()) == "MAIL FROM:<>"
    assert obstacle(told, Extensions()) is None
    forgotten = obstacle(outgoing, Extensions())
    assert forgotten is not None
    assert forgotten.status == "5.4.7"  # to be returned when late: not for who cannot know
    late = Outgoing(NULL, BOB, deliver_by=DeliverBy(29, returned=True))
    refused = obstacle(late, extensions)
    assert refused is not None
    assert refused.status == "5.4.7"
