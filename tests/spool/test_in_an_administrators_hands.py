"""Looking at the spool and changing what waits."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from posthouse.spool import bulk, directions, reading
from posthouse.spool.identifiers import number_of
from posthouse.spool.records import Again, Filters, Postponed, Settled
from posthouse.spool.spool import Spool
from tests.spool.ground import HOUR, NOON, Clock, accept, envelope, take


def ids(spool: Spool, **filters: object) -> list[str]:
    return [it.id for it in spool.list_messages(Filters(**filters))]  # type: ignore[arg-type]


def test_held_mail_waits_for_a_person(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net"), hold="looks like spam")
    assert take(spool) == {}
    message = spool.message(it)
    assert message is not None
    assert (message.hold, message.hold_case, message.held) == ("looks like spam", "C4SE", NOON)
    assert spool.retry(it) is False
    assert spool.retry_all() == 0
    (summary,) = spool.summary().destinations
    assert (summary.waiting, summary.held, summary.next_due) == (0, 1, None)
    assert spool.release(it) is True
    (work,) = take(spool)["example.net"]
    assert work.id == it
    assert spool.summary().held == 0


def test_a_waiting_message_can_be_held_and_an_attempt_under_way_still_counts(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net", "b@example.org"))
    assert len(spool.take_due(NOON, 10)) == 2
    assert spool.hold(it, "on request")
    assert spool.hold(it, "twice") is True
    spool.settle(it, {0: Settled("delivered"), 1: Again(NOON, "451")})
    spool.flush()
    message = spool.message(it)
    assert message is not None
    assert message.hold == "on request"
    assert [recipient.state for recipient in message.recipients] == ["delivered", "waiting"]
    assert take(spool) == {}
    assert spool.release(it)
    assert set(take(spool)) == {"example.org"}


def test_a_message_can_be_returned_to_its_sender(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net"), hold="looks like spam")
    assert spool.bounce(it, "the administrator did not let it through")
    (work,) = take(spool)["example.net"]
    assert work.bounce == "the administrator did not let it through"
    spool.settle(it, {0: Settled("bounced", work.bounce)})
    spool.flush()
    assert spool.message(it) is None


def test_a_message_can_be_dropped(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net", "b@example.org"), hold="looks like spam")
    assert spool.drop(it, "asked for by Ms Sato")
    assert spool.message(it) is None
    assert spool.drop(it, "again") is False
    assert "Ms Sato" in spool.journey(it)[-1].text
    assert spool.summary().messages == spool.summary().held == 0
    assert spool.summary().destinations == ()


def test_retry_makes_due_now(spool: Spool) -> None:
    one = accept(spool, envelope("a@example.net"))
    two = accept(spool, envelope("a@example.org"))
    for it in (one, two):
        spool.settle(it, {0: Again(NOON + HOUR, "451")})
    spool.flush()
    assert take(spool) == {}
    assert spool.retry(one)
    assert set(take(spool)) == {"example.net"}
    assert spool.retry_all("example.org") == 1
    assert set(take(spool)) == {"example.org"}


@pytest.mark.parametrize("unknown", ["", "nonsense", "00000000000", "' OR 1=1 --"])
def test_an_unknown_id_is_no_message(spool: Spool, unknown: str) -> None:
    assert spool.message(unknown) is None
    assert not spool.hold(unknown, "x")
    assert not spool.release(unknown)
    assert not spool.bounce(unknown, "x")
    assert not spool.retry(unknown)
    assert not spool.drop(unknown, "x")
    assert spool.journey(unknown) == ()


def test_an_id_is_found_in_any_case(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net"))
    assert spool.message(it.lower()) is not None


def test_messages_are_listed_by_what_one_asks_for(spool: Spool, clock: Clock) -> None:
    old = accept(spool, envelope("a@example.net", at=NOON - HOUR))
    shop = accept(spool, envelope("b@example.org", sender="<Shop@example.com>", account="shop"))
    null = accept(spool, envelope("c@example.org", sender="<>"), hold="virus found")
    spool.settle(old, {0: Again(NOON + HOUR, "452 mailbox FULL")})
    spool.flush()
    assert ids(spool) == [old, shop, null]
    assert ids(spool, destination="example.org") == [shop, null]
    assert ids(spool, sender="shop@EXAMPLE") == [shop]
    assert ids(spool, recipient="A@example") == [old]
    assert ids(spool, account="shop") == [shop]
    assert ids(spool, accepted_before=NOON) == [old]
    assert ids(spool, held=True) == [null]
    assert ids(spool, held=False, destination="example.org") == [shop]
    assert ids(spool, reason="full") == [old]
    assert ids(spool, reason="Virus") == [null]


def test_a_long_list_is_paged(spool: Spool) -> None:
    all_ids = [accept(spool, envelope("a@example.net")) for _ in range(7)]
    pages, after = [], ""
    while page := spool.list_messages(after=after, limit=3):
        pages.append([it.id for it in page])
        after = page[-1].id
    assert pages == [all_ids[:3], all_ids[3:6], all_ids[6:]]


def test_the_summary_names_oldest_next_and_last_words(spool: Spool) -> None:
    one = accept(spool, envelope("a@example.net", "b@example.net", at=NOON - HOUR))
    accept(spool, envelope("c@example.org"))
    spool.settle(one, {0: Again(NOON + HOUR, "451 busy"), 1: Again(NOON + 2 * HOUR, "451 busy")})
    spool.flush()
    summary = spool.summary()
    assert (summary.messages, summary.held, summary.octets) == (2, 0, 14)
    first, second = summary.destinations
    assert (first.destination, first.waiting, first.oldest) == ("example.net", 2, NOON - HOUR)
    assert (first.next_due, first.last_reply) == (NOON + HOUR, "451 busy")
    assert second.destination == "example.org"
    assert len(spool.summary(limit=1).destinations) == 1


def test_the_journey_is_told_after_delivery_and_forgotten_by_age(
    spool: Spool, clock: Clock
) -> None:
    gone = accept(spool, envelope("a@example.net"))
    stays = accept(spool, envelope("b@example.org"), hold="spam")
    spool.settle(gone, {0: Settled("delivered", "250 ok", "mx.example.net")})
    spool.flush()
    assert [event.text for event in spool.journey(gone)] == [
        "accepted, 7 octets, from <ann@example.com> for <a@example.net>",
        "<a@example.net>: delivered (mx.example.net: 250 ok)",
    ]
    clock.advance(timedelta(days=31))
    spool.prune(timedelta(days=30))
    assert spool.journey(gone) == ()
    assert "held: spam" in spool.journey(stays)[0].text, "what still waits keeps its journey"


def test_a_message_can_be_moved_to_another_way(spool: Spool) -> None:
    one, two = accept(spool, envelope("a@example.net")), accept(spool, envelope("b@example.net"))
    (first, second) = take(spool)["example.net"]
    assert first.via == ""
    for work in (first, second):
        spool.settle(work.id, {0: Again(NOON + 5 * HOUR, "451 not now")})
    spool.flush()
    assert take(spool) == {}
    assert spool.move(one, "smtp://other.example:25") is True
    (work,) = take(spool)["example.net"]
    assert (work.id, work.via) == (one, "smtp://other.example:25")
    assert spool.change_all(Filters(destination="example.net"), bulk.moving("mx")) == 2
    message = spool.message(two)
    assert message is not None
    assert message.via == "mx"
    assert spool.journey(two)[-1].text == "moved to mx"
    assert spool.move("0R41CND4MFK", "mx") is False


def test_a_paused_destination_stays_so_until_it_is_resumed(spool: Spool, clock: Clock) -> None:
    spool.pause("example.net", "they asked (root)")
    spool.pause("example.net", "they asked again (root)")
    (paused,) = spool.paused()
    assert (paused.destination, paused.since) == ("example.net", NOON)
    assert spool.summary().paused == (paused,)
    assert "again" in paused.why
    assert spool.resume("example.net") is True
    assert spool.resume("example.net") is False
    assert spool.paused() == ()


def test_messages_are_found_by_what_their_journey_mentions(spool: Spool) -> None:
    one = accept(spool, envelope("a@example.net"))
    two = accept(spool, envelope("A@Example.net", "b@example.org"))
    assert spool.mentioning("<a@example.net>") == (two, one)
    assert spool.mentioning("b@example.org") == (two,)
    assert spool.mentioning("nobody@") == ()


def test_what_waits_for_a_dead_destination_is_put_off_at_once(spool: Spool, clock: Clock) -> None:
    young, told, old, expiring, moved = (accept(spool, envelope("a@example.net")) for _ in range(5))
    bounced, elsewhere = (
        accept(spool, envelope("b@example.net")),
        accept(spool, envelope("c@example.org")),
    )
    take(spool)
    for it in (young, old, moved, bounced):
        spool.settle(it, {0: Again(NOON, "451")})
    for it in (told, expiring):
        spool.settle(it, {0: Again(NOON, "451", delay_told=True)})
    spool.settle(elsewhere, {0: Again(NOON, "451")})
    spool.move(moved, "mx")
    spool.bounce(bounced, "no")
    until = NOON + HOUR
    assert spool.postpone(Postponed("example.net", until, 4 * HOUR, 120 * HOUR)) == 4
    assert {work.id for work in spool.take_due(NOON, 20)} == {moved, bounced, elsewhere}
    later = Postponed("example.net", NOON + 5 * HOUR, 4 * HOUR, 120 * HOUR)
    clock.at = until
    assert spool.postpone(later) == 2, "those who were told already"
    assert {work.id for work in spool.take_due(until, 20)} == {young, old}


def test_what_has_a_deadline_of_its_own_stays_due_before_it(spool: Spool, clock: Clock) -> None:
    mine, plain = (
        replace(envelope("a@example.net"), deliver_by=NOON + HOUR),
        envelope("b@example.net"),
    )
    hasty, patient = accept(spool, mine), accept(spool, plain)
    later = replace(mine, deliver_by=NOON + 3 * HOUR)
    relaxed = accept(spool, later)
    take(spool)
    for it in (hasty, patient, relaxed):
        spool.settle(it, {0: Again(NOON, "451")})
    put_off = Postponed("example.net", NOON + 2 * HOUR, 4 * HOUR, 120 * HOUR)
    assert spool.postpone(put_off) == 2
    assert [work.id for work in spool.take_due(NOON, 20)] == [hasty]


def test_many_messages_are_changed_at_once_by_what_they_have_in_common(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SLICE", 3)
    many = [accept(spool, envelope("a@example.net", "b@example.net")) for _ in range(7)]
    other = accept(spool, envelope("a@example.org", sender="<eve@example.com>"))
    here = Filters(destination="example.net")
    assert spool.change_all(here, bulk.holding("ticket 7")) == 7
    assert ids(spool, held=True) == many
    assert spool.change_all(Filters(held=True, reason="ticket"), bulk.releasing) == 7
    assert ids(spool, held=True) == []
    assert spool.change_all(Filters(sender="eve@"), bulk.bouncing("no")) == 1
    (work,) = take(spool)["example.org"]
    assert (work.id, work.bounce) == (other, "no")
    assert spool.change_all(here, bulk.dropping("rubbish")) == 7
    assert ids(spool) == [other]
    assert "rubbish" in spool.journey(many[0])[-1].text
    assert spool.change_all(here, bulk.retrying) == 0


def test_all_that_waits_is_hurried_in_slices(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "RETRIED_AT_ONCE", 2)
    for place in ("net", "org", "net", "net", "net", "org"):
        accept(spool, envelope(f"a@example.{place}"))
    for works in take(spool, limit=100).values():
        for work in works:
            spool.settle(work.id, {0: Again(NOON + HOUR, "451")})
    spool.flush()
    assert take(spool) == {}
    assert spool.retry_all("example.net") == 4
    assert {name: len(works) for name, works in take(spool, limit=100).items()} == {
        "example.net": 4
    }
    assert spool.retry_all() == 6
    assert set(take(spool, limit=100)) == {"example.org"}


def test_what_matches_is_counted_by_destination(spool: Spool) -> None:
    one = accept(spool, envelope("a@example.net", "b@example.org", at=NOON - HOUR))
    two = accept(spool, envelope("c@example.net", account="ann@example.com"))
    accept(spool, envelope("d@example.net", sender="<eve@example.com>"), hold="spam")
    spool.settle(one, {0: Again(NOON + HOUR, "451 busy"), 1: Again(NOON + HOUR, "450 later")})
    spool.settle(two, {0: Again(NOON + 2 * HOUR, "421 too many")})
    spool.flush()
    whole = spool.summary(Filters(recipient="@"))
    assert (whole.messages, whole.held, whole.octets) == (3, 1, 21)
    assert [(it.destination, it.waiting, it.held) for it in whole.destinations] == [
        ("example.net", 2, 1),
        ("example.org", 1, 0),
    ]
    here = spool.summary(Filters(destination="example.org"))
    assert (here.messages, [it.destination for it in here.destinations]) == (1, ["example.org"])
    (busy,) = spool.summary(Filters(destination="example.net", reason="BUSY")).destinations
    assert (busy.waiting, busy.oldest, busy.last_reply) == (1, NOON - HOUR, "451 busy")
    assert spool.summary(Filters(account="Ann@example.com")).messages == 1
    assert spool.summary(Filters(sender="eve@", held=True)).held == 1
    assert spool.summary(Filters(accepted_before=NOON - 2 * HOUR)).destinations == ()


def test_what_is_returned_by_hand_does_not_wait_for_a_paused_destination(spool: Spool) -> None:
    returned, stays, elsewhere = (
        accept(spool, envelope("a@example.net", "b@example.org")),
        accept(spool, envelope("c@example.net")),
        accept(spool, envelope("d@full.example")),
    )
    spool.pause("example.net", "they move house")
    spool.bounce(returned, "nobody is there")
    spool.bounce(elsewhere, "nobody is there")
    shut = {"example.net", "full.example"}
    works = spool.take_due(NOON, 10, shut)
    assert [(it.id, it.destination) for it in works] == [
        (returned, "example.net"),
        (returned, "example.org"),
    ], "what is full is not offered"
    assert spool.take_due(NOON, 10, shut) == []
    spool.give_back(works[0])
    assert spool.take_due(NOON, 10, shut) == [], "its lane is full: not at once again"
    spool.settle(returned, {1: Settled("bounced")})
    assert spool.message(stays) is not None


def test_a_return_is_offered_again_when_another_was_settled(spool: Spool) -> None:
    one, two = accept(spool, envelope("a@example.net")), accept(spool, envelope("b@example.net"))
    spool.pause("example.net", "")
    spool.bounce(one, "no")
    spool.bounce(two, "no")
    first, second = spool.take_due(NOON, 10, {"example.net"})
    spool.give_back(second)
    spool.settle(first.id, {0: Settled("bounced")})
    spool.flush()
    (again,) = spool.take_due(NOON, 10, {"example.net"})
    assert again.id == second.id


def test_one_message_is_found_by_its_number_however_many_are_due(spool: Spool) -> None:
    it = accept(spool, envelope("a@example.net"))
    spool.hold(it, "so that it is on the shelf")
    spool.release(it)
    with spool._readers.one() as sql:
        asked: list[str] = []
        sql.set_trace_callback(asked.append)
        (state,) = reading.recipients_due(sql, number_of(it), "example.net", NOON)
        sql.set_trace_callback(None)
        plan = sql.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()
    assert state.destination == "example.net"
    assert "PRIMARY KEY (number=?" in str(plan)
