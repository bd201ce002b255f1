"""Into our own mailboxes, along aliases, into captured mail."""

from pathlib import Path

import pytest

from posthouse.accounts.store import Resolution, StoreError
from posthouse.delivery.local import CaptureDelivery, LocalDelivery
from posthouse.delivery.outcomes import Deferred, Delivered, Expanded, Failed, Outcome
from posthouse.mail.address import Mailbox
from posthouse.telemetry.events import LogEvent, StoreFailed
from tests.delivery.given import BOB, CONTENT, content, recipient, work

DIRECTORY = {
    "ann@ours.example": Resolution(("ann@ours.example",)),
    "sales@ours.example": Resolution(("ann@ours.example", "dan@ours.example")),
    "bob@ours.example": Resolution((), (BOB,)),
    "both@ours.example": Resolution(("ann@ours.example",), (BOB,)),
    "mixed@ours.example": Resolution(("ann@ours.example", "broken@ours.example"), (BOB,)),
}


def resolve(mailbox: Mailbox) -> Resolution:
    if mailbox.local_part == "unreadable":
        raise StoreError("accounts.db cannot be read")
    return DIRECTORY.get(str(mailbox.folded), Resolution())


class House:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log: list[LogEvent] = []
        self.local = LocalDelivery(resolve, lambda name: directory / name, self.log.append)

    def break_mailbox(self, name: str) -> None:
        (self.directory / name).write_text("not a directory")

    def mend_mailbox(self, name: str) -> None:
        (self.directory / name).unlink()

    def mails(self, name: str) -> list[bytes]:
        new = self.directory / name / "new"
        files = sorted(new.iterdir()) if new.is_dir() else []
        return [path.read_bytes().replace(b"\n", b"\r\n") for path in files]

    async def deliver(self, *to: str, octets: bytes = CONTENT) -> list[Outcome]:
        outcomes = await self.local.deliver(work(*map(recipient, to)), content(octets))
        return [outcomes[place] for place in range(len(to))]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_mail_is_put_into_the_mailbox_with_its_reverse_path_on_top(house: House) -> None:
    assert await house.deliver("ann@ours.example") == [Delivered("250 2.0.0 in the mailbox")]
    (mail,) = house.mails("ann@ours.example")
    assert mail == (
        b"Return-Path: <ann@ours.example>\r\nDelivered-To: ann@ours.example\r\n" + CONTENT
    )


async def test_all_members_of_a_group_get_one_copy_each(house: House) -> None:
    outcomes = await house.deliver("sales@ours.example", "ann@ours.example")
    assert all(isinstance(it, Delivered) for it in outcomes)
    assert len(house.mails("ann@ours.example")) == 1
    assert len(house.mails("dan@ours.example")) == 1


async def test_an_alias_elsewhere_is_expanded(house: House) -> None:
    (outcome,) = await house.deliver("bob@ours.example")
    assert isinstance(outcome, Expanded)
    assert outcome == Expanded((BOB,), "sent on to 1 other address")


async def test_an_alias_here_and_elsewhere_is_both(house: House) -> None:
    (outcome,) = await house.deliver("both@ours.example")
    assert outcome == Expanded((BOB,), "put into 1 mailbox here, and sent on to 1 other address")
    assert len(house.mails("ann@ours.example")) == 1


async def test_an_unknown_recipient_fails(house: House) -> None:
    (outcome,) = await house.deliver("nobody@ours.example")
    assert isinstance(outcome, Failed)
    assert outcome.status == "5.1.1"


async def test_a_mailbox_that_cannot_be_written_defers_and_the_log_knows_why(house: House) -> None:
    house.break_mailbox("ann@ours.example")
    (outcome,) = await house.deliver("ann@ours.example")
    assert isinstance(outcome, Deferred)
    assert str(house.directory) not in outcome.words
    (event,) = house.log
    assert isinstance(event, StoreFailed)
    assert event.store == "mailbox"
    house.mend_mailbox("ann@ours.example")
    assert isinstance((await house.deliver("ann@ours.example"))[0], Delivered)


async def test_one_broken_mailbox_of_a_group_delays_nobody_and_doubles_nothing(
    house: House,
) -> None:
    house.break_mailbox("broken@ours.example")
    (first,) = await house.deliver("mixed@ours.example")
    assert isinstance(first, Deferred)
    assert first.forwarded == (BOB,)
    (second,) = await house.deliver("mixed@ours.example")
    assert isinstance(second, Deferred)
    assert second.forwarded == ()
    house.mend_mailbox("broken@ours.example")
    (third,) = await house.deliver("mixed@ours.example")
    assert isinstance(third, Expanded)
    assert third.forwards == ()
    assert len(house.mails("ann@ours.example")) == len(house.mails("broken@ours.example")) == 1


async def test_unreadable_accounts_defer(house: House) -> None:
    (outcome,) = await house.deliver("unreadable@ours.example")
    assert isinstance(outcome, Deferred)
    assert isinstance(house.log[0], StoreFailed)


@pytest.mark.parametrize("mark", ["Bob@ours.example", "bob@OURS.example"])
async def test_what_was_forwarded_from_here_before_is_not_forwarded_again(
    mark: str, house: House
) -> None:
    octets = f"Delivered-To: {mark}\r\n".encode() + CONTENT
    (outcome,) = await house.deliver("bob@ours.example", octets=octets)
    assert isinstance(outcome, Failed)
    assert outcome.status == "5.4.6"


async def test_a_mark_of_another_or_in_the_body_or_broken_stops_nothing(house: House) -> None:
    octets = b"Delivered-To: sales@ours.example\r\nDelivered-To: <\xff\r\n" + CONTENT
    octets += b"\r\nDelivered-To: bob@ours.example\r\n"
    assert isinstance((await house.deliver("bob@ours.example", octets=octets))[0], Expanded)


async def test_mail_that_stays_here_cannot_loop(house: House) -> None:
    """A message somebody sends again as it lay in the mailbox is delivered."""
    octets = b"Delivered-To: ann@ours.example\r\n" + CONTENT
    assert isinstance((await house.deliver("ann@ours.example", octets=octets))[0], Delivered)


async def test_a_large_message_is_delivered_whole(house: House) -> None:
    large = CONTENT + b"0123456789abcdef\r\n" * 40_000
    await house.deliver("ann@ours.example", octets=large)
    assert house.mails("ann@ours.example")[0].endswith(large)


async def test_captured_mail_lies_in_one_maildir(tmp_path: Path) -> None:
    log: list[LogEvent] = []
    captured = CaptureDelivery(tmp_path / "captured", log.append)
    both = work(recipient("bob@theirs.example"), recipient("carol@theirs.example"))
    outcomes = await captured.deliver(both, content())
    assert all(isinstance(it, Delivered) for it in outcomes.values())
    mails = [path.read_bytes() for path in (tmp_path / "captured" / "new").iterdir()]
    assert sorted(mail.split(b"\n")[1] for mail in mails) == [
        b"Delivered-To: bob@theirs.example",
        b"Delivered-To: carol@theirs.example",
    ]
    broken = CaptureDelivery(next((tmp_path / "captured" / "new").iterdir()), log.append)
    assert isinstance((await broken.deliver(work(), content()))[0], Deferred)
    assert isinstance(log[0], StoreFailed)
