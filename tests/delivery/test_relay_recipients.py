"""Who exists behind a domain that is only passed on."""

import asyncio
from pathlib import Path

import pytest

from posthouse.delivery.outcomes import Deferred, Delivered, Failed, Outcome
from posthouse.delivery.relay_recipients import RecipientRules, RelayRecipients, read_recipients
from posthouse.mail.address import AddressError, Mailbox
from tests.delivery.given import Clock

ANN, EVE = Mailbox("ann", "asked.example"), Mailbox("eve", "asked.example")
RULES = RecipientRules(
    {"listed.example": frozenset({"ann", "bob@listed.example"})}, frozenset({"asked.example"})
)


class Asked:
    def __init__(self, *outcomes: Outcome) -> None:
        self.clock = Clock()
        self.outcomes = list(outcomes)
        self.count = 0
        self.recipients = RelayRecipients(RULES, self.probe, self.clock)

    async def probe(self, mailbox: Mailbox) -> Outcome:
        self.count += 1
        return self.outcomes.pop(0)

    async def ask(self, *mailboxes: Mailbox) -> None:
        done = [asyncio.Event() for _ in mailboxes]
        for mailbox, event in zip(mailboxes, done, strict=True):
            self.recipients.ask(mailbox, event.set)
        await asyncio.gather(*(event.wait() for event in done))


def test_a_list_knows_whole_addresses_and_local_parts() -> None:
    recipients = Asked().recipients
    for name, exists in (("Ann", True), ("BOB", True), ("carol", False)):
        mailbox = Mailbox(name, "listed.example")
        assert recipients.exists(mailbox) is exists
        assert not recipients.must_ask(mailbox)
    assert recipients.exists(Mailbox("x", "other.example")) is True


async def test_what_a_server_answered_is_remembered_and_asked_again_in_time() -> None:
    asked = Asked(Delivered("250 ok"), Failed("5.1.1", "550 no"), Delivered("250 ok"))
    assert asked.recipients.exists(ANN) is None
    assert asked.recipients.must_ask(ANN)
    await asked.ask(ANN, ANN)
    assert asked.count == 1, "two who ask at once share the answer"
    assert asked.recipients.exists(ANN) is True
    assert not asked.recipients.must_ask(ANN)
    await asked.ask(EVE)
    assert asked.recipients.exists(EVE) is False
    asked.clock.forward(minutes=16)
    assert asked.recipients.exists(EVE) is None
    assert asked.recipients.must_ask(EVE)
    asked.clock.forward(hours=2)
    assert asked.recipients.must_ask(ANN)
    assert asked.recipients.exists(ANN) is True, "a silent server does not undo it"
    asked.clock.forward(days=7)
    assert asked.recipients.exists(ANN) is None


@pytest.mark.parametrize(
    "outcome",
    [Deferred("4.2.1", "451 later"), Failed("5.7.1", "554 5.7.1 your address is on a list")],
)
async def test_what_says_nothing_about_the_recipient_is_not_believed(outcome: Outcome) -> None:
    asked = Asked(outcome)
    await asked.ask(ANN)
    assert asked.recipients.exists(ANN) is None


async def test_nobody_is_kept_waiting_by_a_server_that_is_silent() -> None:
    asked = Asked()

    async def silent(mailbox: Mailbox) -> Outcome:
        await asyncio.sleep(3600)
        raise AssertionError

    asked.recipients._probe = silent
    told = asyncio.Event()
    asked.recipients.ask(ANN, told.set)
    await asyncio.sleep(0)
    await asked.recipients.close()
    await asyncio.wait_for(told.wait(), 1)


def test_a_file_lists_recipients(tmp_path: Path) -> None:
    path = tmp_path / "recipients"
    path.write_text("# people\nAnn\nbob@Listed.example  # the boss\n\n")
    assert read_recipients(path) == {"ann", "bob@listed.example"}
    path.write_text("ann\nb b@x\n")
    with pytest.raises(AddressError, match="line 2"):
        read_recipients(path)
