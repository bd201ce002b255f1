"""Mail with a release (RFC 4865) or a deadline (RFC 2852): retries, reports, next hops."""

from datetime import timedelta

import pytest

from posthouse.delivery.bounce import Reporter, Site
from posthouse.delivery.outcomes import Deferred, Delivered, Failed, Outcome
from posthouse.delivery.retry import Patience
from posthouse.delivery.tally import Tally, tally
from posthouse.mail.envelope import Notify
from posthouse.spool.records import Again, Work
from tests.delivery.given import ANN, NOON, content, recipient, work

BUSY = Deferred("4.3.2", "421 busy", "mx.theirs.example [192.0.2.9]")
GONE_ON = Delivered("250 ok", "mx.theirs.example [192.0.2.9]", forgets_deadline=True)
SOON = NOON + timedelta(minutes=10)


def after(this: Work, outcome: Outcome, minutes: float) -> Tally:
    return tally(this, {0: outcome}, NOON + timedelta(minutes=minutes), Patience(), spread=0.0)


def late(*notify: Notify, returned: bool = False, traced: bool = False) -> Work:
    to = recipient("bob@theirs.example", *notify)
    return work(to, deliver_by=SOON, returned_when_late=returned, traced=traced)


def test_what_is_late_goes_back_at_the_deadline() -> None:
    ended = after(late(returned=True), BUSY, 1)
    assert ended.results[0] == Again(SOON, BUSY.words, BUSY.host)
    (one,) = after(late(returned=True), BUSY, 10).failures
    assert isinstance(one.outcome, Failed)
    assert one.outcome.status == "5.4.7"


def test_or_its_sender_is_told_and_it_is_tried_on() -> None:
    first = after(late(), BUSY, 1)
    assert first.delays == ()
    assert first.results[0] == Again(SOON, BUSY.words, BUSY.host)
    then = after(late(), BUSY, 10)
    assert len(then.delays) == 1
    assert then.failures == ()


@pytest.mark.parametrize(("notify", "told"), [((Notify.FAILURE,), 1), ((Notify.NEVER,), 0)])
def test_only_never_keeps_the_delay_from_the_sender(notify: tuple[Notify, ...], told: int) -> None:
    assert len(after(late(*notify), BUSY, 10).delays) == told


def test_the_sender_is_told_where_the_deadline_is_not_known_or_a_trace_is_asked_for() -> None:
    assert len(after(late(), GONE_ON, 1).successes) == 1
    assert after(late(Notify.NEVER), GONE_ON, 1).successes == ()
    kept = Delivered(GONE_ON.words, GONE_ON.host)
    assert after(late(), kept, 1).successes == ()
    assert len(after(late(traced=True), kept, 1).successes) == 1
    in_mailbox = Delivered("250 ok")
    assert after(late(traced=True), in_mailbox, 1).successes == ()


def test_a_report_names_the_deadline() -> None:
    reporter = Reporter(Site("mx.ours.example", ANN, ANN), Patience(), lambda: "0REPORT0001")
    (report,) = reporter.settlement(after(late(returned=True), BUSY, 10), content()).offspring
    assert b"\r\nDeliver-By-Date: Mon, 4 May 2026 12:10:00 +0000\r\n" in report.content
    (report,) = reporter.settlement(after(late(), BUSY, 10), content()).offspring
    assert b"\r\nAction: delayed\r\n" in report.content


def test_a_report_about_mail_that_waited_names_its_release() -> None:
    waited = work(release=NOON - timedelta(minutes=1))
    ended = tally(waited, {0: Failed("5.1.1", "no")}, NOON, Patience(), spread=0.0)
    (report,) = (
        Reporter(Site("mx.ours.example", ANN), Patience(), lambda: "0REPORT0001")
        .settlement(ended, content())
        .offspring
    )
    assert b"\r\nFuture-Release-Request: until;2026-05-04T11:59:00Z\r\n" in report.content


def test_who_hurries_a_message_does_not_make_it_leave_before_its_release() -> None:
    release = NOON + timedelta(days=20)
    ended = after(work(release=release), BUSY, 5)
    assert ended.results[0] == Again(release, BUSY.words, BUSY.host)
    assert ended.delays == ()


def test_the_days_of_retries_begin_at_the_release() -> None:
    release = NOON + timedelta(days=20)
    held = work(release=release)
    ended = tally(held, {0: BUSY}, release, Patience(), spread=0.0)
    assert ended.results[0] == Again(release + timedelta(minutes=15), BUSY.words, BUSY.host)
