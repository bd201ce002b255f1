"""Addresses, headers and delivery reports as strangers write them."""

from posthouse.mail.address import (
    AddressError,
    domain_for_people,
    parse_domain,
    parse_forward_path,
    parse_mailbox,
    parse_reverse_path,
)
from posthouse.mail.address_list import mailboxes_in
from posthouse.mail.delivery_status import StatusError, one_line, read_status
from posthouse.mail.message import authorship, count_received, split_header
from posthouse.mail.report import read, subject_of
from tests.fuzz.fuzzing import damaged, fuzz, octets_of, text_of

ADDRESSES = text_of(
    "ann", "@", "example.com", "<", ">", '"', "\\", '"a b"', ".", "..", "[", "]", "192.0.2.1",
    "IPv6:", "2001:db8::1", "@a,@b:", "ä", "xn--", "xn--bcher-kva", "例え", "\u200d", "\u3002", " ",
    "postmaster", "SRS0=", "a" * 64, "%", "!", "\r\n", "\0", at_most=8,
)  # fmt: skip


@fuzz(ADDRESSES, allowed=(AddressError,))
def test_addresses(text: str) -> None:
    for parse in (parse_reverse_path, lambda it: parse_forward_path(it, postmaster_domain="a.b")):
        path = parse("<" + text + ">")
        assert str(path).isprintable()
    mailbox = parse_mailbox(text)
    assert parse_mailbox(str(mailbox)) == mailbox
    assert parse_domain(mailbox.domain) == mailbox.domain
    assert mailbox.domain.isascii()
    assert domain_for_people(mailbox.domain)


LISTS = octets_of(
    b"ann@example.com", b"<ann@example.com>", b'"Ann" ', b"Ann ", b",", b";", b":", b"group:", b"(",
    b")", b"\\", b'"', b"<", b">", b"@", b"[192.0.2.1]", b"=?utf-8?q?=3Ca=40b=3E?=", b"=?utf-8?b?",
    b"PGFAYj4=", b"?=", b" ", b"\t", b"\xc3\xa4", "\uff20".encode(), b"\xff", b"\0", b"((((((((((",
)  # fmt: skip


@fuzz(LISTS)
def test_address_lists(octets: bytes) -> None:
    found = mailboxes_in(octets)
    for mailbox in found or ():
        assert parse_mailbox(str(mailbox)) == mailbox
        assert octets.count(b"@") >= 1


FIELDS = octets_of(
    b"From: ", b"from : ", b"Sender: ", b"Reply-To: ", b"Received: by a; x", b"Subject: ",
    b"=?utf-8?q?=0D=0A?=", b"=?x?b?!?=", b"ann@example.com", b"\r\n", b"\r\n ", b"\r\n\t",
    b"\n", b"\r", b":", b" ", b"\0", b"\xff", b"X" * 998, b"\r\n\r\n", at_most=30,
)  # fmt: skip


@fuzz(FIELDS)
def test_header_split(octets: bytes) -> None:
    header = split_header(octets)
    assert octets.startswith(header.octets)
    if header.complete:
        assert octets[len(header.octets) :].startswith(b"\r\n")
    if not header.malformed:
        written = b"".join(it.name + b":" + it.folded + b"\r\n" for it in header.all_fields)
        assert written.removesuffix(b"\r\n") == header.octets.removesuffix(b"\r\n")
    writers = authorship(header)
    assert not header.malformed or writers.authors is None
    assert count_received(header) <= octets.lower().count(b"received")
    assert "\n" not in one_line(subject_of(header))


REPORT = (
    b"From: a@b\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n"
    b"--x\r\nContent-Type: text/plain\r\n\r\nIt failed.\r\n"
    b"--x\r\nContent-Type: message/delivery-status\r\n\r\n"
    b"Reporting-MTA: dns; mail.example\r\nArrival-Date: Mon, 4 May 2026 12:00:00 +0000\r\n\r\n"
    b"Final-Recipient: rfc822; bob@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 no\r\nWill-Retry-Until: Mon, 4 May 2026 12:00:00 +0000\r\n"
    b"\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: hello\r\n\r\nx\r\n--x--\r\n"
)
STATUS = octets_of(
    b"Reporting-MTA: dns; a\r\n", b"Arrival-Date: ", b"Mon, 4 May 2026 12:00:00 +0000",
    b"Mon, 99 May 0000 99:99:99 +9999", b"\r\n", b"\r\n\r\n", b"Final-Recipient: ", b"rfc822;",
    b"utf-8;", b"a@example.org", b"Action: ", b"failed\r\n", b"Delayed (later)\r\n", b"Status: ",
    b"5.1.1", b"4.999.999", b"Diagnostic-Code: smtp; 550 no\r\n", b"Will-Retry-Until: ", b"\xff",
    b"Original-Recipient: rfc822;\\x{20}", b"Last-Attempt-Date: ", b" (comment)", b"\r\n ", b"\0",
    at_most=30,
)  # fmt: skip


@fuzz(STATUS, allowed=(StatusError,))
def test_delivery_status(octets: bytes) -> None:
    status = read_status(octets)
    assert status.recipients


@fuzz(damaged(REPORT))
def test_delivery_reports(octets: bytes) -> None:
    status = read(octets)
    assert status is None or status.recipients
