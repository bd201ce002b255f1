"""Whatever is done in whatever order, the spool and a simple model of it agree."""

import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct

from posthouse.spool.records import Again, Filters, Settled
from posthouse.spool.spool import Spool
from tests.spool.ground import HOUR, Clock, accept, envelope, new_spool

DOMAINS = ("a.example", "b.example", "c.example")
ENDINGS = st.sampled_from(["delivered", "failed", "dropped"])


class Waiting(Struct):
    """A recipient of the model that is not settled yet."""

    domain: str
    due: int  # hours since noon
    attempts: int = 0
    leased: bool = False


class Entry(Struct):
    """A message of the model."""

    content: bytes
    recipients: dict[int, Waiting]
    held: bool = False

    def leased_domains(self) -> set[str]:
        return {it.domain for it in self.recipients.values() if it.leased}


class SpoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.hour = 0
        self.model: dict[str, Entry] = {}
        self.spool = self.new_spool()

    def new_spool(self) -> Spool:
        return new_spool(self.directory, now=self.clock, reserve_octets=0)

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.directory)

    def pick(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.model)))

    @rule(
        domains=st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=4),
        size=st.sampled_from([0, 7, 7, 7, 300_000]),
        held=st.booleans(),
    )
    def accept(self, domains: list[str], size: int, held: bool) -> None:
        addresses = [f"u{i}@{domain}" for i, domain in enumerate(domains)]
        it = envelope(*addresses, at=self.clock.at)
        content = bytes([len(self.model)]) * size
        message_id = accept(self.spool, it, content, hold="spam" if held else "")
        waiting = {i: Waiting(domain, self.hour) for i, domain in enumerate(domains)}
        self.model[message_id] = Entry(content, waiting, held)

    @rule(limit=st.integers(1, 5), exclude=st.sets(st.sampled_from(DOMAINS), max_size=2))
    def take(self, limit: int, exclude: set[str]) -> None:
        works = self.spool.take_due(self.clock.at, limit, exclude)
        for work in works:
            assert work.destination not in exclude
            entry = self.model[work.id]
            assert not entry.held
            for recipient in work.recipients:
                known = entry.recipients[recipient.index]
                assert not known.leased
                assert known.due <= self.hour
                assert known.attempts == recipient.attempts
                known.leased = True
        if len(works) < limit:
            assert not self.takeable(exclude), "what is due is given as long as there is room"

    def takeable(self, exclude: set[str]) -> list[Waiting]:
        return [
            it
            for entry in self.model.values()
            if not entry.held
            for it in entry.recipients.values()
            if it.due <= self.hour and it.domain not in exclude | entry.leased_domains()
        ]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), ending=ENDINGS, again=st.integers(0, 3))
    def settle(self, data: st.DataObject, ending: str, again: int) -> None:
        message_id = self.pick(data)
        entry = self.model[message_id]
        places = data.draw(st.sets(st.integers(0, 4), min_size=1))
        if again:
            due = self.clock.at + again * HOUR
            self.spool.settle(message_id, dict.fromkeys(places, Again(due, "451")))
        else:
            settled = Settled(ending)  # type: ignore[arg-type]
            self.spool.settle(message_id, dict.fromkeys(places, settled))
        self.spool.flush()
        for place in places & entry.recipients.keys():
            if again:
                known = entry.recipients[place]
                known.due, known.leased = self.hour + again, False
                known.attempts += 1
            else:
                del entry.recipients[place]
        if not entry.recipients:
            del self.model[message_id]

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        message_id = self.pick(data)
        assert self.spool.hold(message_id, "spam")
        self.model[message_id].held = True

    @precondition(lambda self: self.model)
    @rule(data=st.data(), bounce=st.booleans())
    def release(self, data: st.DataObject, bounce: bool) -> None:
        message_id = self.pick(data)
        if bounce:
            assert self.spool.bounce(message_id, "no")
        else:
            assert self.spool.release(message_id)
        entry = self.model[message_id]
        if entry.held or bounce:
            for it in entry.recipients.values():
                it.due = self.hour
        entry.held = False

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        message_id = self.pick(data)
        assert self.spool.retry(message_id) is not self.model[message_id].held
        if not self.model[message_id].held:
            for it in self.model[message_id].recipients.values():
                it.due = self.hour

    @rule(domain=st.sampled_from(("", *DOMAINS)))
    def retry_all(self, domain: str) -> None:
        chosen = [
            it
            for entry in self.model.values()
            if not entry.held
            for it in entry.recipients.values()
            if domain in {"", it.domain}
        ]
        assert self.spool.retry_all(domain) == len(chosen)
        for it in chosen:
            it.due = self.hour

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        message_id = self.pick(data)
        assert self.spool.drop(message_id, "no")
        del self.model[message_id]

    @rule(hours=st.integers(1, 3))
    def wait(self, hours: int) -> None:
        self.clock.advance(hours * HOUR)
        self.hour += hours

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = self.new_spool()
        for entry in self.model.values():
            for it in entry.recipients.values():
                it.leased = False

    @invariant()
    def the_same_messages_are_there(self) -> None:
        messages = self.spool.list_messages(limit=1000)
        assert [it.id for it in messages] == sorted(self.model)
        for it in messages:
            entry = self.model[it.id]
            waiting = {r.index for r in it.recipients if r.state == "waiting"}
            assert waiting == entry.recipients.keys()
            assert bool(it.hold) is entry.held
            assert self.spool.content_octets(it.id) == entry.content

    @invariant()
    def the_counters_agree(self) -> None:
        summary = self.spool.summary()
        assert summary.messages == len(self.model)
        assert summary.held == sum(entry.held for entry in self.model.values())
        assert summary.octets == sum(len(entry.content) for entry in self.model.values())
        counted = {it.destination: (it.waiting, it.held) for it in summary.destinations}
        for domain in DOMAINS:
            at = [
                entry.held
                for entry in self.model.values()
                for it in entry.recipients.values()
                if it.domain == domain
            ]
            assert counted.get(domain, (0, 0)) == (at.count(False), at.count(True))

    @invariant()
    def the_next_due_time_is_known(self) -> None:
        later = [
            it.due
            for entry in self.model.values()
            if not entry.held
            for it in entry.recipients.values()
        ]
        for it in self.spool.summary().destinations:
            dues = [
                r.due
                for message in self.spool.list_messages(Filters(destination=it.destination))
                for r in message.recipients
                if r.destination == it.destination and r.due is not None
            ]
            assert it.next_due == min(dues, default=None)
        assert (not later) == all(it.next_due is None for it in self.spool.summary().destinations)

    @invariant()
    def side_files_are_those_that_are_needed(self) -> None:
        large = sum(len(entry.content) > 256 * 1024 for entry in self.model.values())
        assert len(list((self.directory / "large").iterdir())) == large


class SeldomSeenMachine(SpoolMachine):
    """The same, looked at now and then only: looking brings to the shelf what is in the journal."""

    @rule()
    def look(self) -> None:
        SpoolMachine.the_same_messages_are_there(self)
        SpoolMachine.the_counters_agree(self)
        SpoolMachine.the_next_due_time_is_known(self)
        SpoolMachine.side_files_are_those_that_are_needed(self)

    def the_same_messages_are_there(self) -> None:
        pass

    def the_counters_agree(self) -> None:
        pass

    def the_next_due_time_is_known(self) -> None:
        pass

    def side_files_are_those_that_are_needed(self) -> None:
        pass


@pytest.mark.parametrize("machine", [SpoolMachine, SeldomSeenMachine])
def test_the_spool_and_a_model_of_it_agree(machine: type[SpoolMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
