"""The list of tricks: every pair of forms meets, every published tester is there."""

from itertools import product

import pytest

from posthouse.probe.open_relay import (
    APPROACHES,
    RECIPIENTS,
    SENDERS,
    Places,
    crossed,
    every_trick,
    published,
)

PLACES = Places("mail.proseware.com", "127.0.0.1", local_domain="proseware.com")


def test_any_two_of_sender_recipient_and_approach_meet_in_some_trick() -> None:
    tricks = tuple(crossed())
    recipients = RECIPIENTS.values()
    approaches = [it.id for it in APPROACHES]
    assert {(it.sender, it.recipient) for it in tricks} == set(
        product(SENDERS.values(), recipients)
    )
    assert {(it.sender, it.approach.id) for it in tricks} == set(
        product(SENDERS.values(), approaches)
    )
    assert {(it.recipient, it.approach.id) for it in tricks} == set(product(recipients, approaches))


def test_the_testers_lists_are_complete_and_every_id_is_its_own() -> None:
    ids = [it.id for it in every_trick()]
    assert len(ids) == len(set(ids))
    counts = {
        tester: sum(it.id.startswith(f"{tester}-") for it in published())
        for tester in ("nmap", "metasploit", "abuse.net", "maps", "dsbl", "mailradar")
    }
    assert counts == {
        "nmap": 16,
        "metasploit": 16,
        "abuse.net": 17,
        "maps": 13,
        "dsbl": 16 + 15,
        "mailradar": 4,
    }


def test_nothing_stays_unfilled() -> None:
    for trick in every_trick():
        filled = PLACES.fill(trick.sender) + PLACES.fill(trick.recipient)
        assert "{" not in filled


@pytest.mark.parametrize(
    ("recipient", "away"),
    [
        ("<relaytest@canary.invalid>", True),
        ("<@mail.proseware.com:relaytest@canary.invalid>", True),
        ("<relaytest@canary.invalid.>", True),
        ("<relaytest@[192.0.2.25]>", True),
        ("<relaytest@notproseware.com>", True),
        ("<relaytest%canary.invalid@proseware.com>", False),
        ('<"relaytest@canary.invalid"@proseware.com>', False),
        ('<"relaytest@canary.invalid">', False),
        ("<canary.invalid!relaytest>", False),
        ("<relaytest@canary.invalid@>", False),
        ("<postmaster@[127.0.0.1]>", False),
        ("<POSTMASTER@PROSEWARE.COM>", False),
    ],
)
def test_where_a_recipient_leads_is_read_by_the_rfc(recipient: str, *, away: bool) -> None:
    assert PLACES.leads_away(recipient) is away
