"""Who is told what, and what is never dropped."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.delivery.bounce import NOBODY_TO_TELL, Reporter, Settlement, Site
from posthouse.delivery.outcomes import Deferred, Delivered, Expanded, Failed, Outcome
from posthouse.delivery.retry import Patience
from posthouse.delivery.tally import tally
from posthouse.mail.address import NULL, Mailbox
from posthouse.mail.envelope import Notify, Recipient
from posthouse.mail.report import RETURNED_OCTETS_MAX, read
from posthouse.spool.records import Again, Settled, Work
from tests.delivery.given import ANN, BOB, CONTENT, NOON, content, recipient, work

POSTMASTER = Mailbox("postmaster", "ours.example")
LATER = NOON + timedelta(hours=5)
UNKNOWN = Failed("5.1.1", "550 5.1.1 no such user", "mx.theirs.example [192.0.2.9]")
BUSY = Deferred("4.3.2", "421 busy", "mx.theirs.example [192.0.2.9]")
ids = (f"0REPORT{number:04}" for number in count())


def reporter(postmaster: Mailbox | None = POSTMASTER) -> Reporter:
    return Reporter(Site("mx.ours.example", POSTMASTER, postmaster), Patience(), lambda: next(ids))


def settle(
    this: Work, *outcomes: Outcome, hours: float = 0, postmaster: Mailbox | None = POSTMASTER
) -> Settlement:
    ended = tally(
        this, dict(enumerate(outcomes)), NOON + timedelta(hours=hours), Patience(), spread=0.0
    )
    return reporter(postmaster).settlement(ended, content())


def kinds(settlement: Settlement) -> list[str]:
    return [report.kind for report in settlement.sent]


def test_a_failure_goes_to_the_reverse_path_with_a_null_one() -> None:
    settlement = settle(work(), UNKNOWN)
    (report,) = settlement.offspring
    assert report.envelope.reverse_path == NULL
    assert [it.mailbox for it in report.envelope.recipients] == [ANN]
    assert settlement.tally.results == {0: Settled("failed", UNKNOWN.words, UNKNOWN.host)}
    status = read(report.content)
    assert status is not None
    assert status.recipients[0].recipient == BOB
    assert status.recipients[0].remote == UNKNOWN.host


def test_several_failures_of_one_work_are_one_report() -> None:
    both = work(recipient("bob@theirs.example"), recipient("carol@theirs.example"))
    assert kinds(settle(both, UNKNOWN, UNKNOWN)) == ["failure"]


def test_a_deferral_says_nothing_at_first_and_warns_once() -> None:
    assert kinds(settle(work(), BUSY)) == []
    warned = settle(work(), BUSY, hours=4)
    assert kinds(warned) == ["delay"]
    result = warned.tally.results[0]
    assert isinstance(result, Again)
    assert result.delay_told
    again = settle(work(told=True), BUSY, hours=9)
    assert kinds(again) == []
    assert isinstance(again.tally.results[0], Again)


def test_what_waited_too_long_has_failed_with_the_last_words() -> None:
    settlement = settle(work(), BUSY, hours=5 * 24)
    assert kinds(settlement) == ["failure"]
    status = read(settlement.offspring[0].content)
    assert status is not None
    assert status.recipients[0].status == "5.4.7"
    assert status.recipients[0].diagnostic == "421 busy"


@pytest.mark.parametrize(
    ("notify", "outcome", "expected"),
    [
        ({Notify.NEVER}, UNKNOWN, []),
        ({Notify.NEVER}, BUSY, []),
        ({Notify.DELAY}, UNKNOWN, []),
        ({Notify.FAILURE}, UNKNOWN, ["failure"]),
        ({Notify.FAILURE}, BUSY, []),
        ({Notify.DELAY}, BUSY, ["delay"]),
        ({Notify.SUCCESS}, Delivered("250 ok"), ["success"]),
        ({Notify.SUCCESS}, Delivered("250 ok", "mx"), ["success"]),
        ({Notify.SUCCESS}, Delivered("250 ok", "mx", reports=True), []),
        ({Notify.FAILURE}, Delivered("250 ok"), []),
        (set(), Delivered("250 ok"), []),
    ],
)
def test_notify_is_honoured(notify: set[Notify], outcome: Outcome, expected: list[str]) -> None:
    one = Recipient(BOB, frozenset(notify))
    assert kinds(settle(work(one), outcome, hours=5)) == expected


def test_success_says_delivered_or_relayed() -> None:
    one = recipient("bob@theirs.example", Notify.SUCCESS)
    for outcome, action in ((Delivered("ok"), "delivered"), (Delivered("ok", "mx"), "relayed")):
        status = read(settle(work(one), outcome).offspring[0].content)
        assert status is not None
        assert status.recipients[0].action == action


def test_a_failed_report_goes_to_the_postmaster_and_no_further() -> None:
    made_here = work(recipient("ann@ours.example"), reverse_path=NULL, client="")
    first = settle(made_here, UNKNOWN)
    (double,) = first.offspring
    assert [it.mailbox for it in double.envelope.recipients] == [POSTMASTER]
    assert double.envelope.reverse_path == NULL
    assert not first.hold


def test_when_the_postmaster_cannot_get_it_either_it_is_held() -> None:
    gone = settle(work(Recipient(POSTMASTER), reverse_path=NULL, client=""), UNKNOWN)
    assert (gone.hold, gone.offspring) == (NOBODY_TO_TELL, ())
    result = gone.tally.results[0]
    assert isinstance(result, Again)
    assert "no such user" in result.reply


def test_a_double_bounce_that_was_forwarded_and_fails_is_held() -> None:
    """A postmaster who is an alias for a broken address must not make an endless loop."""
    first = settle(work(reverse_path=NULL, client=""), UNKNOWN)
    to_postmaster = first.offspring[0].envelope
    this = work(*to_postmaster.recipients, reverse_path=NULL, client="")
    copy = settle(this, Expanded((BOB,), "sent on")).offspring[0]
    last = settle(work(*copy.envelope.recipients, reverse_path=NULL, client=""), UNKNOWN)
    assert last.hold == NOBODY_TO_TELL


def test_without_a_postmaster_here_a_failed_report_is_held() -> None:
    assert settle(work(reverse_path=NULL), UNKNOWN, postmaster=None).hold == NOBODY_TO_TELL


def test_a_stranger_who_wants_no_report_gets_none_and_nothing_is_held() -> None:
    one = recipient("bob@theirs.example", Notify.NEVER)
    settlement = settle(work(one, reverse_path=NULL), UNKNOWN)
    assert (settlement.hold, settlement.offspring) == ("", ())


recipients = st.builds(
    lambda n, notify: Recipient(Mailbox(f"u{n}", "theirs.example"), frozenset(notify)),
    st.integers(0, 9),
    st.sets(st.sampled_from([Notify.SUCCESS, Notify.FAILURE, Notify.DELAY]))
    | st.just({Notify.NEVER}),
)
outcomes = st.sampled_from(
    [UNKNOWN, BUSY, Delivered("ok"), Delivered("ok", "mx"), Expanded((BOB,), "on")]
)


@given(
    st.lists(st.tuples(recipients, outcomes), min_size=1, max_size=5),
    st.sampled_from([0, 5, 200]),
    st.booleans(),
    st.sampled_from([POSTMASTER, None]),
)
def test_nothing_bounces_to_a_null_reverse_path_and_nothing_vanishes(
    those: list[tuple[Recipient, Outcome]], hours: int, null: bool, postmaster: Mailbox | None
) -> None:
    all_of_them = [it for it, _ in those]
    this = work(*all_of_them, reverse_path=NULL, client="") if null else work(*all_of_them)
    settlement = settle(this, *(it for _, it in those), hours=hours, postmaster=postmaster)
    assert settlement.tally.results.keys() == dict(enumerate(those)).keys()
    reports = [it for it in settlement.offspring if it.id in {s.report for s in settlement.sent}]
    told = {recipient for report in reports for recipient in _recipients_in(report.content)}
    for place, (one, _) in enumerate(those):
        result = settlement.tally.results[place]
        if isinstance(result, Settled) and result.kind == "failed":
            wanted = not one.notify or Notify.FAILURE in one.notify
            assert one.mailbox in told or (not wanted and not null)
    for report in reports:
        assert report.envelope.reverse_path == NULL
        wanted_by = POSTMASTER if null else ANN
        assert [it.mailbox for it in report.envelope.recipients] == [wanted_by]


def _recipients_in(octets: bytes) -> Iterable[Mailbox]:
    status = read(octets)
    assert status is not None
    return [one.recipient for one in status.recipients]


def test_a_copy_for_forwards_keeps_the_reverse_path_and_is_marked() -> None:
    group = recipient("team@ours.example", Notify.SUCCESS, Notify.FAILURE)
    settlement = settle(work(group), Expanded((BOB,), "sent on to 1"))
    copy, report = settlement.offspring
    assert copy.envelope.reverse_path.mailbox == ANN
    assert copy.envelope.recipients == (Recipient(BOB, frozenset({Notify.FAILURE})),)
    assert copy.content == b"Delivered-To: team@ours.example\r\n" + CONTENT
    assert b"Action: expanded" in report.content
    assert settlement.tally.results == {0: Settled("expanded", "sent on to 1")}


def test_a_copy_of_a_recipient_who_wanted_only_success_wants_no_reports() -> None:
    group = recipient("team@ours.example", Notify.SUCCESS)
    copy = settle(work(group), Expanded((BOB,), "x")).offspring[0]
    assert copy.envelope.recipients[0].notify == {Notify.NEVER}


def test_an_administrators_return_says_so() -> None:
    settlement = settle(work(bounce="not wanted here"), Failed("5.7.0", "not wanted here"))
    assert settlement.tally.results == {0: Settled("bounced", "not wanted here")}
    text = settlement.offspring[0].content
    assert b"administrators of this server returned the message" in text
    assert b"not wanted here" in text


def test_people_get_their_message_back_and_strangers_only_its_header() -> None:
    for recognised, there in ((True, True), (False, False)):
        report = settle(work(recognised=recognised), UNKNOWN).offspring[0]
        assert (b".dot" in report.content) is there
    header = settle(work(recognised=True, return_content="HDRS"), UNKNOWN).offspring[0]
    assert b".dot" not in header.content


def test_envelope_id_and_original_recipient_are_given_back_without_xtext() -> None:
    one = recipient("bob@theirs.example", original="rfc822;bob+2Btag@theirs.example")
    status = read(settle(work(one, envelope_id="QQ+3D1"), UNKNOWN).offspring[0].content)
    assert status is not None
    assert status.envelope_id == "QQ=1"
    assert status.recipients[0].original == "rfc822;bob+tag@theirs.example"


def test_a_report_about_a_large_message_reads_only_its_head() -> None:
    class Large:
        octets = RETURNED_OCTETS_MAX + 1

        def whole(self) -> bytes:
            raise AssertionError("never wanted")

        def head(self) -> bytes:
            return CONTENT

    this = work(recognised=True, return_content="FULL")
    ended = tally(this, {0: UNKNOWN}, NOON, Patience(), spread=0.0)
    report = reporter().settlement(ended, Large()).offspring[0]
    assert b"text/rfc822-headers" in report.content
    assert b".dot" not in report.content


def test_a_report_is_as_secret_as_the_message_that_it_quotes() -> None:
    for requiretls in (False, True):
        (report,) = settle(work(requiretls=requiretls), UNKNOWN).offspring
        assert report.envelope.requiretls is requiretls
