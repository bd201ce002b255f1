"""From the spool to mailboxes and other servers, and back to the sender: all parts joined."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from posthouse.accounts.store import Resolution
from posthouse.delivery import dispatcher
from posthouse.delivery.attempts import Attempts, Ways
from posthouse.delivery.bounce import NOBODY_TO_TELL, Reporter, Site
from posthouse.delivery.content import Content
from posthouse.delivery.dispatcher import Dispatcher
from posthouse.delivery.lanes import Width
from posthouse.delivery.local import CaptureDelivery, LocalDelivery
from posthouse.delivery.next_hosts import HostFinder, Hosts, HostVia
from posthouse.delivery.opening import Manners, client_contexts
from posthouse.delivery.outcomes import Deferred, Delivered, Failed, Outcome
from posthouse.delivery.retry import Patience
from posthouse.delivery.routes import Capture, Route, Routes, SmartHost
from posthouse.delivery.transport import Transport
from posthouse.mail.address import NULL, Mailbox
from posthouse.mail.envelope import Envelope
from posthouse.spool.records import StorageError, Work
from posthouse.spool.spool import Spool
from posthouse.telemetry import events
from posthouse.telemetry.events import LogEvent
from tests.delivery.given import (
    BOB,
    CALM,
    CONTENT,
    Clock,
    envelope,
    host,
    no_spread,
    recipient,
)  # fmt: skip
from tests.delivery.sink import HANG, Sink

PEOPLE = {"ann@ours.example", "postmaster@ours.example"}


class Directory(HostFinder):
    """Which hosts each domain has, as the test wrote it down."""

    def __init__(self) -> None:
        self.hosts: dict[str, Hosts] = {}
        self.asked: list[str] = []

    def remembered(self, via: HostVia, domain: str) -> Hosts | None:
        return self.hosts.get(domain) if domain in self.asked else None

    async def find(self, via: HostVia, domain: str) -> Hosts:
        self.asked.append(domain)
        return self.hosts.get(domain, Failed("5.1.2", f"the domain {domain} does not exist"))


class House:
    """A whole way out."""

    def __init__(self, directory: Path, width: Width | None = None) -> None:
        self.directory = directory
        self.clock = Clock()
        self.log: list[LogEvent] = []
        self.logged = asyncio.Event()
        self.hosts = Directory()
        self.spool = Spool(directory / "spool", now=self.clock)
        routes = Routes(
            local_domains={"ours.example"}, entries={"captured.example": Route(Capture())}
        )
        self.transport = Transport(
            self.hosts,
            Manners("mx.ours.example", timeouts=structs.replace(CALM, greeting=0.3)),
            client_contexts(),
        )
        ways = Ways(
            local=LocalDelivery(self.resolve, lambda name: directory / name, self.note),
            capture=CaptureDelivery(directory / "captured", self.note),
            transport=self.transport,
        )
        postmaster = Mailbox("postmaster", "ours.example")
        patience = Patience()
        self.reporter = Reporter(
            Site("mx.ours.example", postmaster, postmaster), patience, self.spool.new_id
        )
        attempts = Attempts(
            self.spool, ways, self.reporter, patience,
            now=self.clock, uniform=no_spread, log=self.note,
        )  # fmt: skip
        self.dispatcher = Dispatcher(
            self.spool,
            routes,
            attempts,
            now=self.clock,
            log=self.note,
            width=width or Width(),
            hosts=self.hosts,
        )

    def resolve(self, mailbox: Mailbox) -> Resolution:
        if mailbox.local_part == "away":
            return Resolution((), (BOB,))
        return Resolution((str(mailbox),)) if str(mailbox) in PEOPLE else Resolution()

    def note(self, event: LogEvent) -> None:
        self.log.append(event)
        self.logged.set()

    def accept(self, this: Envelope, octets: bytes = CONTENT) -> str:
        """What a session does; returns after the flush."""
        flushed, errors = threading.Event(), list[StorageError | None]()

        def done(error: StorageError | None) -> None:
            errors.append(error)
            flushed.set()

        intake, message_id = self.spool.open_intake(), self.spool.new_id()
        intake.write(octets)
        intake.commit(this, id=message_id, done=done)
        assert flushed.wait(10)
        assert errors == [None]
        return message_id

    def mails(self, name: str) -> list[bytes]:
        new = self.directory / name / "new"
        return [it.read_bytes() for it in sorted(new.iterdir())] if new.is_dir() else []

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    def of(self, kind: type[LogEvent]) -> list[LogEvent]:
        return [event for event in self.log if isinstance(event, kind)]

    def tries(self) -> int:
        return len(self.of(events.Deferred)) + len(self.of(events.Failed))

    def is_empty(self) -> bool:
        return self.spool.summary().messages == 0

    async def close(self) -> None:
        await self.dispatcher.stop(timedelta(seconds=1))
        await self.transport.close()
        self.spool.close()
        assert not self.of(events.BugMet), self.of(events.BugMet)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    it = House(tmp_path)
    yield it
    await it.close()


def to(*addresses: str, **more: object) -> Envelope:
    return envelope(*map(recipient, addresses), **more)


async def test_mail_goes_to_mailboxes_other_servers_and_captured_mail(house: House) -> None:
    async with Sink() as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        house.dispatcher.start()
        house.accept(to("ann@ours.example", "bob@theirs.example", "x@captured.example"))
        await house.until(house.is_empty)
    assert len(house.mails("ann@ours.example")) == 1
    assert len(house.mails("captured")) == 1
    assert sink.mails[0].content == CONTENT
    hops = {event.next_hop for event in house.of(events.Delivered)}  # type: ignore[attr-defined]
    assert hops == {"mailbox", "localhost [127.0.0.1]"}


async def test_what_waited_before_the_start_is_delivered(house: House) -> None:
    house.accept(to("ann@ours.example"))
    house.dispatcher.start()
    await house.until(house.is_empty)
    assert len(house.mails("ann@ours.example")) == 1


async def test_a_refusal_comes_back_as_a_report_in_the_senders_mailbox(house: House) -> None:
    async with Sink({"RCPT": "550 5.1.1 no such user"}) as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        house.dispatcher.start()
        house.accept(to("bob@theirs.example"))
        await house.until(house.is_empty)
    (report,) = house.mails("ann@ours.example")
    assert report.startswith(b"Return-Path: <>\n")
    assert b"550 5.1.1 no such user" in report
    (bounced,) = house.of(events.Bounced)
    assert isinstance(bounced, events.Bounced)
    assert (bounced.kind, bounced.reverse_path) == ("failure", "ann@ours.example")


async def test_a_deferral_is_tried_again_when_it_is_due_and_not_before(house: House) -> None:
    async with Sink({"RCPT": "450 4.2.1 later"}) as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        house.dispatcher.start()
        message_id = house.accept(to("bob@theirs.example"))
        await house.until(lambda: bool(house.of(events.Deferred)))
        house.spool.flush()
        house.clock.forward(minutes=14)
        house.dispatcher.wake()
        await asyncio.sleep(0.1)
        assert len(house.of(events.Deferred)) == 1
        message = house.spool.message(message_id)
        assert message is not None
        assert message.recipients[0].last_reply == "450 4.2.1 later"
        sink.script = {}
        house.clock.forward(minutes=1)
        house.dispatcher.wake()
        await house.until(house.is_empty)
    assert len(sink.mails) == 1


async def test_mail_leaves_at_its_release_also_if_somebody_hurries_it(house: House) -> None:
    house.dispatcher.start()
    release = house.clock() + timedelta(hours=1)
    message_id = house.accept(to("ann@ours.example", release=release))
    house.spool.retry(message_id)
    house.dispatcher.wake()
    await house.until(lambda: bool(house.of(events.Deferred)))
    house.spool.flush()
    message = house.spool.message(message_id)
    assert message is not None
    assert message.recipients[0].due == release
    assert house.mails("ann@ours.example") == []
    house.clock.forward(hours=1)
    house.dispatcher.wake()
    await house.until(house.is_empty)
    assert len(house.mails("ann@ours.example")) == 1


async def test_mail_that_is_late_before_it_was_tried_goes_back(house: House) -> None:
    house.hosts.hosts["theirs.example"] = (host(1),)  # nobody goes there
    deadline = house.clock() + timedelta(minutes=5)
    house.accept(to("bob@theirs.example", deliver_by=deadline, returned_when_late=True))
    house.clock.forward(minutes=5)
    house.dispatcher.start()
    await house.until(house.is_empty)
    (report,) = house.mails("ann@ours.example")
    assert b"5.4.7" in report


async def test_a_sender_is_warned_once_and_gets_the_message_back_after_five_days(
    house: House,
) -> None:
    async with Sink({"RCPT": "450 4.2.1 later"}) as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        house.dispatcher.start()
        house.accept(to("bob@theirs.example", recognised=True))
        await house.until(lambda: house.tries() == 1)
        for _ in range(30):
            house.spool.flush()
            if house.is_empty():
                break
            before = house.tries()
            house.clock.forward(hours=8)
            house.dispatcher.wake()
            await house.until(lambda n=before: house.tries() > n or house.is_empty())  # type: ignore[misc]
    kinds = [event.kind for event in house.of(events.Bounced)]  # type: ignore[attr-defined]
    assert kinds == ["delay", "failure"]
    warning, failure = house.mails("ann@ours.example")
    assert b"Subject: Delayed" in warning
    assert b"Subject: Not delivered" in failure
    assert b".dot" in failure


async def test_a_forward_goes_on_with_the_same_reverse_path(house: House) -> None:
    async with Sink() as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        house.dispatcher.start()
        house.accept(to("away@ours.example"))
        await house.until(house.is_empty)
    (mail,) = sink.mails
    assert mail.sender.startswith("MAIL FROM:<ann@ours.example>")
    assert mail.content == b"Delivered-To: away@ours.example\r\n" + CONTENT


async def test_a_report_that_cannot_be_delivered_reaches_the_postmaster(house: House) -> None:
    house.dispatcher.start()
    stranger = structs.replace(to("nobody@ours.example"), reverse_path=NULL)
    house.accept(stranger)
    await house.until(house.is_empty)
    assert len(house.mails("postmaster@ours.example")) == 1


async def test_a_report_nobody_can_get_is_held_and_can_be_released(house: House) -> None:
    house.dispatcher.start()
    house.hosts.hosts["theirs.example"] = Failed("5.1.2", "the domain does not exist")
    PEOPLE.discard("postmaster@ours.example")
    try:
        message_id = house.accept(to("postmaster@ours.example", reverse_path=NULL, client=""))
        await house.until(lambda: house.spool.summary().held == 1)
        message = house.spool.message(message_id)
        assert message is not None
        assert message.hold == NOBODY_TO_TELL
    finally:
        PEOPLE.add("postmaster@ours.example")
    house.spool.release(message_id)
    await house.until(house.is_empty)
    assert len(house.mails("postmaster@ours.example")) == 1


async def test_an_administrator_can_return_a_message(house: House) -> None:
    message_id = house.accept(to("bob@theirs.example"))
    house.spool.hold(message_id, "looks odd")
    house.spool.bounce(message_id, "We do not send this.")
    house.dispatcher.start()
    await house.until(house.is_empty)
    (report,) = house.mails("ann@ours.example")
    assert b"We do not send this." in report


async def test_a_dead_destination_does_not_delay_the_others(house: House) -> None:
    """Hundreds wait for a host that hangs; mail for the living goes through at once."""
    async with Sink({"": HANG}) as dead, Sink() as alive:
        house.hosts.hosts["dead.example"] = (host(dead.port),)
        house.hosts.hosts["theirs.example"] = (host(alive.port),)
        for _ in range(300):
            house.accept(to("x@dead.example"))
        house.dispatcher.start()
        for _ in range(20):
            house.accept(to("bob@theirs.example"))
        await house.until(lambda: len(alive.mails) == 20, seconds=5)
        await house.until(lambda: len(house.of(events.Deferred)) >= 4)
        soon = house.clock() + timedelta(seconds=30)

        def all_are_put_off() -> bool:
            (dead_one,) = house.spool.summary().destinations
            return dead_one.next_due is not None and dead_one.next_due > soon

        await house.until(all_are_put_off)
    assert dead.sessions <= 4
    assert len(house.of(events.Deferred)) < 100
    words = {event.reply.partition(":")[0] for event in house.of(events.Deferred)}  # type: ignore[attr-defined]
    assert "not tried now, because a moment ago" in words


async def test_a_burst_to_one_destination_widens_and_shares_sessions(house: House) -> None:
    async with Sink() as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        for number in range(200):
            house.accept(to(f"u{number}@theirs.example"))
        house.dispatcher.start()
        await house.until(house.is_empty, seconds=20)
    assert len(sink.mails) == 200
    assert sink.sessions <= 20


async def test_stopping_gives_back_what_was_not_done(house: House) -> None:
    async with Sink({"MAIL": HANG}) as sink:  # the attempts are broken off
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        for _ in range(5):
            house.accept(to("bob@theirs.example"))
        house.dispatcher.start()
        await house.until(lambda: sink.sessions >= 1)
        await house.dispatcher.stop(timedelta(seconds=0))
    taken = house.spool.take_due(house.clock(), 100)
    waiting = house.spool.summary().destinations[0].waiting
    assert len(taken) >= waiting - 2 > 0
    assert {work.destination for work in taken} == {"theirs.example"}


async def test_stopping_lets_an_attempt_end_within_the_grace(house: House) -> None:
    async with Sink() as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        house.dispatcher.start()
        house.accept(to("bob@theirs.example"))
        await house.until(lambda: bool(sink.commands))
        await house.dispatcher.stop(timedelta(seconds=5))
        house.spool.flush()
        assert house.is_empty()


async def test_an_error_of_ours_defers_one_message_and_stops_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    real = house.transport.deliver

    async def stumble(route: Route, work: Work, content: Content) -> dict[int, Outcome]:
        if "bad" in str(work.envelope.recipients[0].mailbox):
            raise ZeroDivisionError("a bug")
        return dict.fromkeys(work.indices, Delivered("ok"))

    house.transport.deliver = stumble  # type: ignore[method-assign]
    house.hosts.hosts["theirs.example"] = (host(1),)
    house.dispatcher.start()
    house.accept(to("bad@theirs.example"))
    house.accept(to("bob@theirs.example"))
    await house.until(lambda: bool(house.of(events.Delivered)) and bool(house.of(events.Deferred)))
    house.transport.deliver = real  # type: ignore[method-assign]
    (bug,) = house.of(events.BugMet)
    house.log.remove(bug)
    await house.close()


async def test_other_routes_count_from_the_next_attempt_on(house: House) -> None:
    house.dispatcher.use_routes(
        Routes(local_domains={"ours.example"}, entries={"*": Route(Capture())})
    )
    house.dispatcher.start()
    house.accept(to("bob@theirs.example"))
    await house.until(house.is_empty)
    assert len(house.mails("captured")) == 1


async def test_a_content_that_cannot_be_read_defers_and_is_told(house: House) -> None:
    def unreadable(message_id: str) -> Iterator[bytes]:
        raise StorageError("missing", "its file is gone")

    house.spool.content = unreadable  # type: ignore[method-assign]
    house.accept(to("ann@ours.example"))
    house.dispatcher.start()
    await house.until(lambda: bool(house.of(events.Deferred)))
    (event,) = house.of(events.StoreFailed)
    assert isinstance(event, events.StoreFailed)
    assert event.store == "spool"


async def test_a_large_message_is_relayed_reported_and_never_wholly_returned(house: House) -> None:
    large = CONTENT + b"0123456789abcdef\r\n" * 80_000
    async with Sink({"RCPT TO:<bad": "550 5.7.1 no"}) as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        house.dispatcher.start()
        house.accept(to("bob@theirs.example", "bad@theirs.example", recognised=True), large)
        await house.until(house.is_empty)
    assert sink.mails[0].content == large
    (report,) = house.mails("ann@ours.example")
    assert len(report) < 10_000


async def test_mail_for_many_domains_behind_one_smart_host_shares_one_lane(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with Sink() as sink:
        there = (host(sink.port),)
        house.dispatcher.use_routes(
            Routes(local_domains=(), entries={"*": Route(SmartHost("localhost", sink.port))})
        )
        for number in range(150):
            house.hosts.hosts[f"d{number}.example"] = there
            house.accept(to(f"x@d{number}.example"))
        house.dispatcher.start()
        await house.until(house.is_empty)
        assert len(sink.mails) == 150
        assert sink.sessions <= 20
    await house.close()


async def test_waking_after_the_end_is_harmless(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.dispatcher.start()
    await house.close()
    house.dispatcher.wake_from_thread()
    house.dispatcher.wake()


async def test_few_sessions_are_shared_by_all_next_hops(tmp_path: Path) -> None:
    house = House(tmp_path, Width(sessions=1, each_hop=1, at_home=1))
    async with Sink() as sink:
        for name in ("a.example", "b.example", "c.example"):
            house.hosts.hosts[name] = (host(sink.port, f"mx.{name}"),)
            for number in range(10):
                house.accept(to(f"u{number}@{name}"))
        house.dispatcher.start()
        await house.until(house.is_empty)
    order = [mail.recipients[0].partition("@")[2][0] for mail in sink.mails]
    assert len(order) == 30
    assert set(order[:15]) == {"a", "b", "c"}
    await house.close()


@pytest.mark.parametrize("error", [StorageError("unreadable", "no"), ZeroDivisionError("a bug")])
async def test_trouble_while_looking_into_the_spool_passes(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "PAUSE_AFTER_TROUBLE_SECONDS", 0.01)
    house = House(tmp_path)
    real, failures = house.spool.take_due, [error]

    def stumble(*about: Any, **more: Any) -> list[Work]:
        if failures:
            raise failures.pop()
        return real(*about, **more)

    monkeypatch.setattr(house.spool, "take_due", stumble)
    house.accept(to("ann@ours.example"))
    house.dispatcher.start()
    await house.until(house.is_empty)
    kind = events.StoreFailed if isinstance(error, StorageError) else events.BugMet
    (told,) = house.of(kind)
    house.log.remove(told)
    await house.close()


async def test_a_work_that_cannot_be_settled_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "PAUSE_AFTER_TROUBLE_SECONDS", 0.01)
    house = House(tmp_path)
    house.hosts.hosts["theirs.example"] = (host(1),)
    lane = house.dispatcher._lanes.lane("localhost:1")
    lane.note([Deferred("4.4.1", "no connection", unreachable=True)], house.clock())
    real, failures = house.spool.settle, [ZeroDivisionError("a bug")]

    def stumble(*about: Any, **more: Any) -> None:
        if failures:
            raise failures.pop()
        real(*about, **more)

    monkeypatch.setattr(house.spool, "settle", stumble)
    house.accept(to("bob@theirs.example"))
    house.accept(to("ann@ours.example"))
    house.dispatcher.start()
    await house.until(lambda: bool(house.of(events.Delivered)) and bool(house.of(events.BugMet)))
    (bug,) = house.of(events.BugMet)
    house.log.remove(bug)
    await house.close()


async def test_what_was_taken_already_stays_when_nothing_can_be_recorded(house: House) -> None:
    async with Sink() as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        for number in range(200):
            house.accept(to(f"u{number}@theirs.example"))
        house.dispatcher.start()
        await house.until(lambda: len(sink.mails) >= 5)
        house.spool.fail(StorageError("broken", "a flush failed"))
        under_way = len(sink.mails) + 20
        await house.until(lambda: not house.dispatcher._workers)
        assert len(sink.mails) <= under_way
    house.log[:] = [it for it in house.log if not isinstance(it, events.StoreFailed)]


async def test_nothing_goes_to_a_paused_destination_also_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with Sink() as sink:
        for name in ("theirs.example", "others.example"):
            house.hosts.hosts[name] = (host(sink.port),)
        house.spool.pause("theirs.example", "they asked")
        house.accept(to("bob@theirs.example"))
        house.accept(to("eve@others.example"))
        house.dispatcher.start()
        await house.until(lambda: bool(sink.mails))
        await house.close()
        house = House(tmp_path)
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        house.dispatcher.start()
        house.accept(to("ann@ours.example"))
        await house.until(lambda: bool(house.of(events.Delivered)))
        assert [mail.recipients for mail in sink.mails] == [["RCPT TO:<eve@others.example>"]]
        house.spool.resume("theirs.example")
        await house.until(house.is_empty)
        assert len(sink.mails) == 2
        await house.close()


async def test_a_message_that_was_moved_goes_by_the_other_way(house: House) -> None:
    async with Sink() as sink:
        house.hosts.hosts[""] = (host(sink.port, "relay.example"),)
        house.hosts.hosts["theirs.example"] = Deferred("4.4.1", "nobody answers")
        house.dispatcher.start()
        moved = house.accept(to("bob@theirs.example"))
        await house.until(lambda: house.tries() == 1)
        house.spool.move(moved, f"smtp://relay.example:{sink.port}")
        house.hosts.hosts["theirs.example"] = (host(sink.port, "relay.example"),)
        await house.until(house.is_empty)
    assert len(sink.mails) == 1
    assert "moved to smtp://relay.example" in "".join(it.text for it in house.spool.journey(moved))


async def test_domains_behind_the_same_exchangers_share_one_lane(tmp_path: Path) -> None:
    house = House(tmp_path, Width(each_hop=2))
    async with Sink() as sink:
        for number in range(40):
            house.hosts.hosts[f"d{number}.example"] = (host(sink.port, "mx.provider.example"),)
            house.accept(to(f"x@d{number}.example"))
        house.dispatcher.start()
        await house.until(house.is_empty)
    assert len(sink.mails) == 40
    assert sink.sessions <= 2, "they also share sessions"
    await house.close()


async def test_a_busy_next_hop_gets_less_at_a_time(house: House) -> None:
    async with Sink(script={"MAIL": "421 4.3.2 too much of you"}) as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        lane = house.dispatcher._lanes.lane(f"localhost:{sink.port}")
        lane.allowed = 8
        house.dispatcher.start()
        house.accept(to("bob@theirs.example"))
        await house.until(lambda: house.tries() == 1)
    assert lane.allowed == 4
    assert lane.closed(house.clock()) is None


async def test_a_name_server_that_is_silent_keeps_no_session_from_others(house: House) -> None:
    asked = asyncio.Event()
    real = house.hosts.find

    async def find(via: HostVia, domain: str) -> Hosts:
        if domain.startswith("dead"):
            await asked.wait()
            return Deferred("4.4.3", "DNS gave no answer", unreachable=True)
        return await real(via, domain)

    house.hosts.find = find  # type: ignore[method-assign]
    async with Sink() as sink:
        house.hosts.hosts["theirs.example"] = (host(sink.port),)
        for number in range(150):
            house.accept(to(f"x@dead{number}.example"))
        house.accept(to("bob@theirs.example"))
        house.dispatcher.start()
        await house.until(lambda: len(sink.mails) == 1)
        asked.set()
        await house.until(lambda: house.tries() == 150)
