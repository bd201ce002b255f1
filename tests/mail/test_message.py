"""Header sections and the fields we write."""

from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import Mailbox
from posthouse.mail.message import (
    HEADER_OCTETS_MAX,
    Arrival,
    _parse_with_care,
    authorship,
    count_received,
    date_field,
    date_time,
    header_end,
    message_id_field,
    received_field,
    split_header,
    transmission_type,
)

ANN, BOB = Mailbox("ann", "example.com"), Mailbox("bob", "example.org")
NOON = datetime(2026, 5, 4, 12, 0, 5, tzinfo=UTC)
GOOD = b"From: ann@example.com\r\nSubject: a\r\n  b\r\n\r\nbody\r\n\r\nFrom: bob@example.org\r\n"


def test_the_header_ends_at_the_first_empty_line() -> None:
    assert GOOD[header_end(GOOD) :].startswith(b"\r\nbody")
    assert header_end(b"\r\nbody") == 0
    assert header_end(b"From: a@b\r\n") == -1


def test_fields_are_found_in_any_case_and_unfolded() -> None:
    header = split_header(GOOD)
    assert header.complete
    assert header.fields("subject") == [b"a  b"]
    assert header.fields("FROM") == [b"ann@example.com"]
    assert header.has("From")
    assert not header.has("Date")
    assert not header.malformed


def test_a_content_without_an_empty_line_is_all_header() -> None:
    header = split_header(b"From: ann@example.com\r\nTo: bob@example.org\r\n")
    assert not header.complete
    assert header.fields("to") == [b"bob@example.org"]
    assert split_header(b"").all_fields == ()
    assert split_header(b"\r\nbody").all_fields == ()


def test_authorship_of_an_ordinary_message() -> None:
    writers = authorship(split_header(GOOD))
    assert (writers.authors, writers.from_fields) == ((ANN,), 1)
    assert (writers.sender, writers.sender_readable) == (None, True)
    assert (writers.reply_to, writers.reply_to_readable) == ((), True)


def test_sender_and_reply_to_are_read() -> None:
    octets = b"From: ann@example.com, bob@example.org\r\nSender: Ann <ann@example.com>\r\n"
    writers = authorship(split_header(octets + b"Reply-To: bob@example.org\r\nReply-to: g:;\r\n"))
    assert writers.authors == (ANN, BOB)
    assert writers.sender == ANN
    assert writers.reply_to == (BOB,)


def test_two_from_fields_are_counted_and_all_their_mailboxes_kept() -> None:
    writers = authorship(split_header(b"From: ann@example.com\r\nFROM: bob@example.org\r\n"))
    assert (writers.authors, writers.from_fields) == ((ANN, BOB), 2)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Subject: no author\r\n",
        b"From:\r\n",
        b"From: nobody:;\r\n",
        b"From : ann@example.com\r\n",
        b"From\t: ann@example.com\r\n",
        b"From: ann@example.com\r\nFrom : bob@example.org\r\n",
        b"From bob@example.org Mon May  4 12:00:00 2026\r\nFrom: ann@example.com\r\n",
        b"no field\r\nFrom: ann@example.com\r\n",
        b" folded from nothing\r\nFrom: ann@example.com\r\n",
        b"Subject: x\r\n \r\nFrom: ann@example.com\r\n",
        b"Subject: x\nFrom: bob@example.org\r\nFrom: ann@example.com\r\n",
        b"Subject: x\rFrom: bob@example.org\r\nFrom: ann@example.com\r\n",
        b"From: ann@example.com\0\r\n",
        b"From: ann@example.com\r\n" + b"X: y\r\n" * (HEADER_OCTETS_MAX // 6),
    ],
)
def test_an_author_who_cannot_be_told_for_certain_is_none(header: bytes) -> None:
    assert authorship(split_header(header)).authors is None


@pytest.mark.parametrize("value", [b"", b"ann@example.com, bob@example.org", b"x", b"g:;"])
def test_a_sender_that_is_not_one_mailbox_is_unreadable(value: bytes) -> None:
    writers = authorship(split_header(b"From: ann@example.com\r\nSender: " + value + b"\r\n"))
    assert (writers.sender, writers.sender_readable) == (None, False)


def test_two_sender_fields_are_unreadable() -> None:
    writers = authorship(
        split_header(b"From: ann@example.com\r\n" + b"Sender: ann@x.example\r\n" * 2)
    )
    assert (writers.sender, writers.sender_readable) == (None, False)


def test_an_unreadable_reply_to_is_told_apart_from_none() -> None:
    writers = authorship(split_header(b"From: ann@example.com\r\nReply-To: <x\r\n"))
    assert (writers.reply_to, writers.reply_to_readable) == ((), False)


@given(st.binary(max_size=300) | st.text("From: ab@\r\n\t<>,", max_size=80).map(str.encode))
def test_any_octets_give_an_answer_and_keep_every_octet(octets: bytes) -> None:
    header = split_header(octets)
    assert octets.startswith(header.octets)
    writers = authorship(header)
    assert writers.from_fields == len(header.fields("from"))


@given(st.lists(st.sampled_from(["From", "from", "Sender", "X-a"]), max_size=5))
def test_the_standard_library_counts_the_same_fields(names: list[str]) -> None:
    octets = "".join(f"{name}: a@b.example\r\n\tx\r\n" for name in names).encode() + b"\r\nFrom: z"
    theirs = message_from_bytes(octets, policy=policy.compat32)
    assert len(split_header(octets).fields("From")) == len(theirs.get_all("From", []))


def test_hops_are_counted() -> None:
    header = split_header(
        b"Received: a\r\nRECEIVED: b\r\n c\r\nX-Received: d\r\n\r\nReceived: e\r\n"
    )
    assert count_received(header) == 2


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"extended": False}, "SMTP"),
        ({"extended": True}, "ESMTP"),
        ({"extended": True, "tls": True}, "ESMTPS"),
        ({"extended": True, "signed_in": True}, "ESMTPA"),
        ({"extended": True, "tls": True, "signed_in": True}, "ESMTPSA"),
        ({"extended": True, "tls": True, "signed_in": True, "smtputf8": True}, "UTF8SMTPSA"),
    ],
)
def test_transmission_types(facts: dict[str, bool], word: str) -> None:
    assert transmission_type(**facts) == word


def test_a_received_field_tells_who_where_how_and_when() -> None:
    arrival = Arrival(
        "client.example", ip_address("192.0.2.7"), "mx.example.com", "ESMTPSA", "7K2M9QXA", NOON,
        BOB, "TLSv1.3 TLS_AES_256_GCM_SHA384",
    )  # fmt: skip
    assert received_field(arrival) == (
        b"Received: from client.example ([192.0.2.7])\r\n"
        b"\t(using TLSv1.3-TLS_AES_256_GCM_SHA384)\r\n"
        b"\tby mx.example.com (Posthouse)\r\n"
        b"\twith ESMTPSA id 7K2M9QXA\r\n"
        b"\tfor <bob@example.org>;\r\n"
        b"\tMon, 4 May 2026 12:00:05 +0000\r\n"
    )


def test_a_received_field_of_mail_made_here() -> None:
    field = received_field(Arrival("", None, "mx.example.com", "ESMTP", "ID", NOON))
    assert field.startswith(b"Received: by mx.example.com (Posthouse)\r\n\twith ESMTP id ID;\r\n")


@given(st.text(max_size=400))
def test_no_hello_can_add_a_line(hello: str) -> None:
    field = received_field(Arrival(hello, ip_address("2001:db8::1"), "mx", "SMTP", "ID", NOON))
    header = split_header(field)
    assert [entry.key for entry in header.all_fields] == [b"received"]
    assert b"[IPv6:2001:db8::1]" in field


@given(
    st.datetimes(NOON.replace(1970, tzinfo=None), NOON.replace(2100, tzinfo=None)),
    st.integers(-23 * 60, 23 * 60),
)
def test_dates_are_read_back(at: datetime, minutes: int) -> None:
    aware = at.replace(tzinfo=timezone(timedelta(minutes=minutes)), microsecond=0)
    assert parsedate_to_datetime(date_time(aware)) == aware


def test_date_and_message_id_fields() -> None:
    assert date_field(NOON) == b"Date: Mon, 4 May 2026 12:00:05 +0000\r\n"
    assert message_id_field("7K2M", "mx.example.com") == b"Message-ID: <7K2M@mx.example.com>\r\n"


HEADER_PIECES = st.sampled_from(
    [b"a", b"From", b":", b" ", b"\t", b"\r\n", b"\r", b"\n", b"\0", b"x: y\r\n", b"\r\n ", b"\xff"]
)


@given(st.lists(HEADER_PIECES, max_size=12).map(b"".join))
def test_the_quick_way_through_a_header_reads_what_the_careful_one_reads(octets: bytes) -> None:
    quick = split_header(octets)
    fields, malformed = _parse_with_care(quick.octets)
    assert (quick.all_fields, quick.malformed) == (fields, malformed)


@pytest.mark.parametrize(
    "octets", [b"x" * 65_536, b"x " * 32_768, b"a:" + b"\r\n x" * 16_000 + b"\0", b"x\n" * 32_768]
)
def test_a_header_that_is_none_is_read_at_once(octets: bytes) -> None:
    assert split_header(octets).malformed  # in the time of one look at each octet, not of millions
