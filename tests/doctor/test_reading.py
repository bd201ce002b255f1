"""From what was pasted to text: encodings, escapes, HTML, messages, size."""

import base64
from email.message import EmailMessage

import pytest

from posthouse.doctor.causes import Cause
from posthouse.doctor.diagnosis import diagnose
from posthouse.doctor.reading import CHARACTERS_MAX, read

CHINESE = "550 中继拒绝"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_octets_are_read_in_the_encoding_they_are_in(encoding: str) -> None:
    assert "中继拒绝" in read(CHINESE.encode(encoding)).text


def test_western_octets_are_read_too() -> None:
    assert read("Relais refusé à 10h".encode("cp1252")).text == "Relais refusé à 10h"


def test_terminal_escapes_and_control_characters_are_taken_out() -> None:
    text = read("\x1b[31m550\x1b[0m Relay\x07ing \x1b]0;title\x07denied\u202e").text
    assert text == "550 Relaying denied"


def test_tags_are_taken_out_and_addresses_in_angle_brackets_stay() -> None:
    text = read("<html><p>550 &lt;bob@example.net&gt;: <b>Relaying</b> denied</p></html>").text
    assert "<bob@example.net>" in text
    assert diagnose(text).cause is Cause.RELAY_DENIED


def test_a_long_paste_keeps_its_head_and_its_tail() -> None:
    paste = read("550 Relaying denied\n" + "x" * 1_048_576 + "\n552 mailbox full")
    assert paste.cut
    assert len(paste.text) <= CHARACTERS_MAX + 8
    assert paste.text.startswith("550")
    assert paste.text.endswith("full")


def test_what_is_not_text_is_said_to_be_binary() -> None:
    assert read(bytes(range(32)) * 40).binary
    assert "binary" in diagnose(b"\x00\x01\x02" * 4000).notes


def test_nothing_is_said_to_be_nothing() -> None:
    assert diagnose("").notes == ("empty",)


def test_encoded_parts_of_a_half_pasted_message_are_decoded() -> None:
    block = base64.encodebytes(("收件人邮箱已满。\n" * 12).encode()).decode()
    assert "收件人邮箱已满" in read(f"Content-Transfer-Encoding: base64\n\n{block}").text
    quoted = "La bo=C3=AEte aux lettres=20=\nest pleine =3D =3D =3D =3D =3D =3D =3D"
    assert "boîte aux lettres est pleine" in read(quoted).text


def report(human: str, status: str, diagnostic: str) -> bytes:
    """A whole bounce (RFC 3464) that returns the message it is about."""
    message = EmailMessage()
    message["From"] = "MAILER-DAEMON@example.com"
    message["To"] = "ann@example.com"
    message["Subject"] = "Undelivered Mail Returned to Sender"
    message["Auto-Submitted"] = "auto-replied"
    message.set_content(human)
    returned = "Subject: our spam filter and virus mailbox full relaying denied\n\nuser unknown\n"
    text = message.as_string()
    head, _, body = text.partition("\n\n")
    head = "\n".join(line for line in head.splitlines() if not line.lower().startswith("content-"))
    return (
        f"{head}\nContent-Type: multipart/report; report-type=delivery-status; boundary=b1\n\n"
        f"--b1\nContent-Type: text/plain; charset=utf-8\n\n{body}\n"
        f"--b1\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mail.example.com\n\n"
        f"Final-Recipient: rfc822; bob@example.net\nAction: failed\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {diagnostic}\n\n"
        f"--b1\nContent-Type: message/rfc822\n\n{returned}\n--b1--\n"
    ).encode()


POSTFIX = """\
This is the mail system at host mail.example.com.

<bob@example.net>: host mx said: 550 5.1.1 <bob@example.net>:
    Recipient address rejected: User unknown
"""
EXIM = """\
This message was created automatically by mail delivery software.

  bob@example.net
    SMTP error from remote mail server after RCPT TO:<bob@example.net>:
    550 relay not permitted
"""
EXCHANGE = """\
Your message to bob@example.net couldn't be delivered.

Diagnostic information for administrators:
Generating server: EX01
Remote Server returned '550 5.7.23 The message was rejected because of Sender Policy Framework
violation'
"""
GMAIL = """\
** Message not delivered **

The recipient's inbox is full.

The response was:

452 4.2.2 The email account that you tried to reach is over quota.
"""
BOUNCES = {
    "postfix": (POSTFIX, "5.1.1", "550 5.1.1 User unknown", Cause.MAILBOX_UNAVAILABLE),
    "exim": (EXIM, "5.0.0", "550 relay not permitted", Cause.RELAY_DENIED),
    "exchange": (EXCHANGE, "5.7.23", "550 5.7.23 SPF violation", Cause.DOMAIN_AUTH_FAILED),
    "gmail": (GMAIL, "4.2.2", "452-4.2.2 The account is over quota.", Cause.MAILBOX_FULL),
}


@pytest.mark.parametrize(("human", "status", "diagnostic", "cause"), BOUNCES.values(), ids=BOUNCES)
def test_a_whole_bounce_is_read_and_the_returned_message_is_not(
    human: str, status: str, diagnostic: str, cause: Cause
) -> None:
    diagnosis = diagnose(report(human, status, diagnostic))
    assert diagnosis.cause is cause
    assert len(diagnosis.findings) == 1
    assert diagnosis.clues.where == "bounce"
    assert read(report(human, status, diagnostic)).report


def test_a_message_that_only_quotes_an_error_is_read_as_text() -> None:
    mail = b"From: ann@example.com\nTo: help@example.com\nSubject: help\n\n550 Relaying denied\n"
    paste = read(mail)
    assert paste.whole_message
    assert not paste.report
    assert diagnose(mail).cause is Cause.RELAY_DENIED
