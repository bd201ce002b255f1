"""What clients hear. Every sentence here has been on a wire, or is meant to be."""

from datetime import UTC, date, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import Mailbox, ReversePath
from posthouse.policy.decision import Decision, Stage, Verdict
from posthouse.policy.facts import Client, Request
from posthouse.policy.networks import NetworkTable
from posthouse.policy.reasons import WORDINGS, Reason
from posthouse.policy.rules import Door, DoorKind, ListenerRule, LocalDomain, Rules, Service
from posthouse.sessions.offering import how_to_sign_in, sign_in_port, takes_sign_ins
from posthouse.sessions.wording import reply_to
from posthouse.sessions.wording_fields import FIELDS, Particulars, SiteWords, enumeration

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MX = ListenerRule("mx", Service.SMTP, ports=(25,))
SUBMISSION = ListenerRule("submission", Service.SUBMISSION, ports=(587,))
SOMEONE = Mailbox("someone", "adatum.com")
ANN = ReversePath(Mailbox("ann", "proseware.com"))


def rules(*doors: Door) -> Rules:
    return Rules(
        hostname="mail.proseware.com",
        listeners={"mx": MX, "submission": SUBMISSION},
        local_domains={"proseware.com": LocalDomain("proseware.com")},
        doors=doors or (Door(DoorKind.SIGNED_IN, "signed-in"),),
        networks=NetworkTable(),
    )


def request(
    listener: str = "mx", recipient: Mailbox | None = SOMEONE, sender: ReversePath | None = ANN
) -> Request:
    client = Client(ip_address("203.0.113.9"), listener)
    return Request(NOON, client, reverse_path=sender, forward_path=recipient)


def refusal(
    reason: Reason, stage: Stage = Stage.RECIPIENT, allowed: tuple[str, ...] = ()
) -> Decision:
    return Decision(stage, Verdict.REFUSE, reason, allowed=allowed, minutes_ago=33)


def said(
    decision: Decision,
    asked: Request | None = None,
    site: SiteWords = SiteWords(),  # noqa: B008 - frozen
) -> list[str]:
    reply = reply_to(decision, asked or request(), rules(), site, Particulars(case="7Q4KX2MB"))
    return reply.encode().decode("ascii").splitlines()


def test_a_refused_relay_says_reason_and_case() -> None:
    assert said(refusal(Reason.NOT_RECOGNISED)) == [
        "550-5.7.1 Please sign in before sending to adatum.com: it is not served here",
        "550 5.7.1 [not-recognised] case 7Q4KX2MB",
    ]


def test_the_link_stands_there_when_the_site_has_help_pages() -> None:
    site = SiteWords(help_link="https://help.proseware.com/why/{case}")
    assert said(refusal(Reason.POP_WINDOW_ENDED), site=site)[1] == (
        "550 5.7.1 [pop-window-ended] case 7Q4KX2MB https://help.proseware.com/why/7Q4KX2MB"
    )


def test_the_words_that_sendmail_made_known() -> None:
    lines = said(refusal(Reason.NOT_RECOGNISED), site=SiteWords(word_set="sendmail"))
    assert lines[0] == "550-5.7.1 <someone@adatum.com>... Relaying denied"
    assert lines[1] == "550 5.7.1 [not-recognised] case 7Q4KX2MB"


def test_the_words_that_qmail_made_known_have_no_code_before_them() -> None:
    lines = said(refusal(Reason.NOT_RECOGNISED), site=SiteWords(word_set="qmail"))
    assert lines == [
        "553-sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        "553 [not-recognised] case 7Q4KX2MB",
    ]


def test_ready_made_words_do_not_touch_an_unknown_recipient() -> None:
    asked = request(recipient=Mailbox("nobody", "proseware.com"))
    lines = said(refusal(Reason.RECIPIENT_UNKNOWN), asked, SiteWords(word_set="qmail"))
    assert lines[0].startswith("550-5.1.1 There is no mailbox nobody@proseware.com here")


def test_a_site_can_choose_its_own_sentence() -> None:
    site = SiteWords(texts={"not-recognised": "Call {contact} about {domain}, port {port}"})
    assert said(refusal(Reason.NOT_RECOGNISED), site=site)[0] == (
        "550-5.7.1 Call postmaster@mail.proseware.com about adatum.com, port 587"
    )


@pytest.mark.parametrize(
    "reason", [Reason.NOT_RECOGNISED, Reason.SIGN_IN_FIRST, Reason.POP_WINDOW_ENDED]
)
def test_submission_answers_530_and_says_how_to_sign_in_there(reason: Reason) -> None:
    asked = request("submission", recipient=None)
    lines = said(refusal(reason, Stage.MAIL), asked, SiteWords(word_set="qmail"))
    assert {line[:9] for line in lines} <= {"530-5.7.0", "530 5.7.0"}
    assert "your mail address and password (AUTH, after STARTTLS)" in " ".join(lines)


def test_submission_by_pop_window_only_says_to_fetch_mail_first() -> None:
    decision = refusal(Reason.SIGN_IN_FIRST, Stage.MAIL)
    doors = rules(Door(DoorKind.POP_WINDOW, "pop-window"))
    reply = reply_to(
        decision, request("submission", None), doors, SiteWords(), Particulars("7Q4KX2MB")
    )
    assert reply.text.startswith("Please sign in first: fetch your mail by POP3 from the same")


def test_an_ended_window_is_told_at_mail_as_well() -> None:
    lines = said(refusal(Reason.POP_WINDOW_ENDED, Stage.MAIL), request("submission", None))
    assert lines[0].startswith("530-5.7.0 Mail was last fetched from your address 33 min ago")


def test_identity_refusals_name_the_addresses_that_may_be_used() -> None:
    decision = refusal(Reason.SENDER_NOT_OWN, Stage.MAIL, ("ann@proseware.com", "@ann.example"))
    assert said(decision)[0] == (
        "550-5.7.1 You may not send as ann@proseware.com;"
        " you may use ann@proseware.com or @ann.example"
    )


def test_long_lists_are_cut_and_counted() -> None:
    every = [f"person{number}@proseware.example" for number in range(40)]
    text = enumeration(every)
    assert len(text) < 250
    assert text.endswith(" and 33 more")


def test_accepted_recipients_get_one_plain_line() -> None:
    decision = Decision(Stage.RECIPIENT, Verdict.ACCEPT, Reason.SIGNED_IN)
    assert said(decision) == ["250 2.1.5 Recipient ok"]


def test_held_mail_is_told_so() -> None:
    decision = Decision(Stage.CONTENT, Verdict.HOLD, Reason.LOOKS_LIKE_SPAM)
    lines = said(decision)
    assert lines[0].startswith("250-2.6.0 Message kept as")
    assert lines[1] == "250 2.6.0 [looks-like-spam] case 7Q4KX2MB"


def test_what_should_be_tried_again_gets_a_4xx() -> None:
    decision = Decision(Stage.RECIPIENT, Verdict.DEFER, Reason.RECIPIENT_UNREADABLE)
    assert said(decision)[0].startswith("451-4.3.0 ")


@given(
    st.sampled_from(sorted(WORDINGS)),
    st.sampled_from(sorted(Stage, key=str)),
    st.text(min_size=1, max_size=64),
    st.lists(st.text(max_size=400), max_size=30),
    st.text(max_size=600),
)
def test_any_decision_about_any_address_can_be_sent(
    reason: Reason, stage: Stage, local_part: str, allowed: list[str], text: str
) -> None:
    asked = request(recipient=Mailbox(local_part, "adatum.com"))
    decision = Decision(
        stage, Verdict.REFUSE, reason, allowed=tuple(allowed), subject=text, field=text
    )
    site = SiteWords(texts={reason: text + "".join(f"{{{name}}}" for name in FIELDS)})
    for spoken in (SiteWords(), site, SiteWords(word_set="sendmail")):
        reply = reply_to(decision, asked, rules(), spoken, Particulars("7Q4KX2MB", detail=text))
        assert reply.code >= 400
        assert all(len(line) <= 512 for line in reply.encode().splitlines(keepends=True))


def test_control_characters_reach_nobody() -> None:
    asked = request(recipient=Mailbox("a\r\nb\x1b[31m\u202e", "adatum.com"))
    lines = said(refusal(Reason.NOT_RECOGNISED), asked, SiteWords(word_set="sendmail"))
    assert '<"a\\x0d\\x0ab\\x1b[31m\\u202e"@adatum.com>' in lines[0]


def test_a_text_of_the_site_can_ask_for_nothing_but_its_fields() -> None:
    site = SiteWords(texts={"not-recognised": "{recipient.__class__} {0} {nonsense} {"})
    assert said(refusal(Reason.NOT_RECOGNISED), site=site)[0] == (
        "550-5.7.1 {recipient.__class__} {0} {nonsense} {"
    )


def test_signing_in_is_offered_on_mx_only_where_a_door_names_it() -> None:
    everywhere = rules(Door(DoorKind.SIGNED_IN, "signed-in"))
    assert takes_sign_ins(everywhere, SUBMISSION, NOON)
    assert not takes_sign_ins(everywhere, MX, NOON)
    named = rules(Door(DoorKind.SIGNED_IN, "old", listeners=frozenset({"mx"})))
    assert takes_sign_ins(named, MX, NOON)
    assert not takes_sign_ins(named, SUBMISSION, NOON)


def test_signing_in_ends_with_its_door() -> None:
    door = Door(DoorKind.SIGNED_IN, "fair", until=date(2026, 5, 3))
    assert not takes_sign_ins(rules(door), SUBMISSION, NOON)
    assert takes_sign_ins(rules(door), SUBMISSION, datetime(2026, 5, 3, 23, 59, tzinfo=UTC))
    assert sign_in_port(rules(door), NOON) is None
    assert how_to_sign_in(rules(door), SUBMISSION, NOON, tls=True) == ""


def test_whoever_came_to_mx_is_told_the_port_where_signing_in_works() -> None:
    told = how_to_sign_in(rules(), MX, NOON, tls=True)
    assert told == "with your mail address and password on port 587"
