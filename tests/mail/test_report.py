"""Delivery reports: written for people and programs, and read again."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.doctor.report_words import Circumstances, Hold, tell
from posthouse.mail.address import Mailbox
from posthouse.mail.delivery_status import (
    Action,
    DeliveryStatus,
    RecipientStatus,
    StatusError,
    one_line,
    read_status,
    write_status,
)
from posthouse.mail.message import split_header
from posthouse.mail.report import (
    RETURNED_HEADER_OCTETS_MAX,
    RETURNED_OCTETS_MAX,
    Report,
    compose,
    read,
    subject_of,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN, BOB = Mailbox("ann", "example.com"), Mailbox("bob", "example.org")
ORIGINAL = (
    b"From: ann@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Message-ID: <1@example.com>\r\n\r\nHello Bob\r\n"
)
UNKNOWN = RecipientStatus(
    BOB, Action.FAILED, "5.1.1", "550 5.1.1 <bob@example.org>: no such user",
    "mx.example.org [192.0.2.9]", "rfc822;bob@example.org", NOON,
)  # fmt: skip


def report(*recipients: RecipientStatus, **more: object) -> Report:
    status = DeliveryStatus("mx.example.com", recipients or (UNKNOWN,), "QQ314159", NOON)
    facts = {
        "status": status, "to": ANN, "author": Mailbox("postmaster", "example.com"),
        "unique": "7K2M9QXA.r", "now": NOON,
    }  # fmt: skip
    return Report(**{**facts, **more})  # type: ignore[arg-type]


def composed(
    report: Report,
    original: bytes,
    language: str = "en",
    contact: str = "",
    held: Hold | None = None,
) -> bytes:
    subject = subject_of(split_header(original))
    circumstances = Circumstances(subject, "7K2M9QXA", contact, held)
    return compose(report, tell(report.status, circumstances, language), original)


def parsed(octets: bytes) -> EmailMessage:
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not [defect for part in message.walk() for defect in part.defects]
    return message


def parts_of(octets: bytes) -> list[EmailMessage]:
    parts = list(parsed(octets).iter_parts())
    assert all(isinstance(part, EmailMessage) for part in parts)
    return parts  # type: ignore[return-value]


def text_of(octets: bytes) -> str:
    return " ".join(str(parts_of(octets)[0].get_content()).split())


def test_a_report_of_failure_is_what_rfc_3464_asks() -> None:
    message = parsed(composed(report(), ORIGINAL))
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["Subject"] == "Not delivered: your message to bob@example.org"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["To"] == "ann@example.com"
    assert message["Message-ID"] == "<7K2M9QXA.r@mx.example.com>"
    assert message["In-Reply-To"] == "<1@example.com>"
    assert message["Date"].datetime == NOON
    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert kinds == ["text/plain", "message/delivery-status", "text/rfc822-headers"]


def test_the_machine_part_names_recipient_action_status_and_reply() -> None:
    about_message, about_bob = parts_of(composed(report(), ORIGINAL))[1].iter_parts()
    assert about_message["Reporting-MTA"] == "dns; mx.example.com"
    assert about_message["Original-Envelope-Id"] == "QQ314159"
    assert about_bob["Final-Recipient"] == "rfc822; bob@example.org"
    assert about_bob["Original-Recipient"] == "rfc822; bob@example.org"
    assert (about_bob["Action"], about_bob["Status"]) == ("failed", "5.1.1")
    assert about_bob["Remote-MTA"] == "dns; mx.example.org [192.0.2.9]"
    assert about_bob["Diagnostic-Code"].startswith("smtp; 550 5.1.1")


def test_what_we_say_of_a_broken_host_is_not_told_as_its_reply() -> None:
    one = RecipientStatus(BOB, Action.FAILED, "5.4.7", "no reply within 300 s", "mx.example.org")
    octets = composed(report(one), ORIGINAL)
    _, about_bob = parts_of(octets)[1].iter_parts()
    assert about_bob["Remote-MTA"] == "dns; mx.example.org"
    assert about_bob["Diagnostic-Code"] == "x-posthouse; no reply within 300 s"


def test_people_read_what_happened_who_can_fix_it_and_what_to_do_before_any_code() -> None:
    text = text_of(composed(report(), ORIGINAL))
    order = [
        "Subject: Grüße", "To bob@example.org: not delivered",
        "What happened", "example.org has no mailbox of this name",
        "mx.example.org [192.0.2.9] said: 550 5.1.1",
        "Who can fix it", "You, the sender.", "What to do", "1. Check",
        "Diagnostic information for administrators", "id: 7K2M9QXA",
    ]  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("5.1.2", "no domain example.org"),
        ("5.1.10", "takes no mail at all"),
        ("5.2.2", "mailbox is full"),
        ("5.3.4", "larger than example.org accepts"),
        ("5.4.1", "No mail server of example.org answers"),
        ("5.4.6", "going round in a circle"),
        ("5.4.7", "as long as we may"),
        ("5.6.7", "contains letters that the mail server"),
        ("5.7.26", "refused the message by its rules"),
        ("5.7.10", "secure connection"),
        ("5.5.0", "did not take the message"),
    ],
)
def test_each_kind_of_failure_has_its_own_words(status: str, words: str) -> None:
    assert words in text_of(composed(report(RecipientStatus(BOB, Action.FAILED, status)), ORIGINAL))


def test_a_delay_says_that_nothing_is_to_be_done_and_until_when_we_try() -> None:
    delayed = RecipientStatus(BOB, Action.DELAYED, "4.4.1", retry_until=NOON + timedelta(days=5))
    octets = composed(report(delayed), ORIGINAL)
    assert parsed(octets)["Subject"].startswith("Delayed")
    assert "trying until Sat, 9 May 2026" in text_of(octets)
    assert "please do not send it again" in text_of(octets)
    assert b"Will-Retry-Until: Sat, 9 May 2026 12:00:00 +0000" in octets


@pytest.mark.parametrize("action", [Action.DELIVERED, Action.RELAYED, Action.EXPANDED])
def test_success_is_reported_and_never_returns_the_body(action: Action) -> None:
    one = RecipientStatus(BOB, action, "2.1.5")
    octets = composed(report(one, return_content="FULL"), ORIGINAL)
    assert f"Action: {action}\r\n".encode() in octets
    assert b"Hello Bob" not in octets


def test_a_held_message_is_explained_with_who_can_release_it() -> None:
    one = RecipientStatus(BOB, Action.DELAYED, "4.7.0")
    octets = composed(
        report(one, held=True),
        ORIGINAL,
        "en",
        "help@example.com",
        Hold("looks-like-spam", "7Q4KX2MB"),
    )
    assert parsed(octets)["Subject"] == "Held: your message to bob@example.org"
    text = text_of(octets)
    assert "7Q4KX2MB" in text
    assert "help@example.com" in text
    assert "7K2M9QXA" in text


def test_the_whole_message_returns_only_when_asked_for_and_not_too_large() -> None:
    returned = list(parsed(composed(report(return_content="FULL"), ORIGINAL)).iter_parts())[2]
    assert returned.get_content_type() == "message/rfc822"
    assert b"Hello Bob" in composed(report(return_content="FULL"), ORIGINAL)
    large = ORIGINAL + b"x\r\n" * (RETURNED_OCTETS_MAX // 3)
    assert len(composed(report(return_content="FULL"), large)) < 8_000


def test_a_long_header_is_cut_between_two_fields() -> None:
    long = b"X-Long: a\r\n\tb\r\n" * 4_000 + b"\r\nbody"
    octets = composed(report(), long)
    returned = octets[octets.index(b"X-Long") : octets.rindex(b"\r\n\r\n--")]
    assert len(octets) < RETURNED_HEADER_OCTETS_MAX + 8_000
    assert returned.endswith(b"X-Long: a\r\n\tb")
    one = composed(report(), b"X: a\r\n" + b"\ty\r\n" * 20_000)
    assert one.endswith(b"--\r\n")


def test_a_boundary_inside_the_message_does_not_break_the_report() -> None:
    hostile = ORIGINAL + b"--=_7K2M9QXA.r\r\n--=_7K2M9QXA.r--\r\n--=_7K2M9QXA.r_\r\n"
    message = parsed(composed(report(return_content="FULL"), hostile))
    assert len(list(message.iter_parts())) == 3


def test_many_recipients_are_told_in_part_and_listed_in_full() -> None:
    many = [
        RecipientStatus(Mailbox(f"u{n}", "x.example"), Action.FAILED, "5.1.1") for n in range(50)
    ]
    octets = composed(report(*many), ORIGINAL)
    assert parsed(octets)["Subject"].endswith("to u0@x.example and 49 more")
    assert "and 30 more recipients" in text_of(octets)
    status = read(octets)
    assert status is not None
    assert len(status.recipients) == 50


def test_international_addresses_travel_in_both_worlds() -> None:
    one = RecipientStatus(Mailbox("jörg", "xn--bcher-kva.example"), Action.FAILED, "5.6.7")
    original = "From: ann@example.com\r\nSubject: Grüße\r\n\r\nx\r\n".encode()
    modern = composed(report(one, smtputf8=True, return_content="FULL"), original)
    assert b"message/global-delivery-status" in modern
    assert b"message/global\r\n" in modern
    plain = composed(report(one), b"From: ann@example.com\r\n\r\nx\r\n")
    assert plain.isascii()
    assert b"utf-8; j\\x{F6}rg@xn--bcher-kva.example" in plain
    for octets in (modern, plain):
        status = read(octets)
        assert status is not None
        assert status.recipients[0].recipient == one.recipient


def test_nothing_of_the_original_can_add_a_header_or_a_line() -> None:
    original = b"Subject: =?utf-8?q?a=0D=0ABcc=3A_x?=\r\nMessage-ID: <a>\x1b[31m\r\n\r\nx\r\n"
    octets = composed(report(), original)
    message = parsed(octets)
    assert message["Bcc"] is None
    assert message["In-Reply-To"] is None
    assert "Subject: a Bcc: x Received:" in text_of(octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"Subject: x\r\n\r\nhello",
        b"Content-Type: multipart/report\r\n\r\nno parts",
        b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b--\r\n",
        write_status(report().status, utf8=False),
    ],
)
def test_what_is_no_report_is_none(octets: bytes) -> None:
    assert read(octets) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Action: failed", b"Action: eaten"), (b"5.1.1\r\n", b"5.x\r\n"), (b"dns; mx", b"mx"),
     (b"rfc822; bob@", b"rfc822; bob")],
)  # fmt: skip
def test_a_status_with_a_broken_field_is_not_read(old: bytes, new: bytes) -> None:
    body = write_status(report().status, utf8=False)
    with pytest.raises(StatusError):
        read_status(body.replace(old, new))


def test_a_report_with_a_status_that_cannot_be_read_is_none() -> None:
    good = composed(report(), ORIGINAL)
    assert read(good) is not None
    assert read(good.replace(b"Action: failed", b"Action: eaten")) is None


def test_a_status_part_that_is_encoded_is_still_read_or_none() -> None:
    whole = composed(report(), ORIGINAL)
    for name in (b"base64", b"x-none"):
        head = b"Content-Type: message/delivery-status\r\nContent-Transfer-Encoding: " + name
        read(whole.replace(b"Content-Type: message/delivery-status", head))


def test_dates_that_are_none_are_left_out() -> None:
    body = write_status(report().status, utf8=False).replace(b"Mon, 4 May", b"Someday")
    assert read_status(body).arrived is None


def test_a_report_of_another_maker_is_read() -> None:
    octets = (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\ntext\n"
        b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; other.example\n"
        b"X-Queue-ID: 1\n\nFinal-Recipient: rfc822; <bob@example.org>\nAction: Failed\n"
        b"Status: 5.0.0 (permanent failure)\nDiagnostic-Code: smtp; 550 no\n  such user\n\n"
        b"Final-Recipient: RFC822;ann@example.com\nAction: delayed\nStatus: 4.0.0\n\n--b--\n"
    )
    status = read(octets)
    assert status is not None
    assert [one.recipient for one in status.recipients] == [BOB, ANN]
    assert status.recipients[0].diagnostic == "550 no  such user"


instants = st.none() | st.datetimes(
    NOON.replace(1990, tzinfo=None), NOON.replace(2090, tzinfo=None)
).map(lambda at: at.replace(tzinfo=UTC, microsecond=0))
words = st.text(max_size=200).map(one_line)
local_parts = st.text("abcdefé.張+%", min_size=1, max_size=20).filter(
    lambda text: ".." not in text and text[0] != "." != text[-1]
)
recipients = st.builds(
    RecipientStatus,
    st.builds(Mailbox, local_parts, st.sampled_from(["example.org", "[192.0.2.1]"])),
    st.sampled_from(Action),
    st.from_regex(r"[245]\.[1-7]\.[0-9]{1,2}", fullmatch=True),
    words,
    st.sampled_from(["", "mx.example.org [192.0.2.9]"]),
    st.sampled_from(["", "rfc822;bob@example.org"]),
    instants,
    instants,
)


@given(st.lists(recipients, min_size=1, max_size=4), words, instants, st.booleans())
def test_what_is_composed_is_read_back(
    them: list[RecipientStatus], envelope_id: str, arrived: datetime | None, utf8: bool
) -> None:
    status = DeliveryStatus("mx.example.com", tuple(them), envelope_id, arrived)
    assert read(composed(report(status=status, smtputf8=utf8), ORIGINAL)) == status


@given(st.binary(max_size=300))
def test_any_octets_are_read_or_not_but_never_raise(octets: bytes) -> None:
    read(octets)
    read(b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n" + octets + b"\r\n--b--\r\n")
    composed(report(return_content="FULL"), octets)


def test_a_report_in_chinese_is_read_by_any_program() -> None:
    octets = composed(report(), ORIGINAL, "zh_Hans")
    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) < 200
    message = parsed(octets)
    assert message["Subject"] == "未送达：您发给 bob@example.org 的邮件"  # noqa: RUF001 - Chinese
    part = parts_of(octets)[0]
    assert part["Content-Language"] == "zh-Hans"
    assert "谁能解决" in part.get_content()
