"""The running detector: counts within its window, raises the alarm once, and forgets in time."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

from posthouse.accounts.notices import Board, open_board
from posthouse.mail.address import parse_mailbox, parse_reverse_path
from posthouse.policy.facts import Client, Request
from posthouse.policy.lost_address import LostAddressRule
from posthouse.policy.networks import NetworkTable
from posthouse.sessions.lost_addresses import ADDRESSES_MAX, LostAddresses
from posthouse.telemetry.events import AddressFound, AddressLost, LogEvent

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
GATEWAY = "172.17.0.1"


class Watched:
    def __init__(self, rule: LostAddressRule | None = None, board: Board | None = None) -> None:
        self.events: list[LogEvent] = []
        self.watch = LostAddresses(rule or LostAddressRule(), self.events.append, board)

    def mail(
        self, name: str, address: str = GATEWAY, account: str = "", *, at: datetime = NOON
    ) -> str:
        client = Client(ip_address(address), "mx", hello=name)
        return self.watch.mail_begins(client, account, at)

    def many(self, count: int, address: str = GATEWAY, *, at: datetime = NOON) -> str:
        found = ""
        for number in range(count):
            found = self.mail(f"mx.company{number}.example", address, at=at)
        return found


def test_the_tenth_unrelated_name_raises_the_alarm_once_with_its_evidence() -> None:
    it = Watched()
    assert it.many(9) == ""
    assert it.mail("mx.tenth.example").startswith("172.17.0.1, the gateway of Docker, brought 10")
    assert it.many(20)
    (event,) = it.events
    assert isinstance(event, AddressLost)
    assert event.address == GATEWAY
    assert event.stops_relaying
    assert [lost.address for lost in it.watch.lost(NOON)] == [GATEWAY]
    assert "21 unrelated" in it.watch.lost(NOON)[0].evidence


def test_other_addresses_are_as_before() -> None:
    it = Watched()
    it.many(12)
    assert it.mail("mx.other.example", "198.51.100.7") == ""


def test_names_that_come_slowly_are_no_evidence() -> None:
    it = Watched()
    for number in range(40):
        at = NOON + timedelta(minutes=2 * number)
        assert it.mail(f"mx.company{number}.example", at=at) == ""
    assert it.events == []


def test_the_window_moves_without_forgetting_its_younger_half() -> None:
    it = Watched()
    it.many(6)
    found = ""
    for number in range(10, 14):
        found = it.mail(f"mx.company{number}.example", at=NOON + timedelta(minutes=6))
    assert found


def test_after_a_day_without_evidence_the_address_counts_again() -> None:
    it = Watched()
    it.many(12)
    late = NOON + timedelta(hours=24)
    assert it.watch.evidence(ip_address(GATEWAY), late)
    later = late + timedelta(seconds=1)
    assert it.watch.evidence(ip_address(GATEWAY), later) == ""
    assert it.watch.lost(later) == ()
    assert isinstance(it.events[-1], AddressFound)


def test_alarm_only_tells_and_changes_nothing() -> None:
    it = Watched(LostAddressRule(stops_relaying=False))
    assert it.many(12) == ""
    assert len(it.events) == 1
    assert not it.watch.lost(NOON)[0].stops_relaying


def test_a_reload_that_lists_the_address_as_shared_ends_it_at_once() -> None:
    it = Watched()
    it.many(12)
    it.watch.rule = LostAddressRule(shared=NetworkTable([(ip_network("172.17.0.1"), 0)]))
    assert it.mail("mx.x.example") == ""
    assert it.watch.lost(NOON) == ()


def test_whom_mail_was_for_is_part_of_the_evidence() -> None:
    it = Watched()
    client = Client(ip_address(GATEWAY), "mx")
    path, to = parse_reverse_path("<a@sender.example>"), parse_mailbox("b@recipient.example")
    it.watch.take_note(Request(NOON, client, path, to))
    it.mail("mx.first.example", account="ann@proseware.example")
    found = it.many(10)
    assert "1 account, 1 sender domain, 1 recipient domain" in found


def test_memory_is_bounded() -> None:
    it = Watched()
    for number in range(ADDRESSES_MAX + 50):
        it.mail("mx.a.example", str(ip_address(number + (10 << 24))))
    assert it.many(12, "10.200.0.1") == ""


def test_what_other_workers_see_counts_and_only_one_raises_the_alarm() -> None:
    handle = open_board()
    one, two = (Watched(board=Board(handle, "this run", origin)) for origin in (1, 2))
    for number in range(9):
        it = (one, two)[number % 2]
        assert it.mail(f"mx.company{number}.example") == ""
    assert two.mail("mx.tenth.example")
    assert one.mail("mx.tenth.example")
    assert [lost.address for lost in one.watch.lost(NOON)] == [GATEWAY]
    assert (len(one.events), len(two.events)) == (0, 1)
    os.close(handle)


def test_mail_that_brings_nothing_new_is_told_to_other_workers_ten_at_a_time() -> None:
    handle = open_board()
    one, two = (Watched(board=Board(handle, "this run", origin)) for origin in (1, 2))
    for _ in range(99):
        one.mail("mx.a.example", account="ann@proseware.example")
    size = os.fstat(handle).st_size
    assert size < 99 * 40
    one.mail("mx.a.example", account="ben@proseware.example")
    assert os.fstat(handle).st_size > size
    for number in range(8):
        assert two.mail(f"mx.company{number}.example") == ""
    found = two.mail("mx.tenth.example")
    assert "2 accounts" in found
    assert "109 of 109 mail transactions" in found
    os.close(handle)
